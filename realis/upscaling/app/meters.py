"""Meters that run with every upscale by a network, and say of the result whether its tiles or its segments show."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from realis.core.log import logger
from realis.upscaling.app.plan import Plan

if TYPE_CHECKING:
    import torch

    from realis.metrics.seam import Line

Notes = dict[str, dict[str, str | float]]  # what a meter measured, by its name
UNITS = {"luma": (1.0, "levels"), "detail": (100.0, "%")}  # what sizes are multiplied with, and their unit then


class Meters:
    """A meter of seams between the tiles of a plan, and one of pulses with its segments.

    Of a method that only resizes they measure nothing: it adds nothing to the input that could show either.

    Args:
        plan: of the result.
        carry: of the last finished segment, out of which :attr:`state` is taken; empty at the start.
    """

    def __init__(self, plan: Plan, carry: "dict[str, torch.Tensor]") -> None:
        from realis.metrics.pulse import PulseMeter
        from realis.metrics.seam import SeamMeter

        def taken(prefix: str) -> "dict[str, torch.Tensor]":
            return {name.removeprefix(prefix): carry.pop(name) for name in list(carry) if name.startswith(prefix)}

        segments, adds = plan.segments, plan.needs.is_network
        periods = {segments.frames - segments.overlap, segments.period} - {1} if adds else set()
        self.seam = SeamMeter(tile_lines(plan) if adds else [], plan.size, taken("seam."))
        self.pulse = PulseMeter(sorted(periods), taken("pulse."))

    def add(self, result: "torch.Tensor", source: "torch.Tensor", position: int) -> None:
        """Add a frame: ``result`` (3, H, W) of ``source`` (3, h, w), float32 in [0, 1], at a position in its segment."""
        self.seam.add(result, source)
        self.pulse.add(result, source, position)

    @property
    def state(self) -> "dict[str, torch.Tensor]":
        """What a run that goes on after this frame needs."""
        states = {"seam.": self.seam.state, "pulse.": self.pulse.state}
        return {prefix + name: x.clone() for prefix, state in states.items() for name, x in state.items()}

    def notes(self) -> Notes:
        """Return what was measured, for :func:`log_meters`; nothing of what cannot be told."""
        worst = {"seams": self.seam.worst(), "pulses": self.pulse.worst()}
        return {name: asdict(one) | {"severity": one.severity} for name, one in worst.items() if one}


def tile_lines(plan: Plan) -> "list[Line]":
    """Return the lines of the result at which tiles of the plan meet."""
    from realis.metrics.seam import Line
    from realis.tiling.blend import blended_ranges

    lines, both = [], (plan.tiles.rows, plan.tiles.columns)
    for axis, spans, native, size in zip("yx", both, plan.native_size, plan.size, strict=True):
        for start, stop in blended_ranges(spans, plan.tiles.blend):
            first, last = start * size // native, -(-stop * size // native)
            if first < size:  # the canvas may be larger than the frame
                lines.append(Line(axis, first, min(last, size)))
    return lines


def log_meters(notes: Notes) -> None:
    """Log a line for each meter that measured something, a warning where the result shows a seam or a pulse."""
    if seam := notes.get("seams"):
        place = f"at {seam['line']} steps are {seam['step']:.2f} times and detail {seam['detail']:.2f} times those beside it"
        if seam["severity"] >= 1:
            logger.warning("seams: tiles probably show: %s; larger tiles, or a larger overlap of them, may help", place)
        else:
            logger.info("seams: none seen between tiles; the worst: %s", place)
    if pulse := notes.get("pulses"):
        factor, unit = UNITS[str(pulse["what"])]
        place = (f"{pulse['what']} of frame {pulse['position']} of every {pulse['period']} differs from its neighbours by "
                 f"{factor * pulse['size']:.2g} {unit}, of others by {factor * pulse['usual']:.2g}")  # fmt: skip
        if pulse["severity"] >= 1:
            logger.warning("pulses: the result probably pulses: %s", place)
        else:
            logger.info("pulses: none seen; the worst: %s", place)
