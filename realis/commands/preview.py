"""A look at the result before all of the work: one segment from the middle."""

from collections import deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.commands.device import load
from realis.commands.findings import Findings
from realis.commands.frames import read_frames, stored_frames
from realis.commands.plan import Plan
from realis.log import progress
from realis.video.source import TimedFrame, open_source
from realis.video.write import SegmentWriter

if TYPE_CHECKING:
    import torch

    from realis.commands.upscale import UpscaleConfig


def write_preview(
    config: "UpscaleConfig", path: Path, plan: Plan, output: Path, key: dict[str, Any], findings: Findings
) -> None:
    """Upscale one segment from the middle of ``path``, without sound."""
    from realis.upscaling.color_fix import ColorFix
    from realis.upscaling.stream import upscale_stream

    with open_source(path, config.deinterlace, config.span) as source:
        rate, middle = source.rate, max(0, ((plan.frames or 0) - plan.segments.frames) // 2)
    with SegmentWriter(
        output, plan.size, rate, plan.encoding, pixel_aspect=plan.pixel_aspect, key=key, anew=config.restart
    ) as sink:
        if sink.journal.complete:
            return
        waiting: deque[TimedFrame] = deque()
        frames = middle_frames(config, path, plan, middle, waiting)
        upscaler, fix = load(config, plan), ColorFix(config.color_fix, {})
        with progress(total=len(frames), unit="frame") as bar:
            (segment,) = upscale_stream(upscaler, frames, plan.size, plan.tiles, config.seed, bar.update)
        faults = findings.played(middle, waiting)
        sink.write(0, stored_frames(segment, waiting, fix, plan.encoding), faults=faults, last=True)


def middle_frames(
    config: "UpscaleConfig", path: Path, plan: Plan, first: int, waiting: deque[TimedFrame]
) -> "list[torch.Tensor]":
    """A segment's frames from number ``first`` on, or from the start if that was beyond the end: the number of frames may
    be an estimate."""
    opaque = not plan.encoding.alpha and not config.drop_alpha
    with open_source(path, config.deinterlace, config.span) as source:
        frames = list(islice(read_frames(source, source.frames(first), waiting, opaque), plan.segments.frames))
    return frames or middle_frames(config, path, plan, 0, waiting)
