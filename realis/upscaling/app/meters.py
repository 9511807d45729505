"""Meters that run with every upscale, and say of the result whether its tiles or its segments show."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from realis.core.log import logger
from realis.upscaler import Tiling
from realis.upscaling.app.plan import Plan

if TYPE_CHECKING:
    import torch

    from realis.metrics.seam import Line

Notes = dict[str, dict[str, str | float]]  # what a meter measured, by its name


class Meters:
    """A meter of seams between the tiles of a plan, and one of pulses with its segments.

    Without tiles or segments on which frames depend, as of a method that only resizes, they measure nothing.

    Args:
        plan: of the result.
        carry: of the last finished segment, out of which :attr:`state` is taken; empty at the start.
        first: number of the frame that is added next.
    """

    def __init__(self, plan: Plan, carry: "dict[str, torch.Tensor]", first: int = 0) -> None:
        from realis.metrics.pulse import PulseMeter
        from realis.metrics.seam import SeamMeter

        def taken(prefix: str) -> "dict[str, torch.Tensor]":
            return {name.removeprefix(prefix): carry.pop(name) for name in list(carry) if name.startswith(prefix)}

        segments = plan.segments
        periods = set() if segments.independent else {segments.frames - segments.overlap, segments.period} - {1}
        self.seam = SeamMeter(tile_lines(plan.tiles, plan.native_size, plan.size), plan.size, taken("seam."), first)
        self.pulse = PulseMeter(sorted(periods), taken("pulse."))

    def add(self, result: "torch.Tensor", source: "torch.Tensor", position: int) -> None:
        """Add a frame: ``result`` (3, H, W) of ``source`` (3, h, w), float32 in [0, 1], at a position in its segment."""
        self.seam.add(result, source)
        self.pulse.add(result, source, position)

    def begin_shot(self) -> None:
        """Compare no frame after this with one before."""
        self.pulse.begin_shot()

    @property
    def state(self) -> "dict[str, torch.Tensor]":
        """What a run that goes on after this frame needs."""
        states = {"seam.": self.seam.state, "pulse.": self.pulse.state}
        return {prefix + name: x.clone() for prefix, state in states.items() for name, x in state.items()}

    def notes(self) -> Notes:
        """Return what was measured, for :func:`log_meters`; nothing of what cannot be told."""
        worst = {"seams": self.seam.worst(), "pulses": self.pulse.worst()}
        return {
            name: asdict(one) | {"severity": one.severity, "summary": str(one)} for name, one in worst.items() if one
        }


def tile_lines(tiles: Tiling, native_size: tuple[int, int], size: tuple[int, int]) -> "list[Line]":
    """Return the lines at which tiles of frames of ``native_size`` meet in a result that is resized to ``size``."""
    from realis.metrics.seam import Line
    from realis.tiling.blend import overlaps

    def of(axis: Literal["x", "y"], spans: Sequence[tuple[int, int]], native: int, side: int) -> Iterator[Line]:
        for start, stop in overlaps(spans):
            first, last = start * side // native, -(-stop * side // native)
            if first < side:  # the canvas may be larger than the frame
                yield Line(axis, first, min(last, side))

    return [*of("y", tiles.rows, native_size[0], size[0]), *of("x", tiles.columns, native_size[1], size[1])]


def log_meters(notes: Notes) -> None:
    """Log a line for each meter that measured something, a warning where the result shows a seam or a pulse."""
    for name, measured in notes.items():
        level = logging.WARNING if float(measured["severity"]) >= 1 else logging.INFO
        logger.log(level, "%s: %s", name, measured["summary"])
