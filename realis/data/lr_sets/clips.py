"""The work of ``degrade``: clips in several processes, each clip complete or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from realis.core.errors import require
from realis.core.files import fitting_name, sync, whole_file
from realis.data.lr_sets.config import DegradeConfig
from realis.data.lr_sets.record import DegradedClip, FilesState
from realis.degradation.parameters import DegradationParameters
from realis.degradation.presets import load_degradation
from realis.parallel.progress import SharedProgress, count_one, share
from realis.parallel.workers import Workers
from realis.video.sequences import FrameSequence, write_like, written_path

DEGRADING = ("realis.degradation.second_order",)  # modules with torch, which whoever degrades imports


class Outcome(NamedTuple):
    """What was made of a clip, and what the user should know of it, if anything."""

    made: DegradedClip
    note: str


Done = tuple[FrameSequence, BaseException | Outcome]


def degrade_by(
    share: Callable[..., Iterator[Done]],
    config: DegradeConfig,
    clips: list[FrameSequence],
    advance: Callable[[int], Any],
) -> Iterator[Done]:
    """Degrade ``clips`` by processes that are there already (:meth:`realis.parallel.workers.Workers.tasks`); yields
    each when done."""
    for clip, outcome in share(partial(degrade_clip, config), clips):
        advance(clip.announced_frames())
        yield clip, outcome


def degrade_all(config: DegradeConfig, clips: list[FrameSequence], advance: Callable[[int], Any]) -> Iterator[Done]:
    """Degrade ``clips``, several at a time; yields each when done. Progress goes on with every frame."""
    work, done = partial(degrade_clip, config), SharedProgress(advance)
    with Workers(config.workers, share, (done.counter,), DEGRADING) as workers:
        yield from workers.tasks(work, clips, done.tick)


def degrade_clip(config: DegradeConfig, clip: FrameSequence) -> Outcome:
    """Degrade one clip; what is made is on disk when this returns."""
    from realis.degradation.second_order import degrade_stream

    source = FilesState.of(
        source_files(config, clip)
    )  # before it is read: if it is replaced meanwhile, the next run knows
    output = Path(config.output)
    for file in result_files(output, clip):  # of another ground truth, or damaged: it must not stay if this fails
        file.unlink(missing_ok=True)
    count, height, width = count_and_size(clip)
    if config.replay:
        parameters = DegradationParameters.read(parameters_file(Path(config.replay), clip))
    else:
        least = 2 * config.scale
        require(min(height, width) >= least, "size", f"{width}x{height}", f"at least {least}x{least} at this scale")
        size = (height // config.scale * config.scale, width // config.scale * config.scale)
        parameters = draw_parameters(config.preset, config.scale, config.seed, clip.name, count, size)
    h, w = parameters.size
    fits = parameters.frames == count and h <= height and w <= width
    drawn_for = f"{parameters.frames} x {w}x{h} as when it was drawn"
    require(fits, "frames and size", f"{count} x {width}x{height}", drawn_for)
    write_like(
        clip,
        degrade_stream(count_frames(image[:h, :w] for image in clip.frames(threads=1)), parameters),
        output / clip.name,
    )
    with whole_file(parameters_file(output, clip)) as temporary:
        temporary.write_text(parameters.to_json())
    files = result_files(output, clip)
    folders = {folder for file in files for folder in file.parents if folder == output or output in folder.parents}
    for folder in folders:  # for the names of new ones in them
        sync(folder)
    note = f"made from the left upper {w}x{h} of {width}x{height}: cut the ground truth alike before comparing"
    return Outcome(DegradedClip(clip.name, source, FilesState.of(files)), "" if (h, w) == (height, width) else note)


def count_frames(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield ``images``, and count each when it is read: an encoder takes all of them before the first one comes out."""
    for image in images:
        yield image
        count_one()


def draw_parameters(
    preset: str, scale: int, seed: int, name: str, frames: int, size: tuple[int, int]
) -> DegradationParameters:
    """Draw parameters for a clip that depend on the seed and the clip's name alone, not on which clips there are besides."""
    number = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8])  # names need not be UTF-8
    return load_degradation(preset).sample(np.random.default_rng((seed, number)), frames, size, scale)


def count_and_size(clip: FrameSequence) -> tuple[int, int, int]:
    """Number of frames, by reading all of them, and their height and width."""
    count = height = width = 0
    for frame in clip.frames(threads=1):
        count, (height, width) = count + 1, frame.shape[:2]
    return count, height, width


def parameters_file(folder: Path, clip: FrameSequence) -> Path:
    """Return where the parameters of ``clip`` lie in a degraded set."""
    file = folder / clip.name
    return file.with_name(fitting_name(file.name, ".json"))


def source_files(config: DegradeConfig, clip: FrameSequence) -> list[Path]:
    """Return what ``clip`` is made from: its frames or its video, and parameters that are replayed."""
    replayed = [parameters_file(Path(config.replay), clip)] if config.replay else []
    return [*(clip.images or [clip.path]), *replayed]


def result_files(output: Path, clip: FrameSequence) -> list[Path]:
    """Return what is made of ``clip``: frames or a video, and the parameters. Where nothing was made, files that are
    not there."""
    result = written_path(clip, output / clip.name)
    return [*(FrameSequence(clip.name, result).images or [result]), parameters_file(output, clip)]
