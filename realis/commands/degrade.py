"""``degrade``: the low-resolution set of any ground-truth folder, with the parameters that made it."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import yaml

from realis.config import as_plain
from realis.degradation.parameters import DegradationParameters
from realis.degradation.presets import load_degradation
from realis.errors import InputError, require
from realis.log import logger, progress
from realis.video.clips import Clip, find_clips, write_like

SETTINGS = "degradation.yaml"


@dataclass(frozen=True)
class DegradeConfig:
    """Make the low-resolution set of a ground-truth folder."""

    ground_truth: str  # folder of clips: sub-folders of frames, videos
    output: str  # folder that receives the low-resolution clips, and the parameters of each as JSON
    preset: str = "realbasicvsr"  # realbasicvsr, real_esrgan, light, bi, bd, or a YAML file of ranges
    scale: int = 4
    seed: int = 0
    replay: str = ""  # an earlier output: take the parameters of each clip from there, draw none
    workers: int = 0  # processes; 0: one a core

    def __post_init__(self) -> None:
        require(self.scale >= 1, "--scale", self.scale, "at least 1")
        require(self.seed >= 0, "--seed", self.seed, "0 or more")
        require(self.workers >= 0, "--workers", self.workers, "0 or more")
        load_degradation(self.preset)


def degrade(config: DegradeConfig) -> None:
    """Degrade every clip that is not there yet. A run that was stopped goes on where it was.

    Raises:
        InputError: nothing to degrade, an output made with other settings, clips that cannot be degraded (named at the
            end; the others are done).
    """
    clips, output = find_clips(Path(config.ground_truth)), Path(config.output)
    source, target = Path(config.ground_truth).resolve(), output.resolve()
    apart = target != source and source not in target.parents
    require(apart, "--output", config.output, "a folder outside of --ground-truth")
    if config.replay:
        for clip in clips:
            read_parameters(Path(config.replay), clip)
    write_settings(config, output)
    todo = [clip for clip in clips if not parameters_file(output, clip).exists()]
    if len(todo) < len(clips):
        logger.info("%d of %d clips are there already", len(clips) - len(todo), len(clips))
    if not todo:
        return
    failed = []
    with progress(total=sum(clip.announced_frames() for clip in todo), unit="frame") as bar:
        for clip, outcome in work(config, todo, bar.update):
            if isinstance(outcome, InputError):
                logger.error("%s: not degraded: %s", clip.name, outcome)
                failed.append(clip.name)
            elif outcome:
                logger.warning("%s: %s", clip.name, outcome)
    if failed:
        raise InputError(f"{len(failed)} of {len(clips)} clips could not be degraded: {', '.join(failed)}")
    logger.info("%d clips in %s, each with its parameters; the ranges are in %s", len(clips), output, output / SETTINGS)


def write_settings(config: DegradeConfig, output: Path) -> None:
    """Note what the set is made with, or check that it is what the set was made with before."""
    settings = {"scale": config.scale}
    if config.replay:
        settings |= {"replay": str(Path(config.replay).resolve())}
    else:
        settings |= {"seed": config.seed, "degradation": as_plain(load_degradation(config.preset))}
    file = output / SETTINGS
    try:
        output.mkdir(parents=True, exist_ok=True)
        if file.exists():
            same = yaml.safe_load(file.read_text()) == settings
            require(same, "--output", config.output, f"a new folder, or the settings that it was begun with ({file})")
        temporary = file.with_suffix(".tmp")
        temporary.write_text(yaml.safe_dump(settings, sort_keys=False))
        temporary.rename(file)
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written ({error.strerror})") from error


def work(
    config: DegradeConfig, clips: list[Clip], advance: Callable[[int], Any]
) -> Iterator[tuple[Clip, InputError | str]]:  # fmt: skip
    """Degrade ``clips`` in several processes, each clip in one; yields each when done, with what is to be said of it."""
    count = min(config.workers or os.cpu_count() or 1, len(clips))
    if not count:
        return
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(count, context, prepare_process) as pool:
        frames = manager.Queue()
        jobs = {pool.submit(degrade_clip, config, clip, frames): clip for clip in clips}
        waiting = set(jobs)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.3, return_when=FIRST_COMPLETED)
                advance(drained(frames))
                for job in done:
                    error = job.exception()
                    if error and not isinstance(error, InputError):
                        raise error
                    yield jobs[job], error or job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        advance(drained(frames))


def drained(queue: Any) -> int:
    """The sum of what lies in ``queue``."""
    total = 0
    try:
        while True:
            total += queue.get_nowait()
    except Empty:
        return total


def prepare_process() -> None:
    """One thread a process; Ctrl-C is the parent's business."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def degrade_clip(config: DegradeConfig, clip: Clip, frames_done: Any) -> str:
    """Degrade one clip; its parameters are written last, so that they stand for a finished clip.

    Returns what the user should know, if anything.
    """
    from realis.degradation.second_order import degrade_stream

    output = Path(config.output)
    count, (height, width) = measure(clip)
    size = (height // config.scale * config.scale, width // config.scale * config.scale)
    parameters = read_parameters(Path(config.replay), clip) if config.replay else draw(config, clip.name, count, size)
    drawn, got = (parameters.frames, parameters.size), (count, size)
    require(drawn == got, f"{clip.name}: frames and size", got, f"{drawn}, for which its parameters were drawn")

    def counted() -> Iterator[np.ndarray]:
        for frame in degrade_stream((image[: size[0], : size[1]] for image in clip.frames()), parameters):
            yield frame
            frames_done.put(1)

    write_like(clip, counted(), output / clip.name)
    file = parameters_file(output, clip)
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(parameters.to_json())
    temporary.rename(file)
    if size == (height, width):
        return ""
    return f"made from its left upper {size[1]}x{size[0]} of {width}x{height}, multiples of {config.scale}: cut the ground truth alike"


def draw(config: DegradeConfig, name: str, frames: int, size: tuple[int, int]) -> DegradationParameters:
    """Parameters that depend on the seed and the clip's name alone, not on which clips there are besides."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return load_degradation(config.preset).sample(
        np.random.default_rng((config.seed, number)), frames, size, config.scale
    )


def measure(clip: Clip) -> tuple[int, tuple[int, int]]:
    """Number of frames, by reading all of them, and their height and width."""
    count, size = 0, (0, 0)
    for frame in clip.frames():
        count, size = count + 1, frame.shape[:2]
    return count, size


def parameters_file(folder: Path, clip: Clip) -> Path:
    """Where the parameters of ``clip`` lie in a degraded set."""
    return folder / f"{clip.name}.json"


def read_parameters(folder: Path, clip: Clip) -> DegradationParameters:
    """Parameters of ``clip`` from a degraded set."""
    return DegradationParameters.from_json(parameters_file(folder, clip))
