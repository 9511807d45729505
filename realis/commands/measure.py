"""What the work of a plan will take: time, memory, disk. One tile is upscaled for it."""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from realis.commands.device import load, usable_device
from realis.commands.plan import Plan
from realis.upscaler import Tiling
from realis.video.source import Source

if TYPE_CHECKING:
    from realis.commands.upscale import UpscaleConfig


def measure_plan(config: "UpscaleConfig", source: Source, plan: Plan, output: Path) -> str:
    """What the work will take, in words."""
    device = usable_device(config.device)
    seconds = time_a_tile(config, source, plan) * len(plan.tiles)
    count, frames = plan.frames, plan.segments.frames
    whole = f"about {seconds * plan.segments.count(count) / 60:.1f} minutes in all" if count else "of an unknown number"
    return (
        f"one segment of {frames} frames takes about {seconds:.0f} s on {device}{gpu_memory(device)}, {whole}; "
        f"{disk_space(plan, output)}"
    )


def time_a_tile(config: "UpscaleConfig", source: Source, plan: Plan) -> float:
    """Seconds that one tile of a segment takes."""
    import torch

    from realis.ops.noise import NoiseField

    (height, width), scale = plan.tile, plan.size[0] / source.look.size[0]
    lr = torch.rand(plan.segments.frames, 3, max(1, round(height / scale)), max(1, round(width / scale)))
    upscaler, one = load(config, plan), Tiling([(0, height)], [(0, width)])
    began = time.monotonic()
    upscaler.upscale(lr, (height, width), tiles=one, noise=NoiseField(0, 0), carry={}, advance=lambda share: None)
    return time.monotonic() - began


def gpu_memory(device: str) -> str:
    """What that tile and the model took of the device's own memory, in words."""
    import torch

    if not device.startswith("cuda"):
        return ""
    return f" and {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB of GPU memory"


def disk_space(plan: Plan, output: Path) -> str:
    """What is needed and what is free, in words. The segments of a video stay until it is joined from them; images of
    segments are given a second name."""
    pixels = plan.size[0] * plan.size[1]
    waiting = plan.segments.overlap * pixels * 3 * 2
    folder = next(folder for folder in (output.parent, *output.resolve().parents) if folder.is_dir())
    free = f"{shutil.disk_usage(folder).free / 2**30:.0f} GiB are free"
    if not plan.frames:
        return f"of an unknown size, {free}"
    result = plan.frames * pixels * plan.encoding.bits_per_pixel / 8
    most = waiting + result * (1 if plan.encoding.codec == "png" else 2)
    return (
        f"by an estimate from usual footage the result takes {result / 2**30:.2f} GiB of disk, and all the work, with segments "
        f"until they are joined, {most / 2**30:.2f} GiB; {free}"
    )
