"""``degrade``: the low-resolution set of any ground-truth folder, with the parameters that made it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from realis.commands.degrade_clips import degrade_all, degrade_by, parameters_file, result_files, source_files
from realis.commands.degrade_record import RECORD, Record, open_record
from realis.config import as_plain, read_recipe
from realis.degradation.parameters import DegradationParameters
from realis.degradation.presets import load_degradation
from realis.errors import InputError, require
from realis.files import remove_leftovers, whole_file
from realis.log import logger, progress
from realis.units import count
from realis.video.clips import Clip, find_clips

NOTES = SETTINGS, RANGES = "make_lr.yaml", "degradation.yaml"


@dataclass(frozen=True)
class DegradeConfig:
    """Make the low-resolution set of a ground-truth folder."""

    ground_truth: str  # folder of clips: sub-folders of frames, videos
    output: str  # folder that receives the low-resolution clips, and the parameters of each as JSON
    preset: str = "realbasicvsr"  # realbasicvsr, real_esrgan, light, bi, bd, or a YAML file of ranges
    scale: int = 4  # how much smaller the result is
    seed: int = 0  # of all draws; a clip's depends on it and on the clip's name alone
    replay: str = ""  # an earlier output: take the parameters of each clip from there, not from preset, scale, seed
    workers: int = 0  # processes; 0: one a core

    def __post_init__(self) -> None:
        require(self.scale >= 1, "--scale", self.scale, "at least 1")
        require(self.seed >= 0, "--seed", self.seed, "0 or more")
        require(self.workers >= 0, "--workers", self.workers, "0 or more")
        load_degradation(self.preset)


def degrade(config: DegradeConfig, share: Callable[..., Any] | None = None) -> None:
    """Degrade every clip that is not there yet, or is no longer what was made of it, or was made of something else. A run
    that was stopped goes on where it was.

    Args:
        share: gives the clips to processes that are there already; else there are some for this.

    Raises:
        InputError: nothing to degrade, an output that holds something else, clips that cannot be degraded (named at the
            end; the others are done).
    """
    output = Path(config.output)
    source, target = Path(config.ground_truth).resolve(), output.resolve()
    apart = source != target and source not in target.parents and target not in source.parents
    require(apart, "--output", config.output, "a folder neither in --ground-truth nor around it")
    clips = find_clips(Path(config.ground_truth))
    if config.replay:
        for clip in clips:
            DegradationParameters.read(parameters_file(Path(config.replay), clip))
    check_output(output)
    with open_record(output) as record:
        write_settings(config, output)
        remove_leftovers(output)
        todo = [clip for clip in clips
                if not record.holds(clip.name, source_files(config, clip), result_files(output, clip))]  # fmt: skip
        if len(todo) < len(clips):
            logger.info("already there: %d of %s", len(clips) - len(todo), count(len(clips), "clip"))
        if again := sum(clip.name in record.made for clip in todo):
            logger.info(
                "made again: %s, which is not as it was made, or whose ground truth is another", count(again, "clip")
            )
        if not todo:
            return
        failed = degrade_clips(config, todo, partial(degrade_by, share) if share else degrade_all, record)
    if failed:
        raise InputError(f"{len(failed)} of {count(len(clips), 'clip')} could not be degraded: {', '.join(failed)}")
    logger.info("%s in %s, the parameters of each beside it", count(len(clips), "clip"), output)


def degrade_clips(config: DegradeConfig, todo: list[Clip], by: Callable[..., Any], record: Record) -> list[str]:
    """Degrade the clips ``todo`` and note each in ``record``; returns the names of those that cannot be."""
    failed = []
    with progress(total=sum(clip.announced_frames() for clip in todo), unit="frame") as bar:
        for clip, outcome in by(config, todo, bar.update):
            if isinstance(outcome, BaseException):
                reason = outcome if isinstance(outcome, InputError) else repr(outcome)
                logger.error("%s: not degraded: %s", clip.name, reason)
                failed.append(clip.name)
                continue
            record.add(outcome.made)
            if outcome.note:
                logger.warning("%s: %s", clip.name, outcome.note)
    return failed


def notes_of(config: DegradeConfig) -> dict[str, Any]:
    """What a set is made with, by the files in which it says so."""
    if config.replay:
        return {SETTINGS: {"replay": str(Path(config.replay).resolve())}}
    ranges = as_plain(load_degradation(config.preset))
    return {RANGES: ranges, SETTINGS: {"scale": config.scale, "seed": config.seed}}


def read_notes(output: Path) -> dict[str, Any]:
    """The same of a set that is there.

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


def check_output(output: Path) -> None:
    """Whether a set may be in ``output``; nothing is written.

    Raises:
        InputError: it holds something that is no such set, which must not be touched.
    """
    try:
        begun = not output.exists() or (output / SETTINGS).exists()
        strangers = [] if begun else [file for file in output.iterdir() if file.name not in (*NOTES, RECORD)]
    except OSError as error:
        raise InputError(f"--output {output}: cannot be read ({error.strerror})") from error
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
