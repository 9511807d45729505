"""The settings of a build: ``build.yaml`` in its folder, to which a stage adds its own when it begins."""

from pathlib import Path
from typing import Any

import yaml

from realis.builder.config import BuildConfig
from realis.builder.ledger import MEASURED
from realis.core.config import RUN, marked, read_recipe
from realis.core.errors import InputError, require
from realis.core.files import whole_file

SETTINGS, CALIBRATED = "build.yaml", "quality.yaml"  # in the folder of the build
FREE = marked(BuildConfig, RUN)  # what may change when a build is resumed: it does not change what is built
# The ledgers of stages of several steps; those of others have the name of the stage
LEDGERS = {"probe": ("licences", "probe"), "quality": ("scores", "quality"), "duplicates": ("hashes", "duplicates")}
COSTLY = ("probe", "scores", "hashes")  # ledgers of costly steps: only settings marked MEASURED invalidate them


def check_build_folder(folder: Path) -> None:
    """Check that ``folder`` is new, empty, or holds a build; nothing is written.

    Raises:
        InputError: it holds something else.
    """
    require(not folder.is_file(), "--output", f"{folder}, a file", "a folder")
    if folder.is_dir() and not (folder / SETTINGS).exists():
        own = ("work", CALIBRATED, f".{SETTINGS}.*.tmp")  # the last one is left by a run that was killed
        foreign = sorted(one.name for one in folder.iterdir() if not any(map(one.match, own)))
        require(not foreign, "--output", f"{folder} with {', '.join(foreign[:3])} in it", "an empty or new folder")


class Settings:
    """The settings that a build was made with so far: those of stages that have begun, and those of no stage.

    Args:
        settings: the settings of this run, as plain values: a section for each stage, and others.
        stages: names of the stages.
        folder: of the build.
        anew: accept settings that differ from the noted ones; the stages concerned forget what they have done. Implied
            as long as no stage but ``probe`` has begun.

    Raises:
        InputError: settings differ, and not ``anew``.
    """

    def __init__(self, settings: dict[str, Any], stages: tuple[str, ...], folder: Path, anew: bool) -> None:
        self.settings, self.folder = settings, folder
        noted = self._read()
        begun = {stage for stage in stages if stage in noted}
        self.waiting = set(stages) - begun
        changed = compare_settings(noted, {name: settings[name] for name in settings if name in noted})
        if changed and not (anew or begun <= {"probe"}):
            said = "; ".join(f"--{name} was {was!r}, is {now!r}" for name, (was, now) in changed.items())
            raise InputError(f"--output {folder} was begun with other settings: {said}; give those again, add --anew to do "
                             "the stages that they concern once more, or choose a new folder")  # fmt: skip
        for stage in begun:
            self._forget(stage, {name for name in changed if name.partition(".")[0] == stage})
        if changed or not noted:
            self._write()

    def begin(self, stage: str) -> None:
        """Note the settings of ``stage``, before it writes anything."""
        if stage in self.waiting:
            self.waiting.remove(stage)
            self._write()

    def _read(self) -> dict[str, Any]:
        file = self.folder / SETTINGS
        if not file.exists():
            return {}
        try:
            noted = read_recipe(file)
            flat_settings(noted)  # raises if the file holds something else
        except (InputError, TypeError, AttributeError) as error:
            raise InputError(f"{file}: cannot be read ({error}); choose a new --output") from error
        return noted

    def _write(self) -> None:
        noted = {name: value for name, value in self.settings.items() if name not in {*self.waiting, "anew"}}
        with whole_file(self.folder / SETTINGS) as temporary:
            temporary.write_text(yaml.safe_dump(noted, sort_keys=False, allow_unicode=True))

    def _forget(self, stage: str, changed: set[str]) -> None:
        """Remove the ledgers of ``stage`` that depend on the settings that have ``changed``."""
        measured = {name.replace("_", "-") for name in marked(BuildConfig, MEASURED)}
        for ledger in LEDGERS.get(stage, (stage,)):
            if changed & measured if ledger in COSTLY else changed:
                (self.folder / "work" / f"{ledger}.jsonl").unlink(missing_ok=True)


def compare_settings(noted: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, by the name of their flag: the noted value and the one now."""
    was, given = flat_settings(noted), flat_settings(now)
    return {name: (was.get(name), given.get(name)) for name in sorted(was.keys() | given.keys())
            if was.get(name) != given.get(name)}  # fmt: skip


def binding_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what is built, as a recipe."""
    bound = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            value = {key: one for key, one in value.items() if f"{name}.{key}" not in FREE}
        if name not in FREE and value != {}:
            bound[name] = value
    return bound


def flat_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return :func:`binding_settings` flat, by the names of their flags; sources normalised: ``./footage/`` is ``footage``."""
    flat = {}
    bound = binding_settings(settings)
    if "source" in bound:
        bound["source"] = [str(Path(word)) for word in bound["source"]]
    for name, value in bound.items():
        flat |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return {key.replace("_", "-"): value for key, value in flat.items()}
