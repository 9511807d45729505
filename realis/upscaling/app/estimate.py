"""Estimate the time, memory and disk that an input takes, by upscaling one tile."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from realis.core import units
from realis.core.log import logger
from realis.core.system import peak_memory
from realis.tiling.plan import plan_tiles, step_grids
from realis.upscaling.app.loading import Loader, is_out_of_memory, out_of_memory_error
from realis.upscaling.app.plan import Plan, frames_memory, kept_memory
from realis.video.source import VideoFormat

WARM_UP = 10.0  # seconds: a tile that takes less is timed a second time, without the warm-up of the first


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of one input, or of several together.

    Args:
        frames: number of frames; inputs of unknown length do not count.
        seconds: of work.
        result: bytes of the result, going by typical footage.
    """

    frames: int = 0
    seconds: float = 0.0
    result: float = 0.0

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.frames + other.frames, self.seconds + other.seconds, self.result + other.result)

    def __str__(self) -> str:
        took = f"about {units.duration(self.seconds)} for {units.count(self.frames, 'frame')}"
        return f"{took}, and {units.size(self.result)} of disk for the result by usual footage"


class CostEstimator:
    """Estimates the cost of the inputs of one command: a tile of one size is timed once for all.

    Args:
        loader: loads the method.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self._samples: dict[tuple, Sample] = {}  # by the frames and the sizes of a tile

    def estimate(self, video_format: VideoFormat, plan: Plan, output: Path, prompt: str) -> Estimate:
        """Time one tile, log the cost of the whole input, and return it; zero where the number of frames is not known.

        Raises:
            RunError: the device runs out of memory.
        """
        at_a_time = plan.frames_at_a_time
        tiles = fmean(len(grid) for grid in step_grids(plan.tiles, plan.needs))
        sample = self._sample(video_format, plan, at_a_time, prompt)
        segment, memory = sample.seconds * tiles, memory_needed(self.loader, video_format, plan, sample)
        pace = f"{units.duration(segment)} for {units.count(at_a_time, 'frame')} on {self.loader.device}{memory}"
        if not plan.frames:
            logger.info("about %s; how many frames there are is not known", pace)
            return Estimate()
        result = plan.frames * plan.size[0] * plan.size[1] * plan.encoding.bits_per_pixel / 8
        found = Estimate(plan.frames, segment * plan.segments.count(plan.frames), result)
        logger.info("%s (%s); disk while at work: %s", found, pace, disk_space(plan, result, output))
        return found

    def _sample(self, video_format: VideoFormat, plan: Plan, frames: int, prompt: str) -> "Sample":
        scale = plan.native_size[0] / video_format.size[0]
        windows = (side + 2 * plan.needs.tile_context for side in plan.tile)
        lr_size = tuple(
            min(max(1, round(side / scale)), whole) for side, whole in zip(windows, video_format.size, strict=True)
        )
        case = (frames, plan.tile, lr_size)
        if case not in self._samples:
            logger.info("timing a sample of the work")
            try:
                self._samples[case] = time_a_tile(self.loader, plan, (frames, 3, *lr_size), prompt)
            except RuntimeError as error:
                raise (out_of_memory_error(plan) if is_out_of_memory(error) else error) from None
        return self._samples[case]


@dataclass(frozen=True)
class Sample:
    """What one tile took.

    Args:
        seconds: of work.
        peaks: of a GPU, the bytes in use at most up to each report of progress, such as of a sampling step.
    """

    seconds: float
    peaks: Sequence[int] = ()


def time_a_tile(loader: Loader, plan: Plan, shape: tuple[int, ...], prompt: str) -> Sample:
    """Return what the method takes for one tile of random frames of ``shape`` (F, 3, h, w)."""
    import torch

    from realis.upscaling.stream import segment_noise

    lr, size = torch.rand(shape), plan.needs.native_size((shape[2], shape[3]), plan.tile)
    upscaler, one = loader.upscaler, plan_tiles(size, None, 0, plan.needs.multiple)
    on_gpu, peaks = loader.device.startswith("cuda"), []

    def advance(share: float) -> None:
        if on_gpu:
            peaks.append(torch.cuda.max_memory_allocated(loader.device))
            torch.cuda.reset_peak_memory_stats(loader.device)

    def run() -> float:
        noise, began = segment_noise(plan.needs, 0, 0, len(lr), one), time.monotonic()
        upscaler.upscale(lr, size, tiles=one, noise=noise, carry={}, prompt=prompt, advance=advance)
        return time.monotonic() - began

    first = run()
    return Sample(first if first > WARM_UP else run(), peaks)


def memory_needed(loader: Loader, video_format: VideoFormat, plan: Plan, sample: Sample) -> str:
    """Describe the memory that the work takes at its peak: what the model and a tile take, and of a segment what its frames
    take, or what its tiles keep from step to step; they do so before there are frames of the result."""
    kept, frames, peak = kept_memory(loader.config, plan), frames_memory(plan, video_format), peak_memory()
    if sample.peaks:
        steps = sample.peaks[1:-1]  # the first is of encoding, the last of decoding
        most = max(*sample.peaks, *(step + kept for step in steps))
        return f" with {units.size(most)} of GPU memory"
    return f" with {units.size(peak * 2**30 + max(kept, frames))} of memory" if peak else ""


def disk_space(plan: Plan, result: float, output: Path) -> str:
    """Describe the disk space that is needed at most, and what is free. A video needs twice its size, as its segments stay
    until it is joined from them; images of segments are hard links, which take no more."""
    tail = plan.segments.overlap * plan.size[0] * plan.size[1] * 3 * 2
    most = tail + result * (1 if plan.encoding.codec == "png" else 2)
    folder = next(folder for folder in (output.parent, *output.resolve().parents) if folder.is_dir())
    return f"{units.size(most)}, free: {units.size(shutil.disk_usage(folder).free)}"
