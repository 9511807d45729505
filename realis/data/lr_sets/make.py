"""The low-resolution set of any ground-truth folder, with the parameters that made it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, RunError, error_of_several, file_error, require
from realis.core.files import remove_leftovers
from realis.core.log import logger, progress
from realis.core.units import count
from realis.data.lr_sets.clips import degrade_all, degrade_by, parameters_file, result_files, source_files
from realis.data.lr_sets.config import DegradeConfig
from realis.data.lr_sets.notes import check_lr_folder, write_settings
from realis.data.lr_sets.record import Record, open_record
from realis.degradation.parameters import DegradationParameters
from realis.video.sequences import FrameSequence, find_sequences


def make_lr_set(config: DegradeConfig, share: Callable[..., Any] | None = None) -> None:
    """Degrade every clip that is not there yet, or is no longer what was made of it, or was made of something else. A run
    that was stopped goes on where it was.

    Args:
        share: gives the clips to processes that are there already; else there are some for this.

    Raises:
        InputError: nothing to degrade, an output that holds something else, clips that cannot be degraded (named at the
            end; the others are done).
        RunError: the same of clips for which there is no room on the disk; or a process was killed.
    """
    output = Path(config.output)
    source, target = Path(config.ground_truth).resolve(), output.resolve()
    apart = source != target and source not in target.parents and target not in source.parents
    require(apart, "--output", config.output, "a folder neither in --ground-truth nor around it")
    clips = find_sequences(Path(config.ground_truth))
    if config.replay:
        for clip in clips:
            DegradationParameters.read(parameters_file(Path(config.replay), clip))
    check_lr_folder(output)
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
        message = f"{len(failed)} of {count(len(clips), 'clip')} could not be degraded: {', '.join(failed)}"
        raise error_of_several(message, failed.values())
    logger.info("%s in %s, the parameters of each beside it", count(len(clips), "clip"), output)


def degrade_clips(
    config: DegradeConfig, todo: list[FrameSequence], by: Callable[..., Any], record: Record
) -> dict[str, type[BaseException]]:
    """Degrade the clips ``todo`` and note each in ``record``; returns the names of those that cannot be, and the kind of
    error."""
    failed = {}
    with progress(total=sum(clip.announced_frames() for clip in todo), unit="frame") as bar:
        for clip, outcome in by(config, todo, bar.update):
            if isinstance(outcome, BaseException):
                reason = outcome if isinstance(outcome, InputError | RunError) else repr(outcome)
                logger.error("%s: not degraded: %s", clip.name, reason)
                failed[clip.name] = type(file_error("", outcome) if isinstance(outcome, OSError) else outcome)
                continue
            record.add(outcome.made)
            if outcome.note:
                logger.warning("%s: %s", clip.name, outcome.note)
    return failed
