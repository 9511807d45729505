"""What a low-resolution set says of how it was made, and whether another may be made in its place."""

from pathlib import Path
from typing import Any

import yaml

from realis.core.config import as_plain, key_fields, read_recipe
from realis.core.errors import InputError, file_error, require
from realis.core.files import whole_file
from realis.data.lr_sets.config import DegradeConfig
from realis.data.lr_sets.record import RECORD
from realis.degradation.presets import load_degradation

NOTES = SETTINGS, RANGES = "make_lr.yaml", "degradation.yaml"


def notes_of(config: DegradeConfig) -> dict[str, Any]:
    """Return what a set is made with, by the files in which it says so."""
    settings = key_fields(config)
    preset, replay = settings.pop("preset"), settings.pop("replay")
    if replay:  # in place of all others
        return {SETTINGS: {"replay": str(Path(replay).resolve())}}
    return {RANGES: as_plain(load_degradation(preset)), SETTINGS: settings}


def read_notes(output: Path) -> dict[str, Any]:
    """Read what a set that is there was made with, by file.

    Raises:
        InputError: it cannot be read.
    """
    return {name: read_recipe(output / name) for name in NOTES if (output / name).exists()}


def is_of_others(config: DegradeConfig) -> bool:
    """Whether a set is there that was made, or half made, with other settings."""
    try:
        return (Path(config.output) / SETTINGS).exists() and read_notes(Path(config.output)) != notes_of(config)
    except InputError:
        return True


def check_lr_folder(output: Path) -> None:
    """Whether a set may be in ``output``; nothing is written.

    Raises:
        InputError: it holds something that is no such set, which must not be touched.
    """
    try:
        begun = not output.exists() or (output / SETTINGS).exists()
        strangers = [] if begun else [file for file in output.iterdir() if file.name not in (*NOTES, RECORD)]
    except OSError as error:
        raise file_error(f"--output {output}: cannot be read ({error.strerror})", error) from error
    strangers = [file for file in strangers if not file.match(".*.tmp")]  # of a run that was killed
    require(not strangers, "--output", str(output), "an empty or new folder; this holds other files")


def write_settings(config: DegradeConfig, output: Path) -> None:
    """Note what the set is made with, or check that it is what the set was begun with.

    Raises:
        InputError: other settings, or none that can be read.
    """
    notes = notes_of(config)
    if not (output / SETTINGS).exists():
        for name, note in notes.items():  # SETTINGS last: where it stands, the set is begun
            with whole_file(output / name) as temporary:
                temporary.write_text(yaml.safe_dump(note, sort_keys=False))
        return
    try:
        same = read_notes(output) == notes
    except InputError as error:
        raise InputError(f"--output {output}: its {' or '.join(NOTES)} cannot be read; choose a new folder") from error
    wanted = f"a new folder, or the settings that it was begun with: {', '.join(NOTES)}"
    require(same, "--output", config.output, wanted)
