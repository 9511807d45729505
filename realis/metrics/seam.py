"""Seams: does what a method added to its input change at the lines where its tiles meet?

Measured is the residual, the result minus the bicubically enlarged input, so that edges of the content hardly count;
and of it only strips around the lines. Nothing grows with the length of the video.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch

from realis.ops.pixels import luma
from realis.ops.resize import resize_window, sampling_matrix

REACH = 32  # pixels to both sides of a line that it is compared with
LEAST_OUTSIDE = 12  # of them that must be there, and in no other line
LEAST_BAND = 8  # pixels: narrower blends have too few to compare their detail
BORDER = 2  # pixels around the end of a blend in which its step may lie, as where the result was resized
ROWS = 270  # measured of a frame of that many or more, evenly spread: the cost of a line does not grow with the frame
BLOCK, LEAST_ROWS = 64, 16  # pixels, and measured rows at least, over which gradients are averaged with their signs: a
# seam has one sign, texture both
MOST = 1.0  # grey levels, to which gradients are clamped: an edge of the content must count no more than a seam
STEP, DETAIL = 1.6, 1.7  # ratios from which on a seam is seen: benchmarks/meters.py


@dataclass(frozen=True)
class Line:
    """A line between tiles.

    Args:
        axis: ``x``: a vertical line, between columns; ``y``: a horizontal one, between rows.
        start: the first column or row of the result in which neighbouring tiles are blended.
        stop: the first one after them; equal to ``start`` for a hard cut.
    """

    axis: Literal["x", "y"]
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.axis} = {(self.start + self.stop) // 2}"


@dataclass(frozen=True)
class Seam:
    """What was measured at a line between tiles.

    Args:
        line: where it is, such as ``x = 832``.
        step: the largest gradient at its ends over the 90th percentile beside it.
        detail: the residual's gradients within it over those beside it: less than 1 where blending blurs.
    """

    line: str
    step: float
    detail: float

    @property
    def severity(self) -> float:
        """1 or more: a seam."""
        return max(math.log(max(self.step, 1e-9)) / math.log(STEP), abs(math.log(self.detail)) / math.log(DETAIL))

    def __str__(self) -> str:
        verdict = "tiles probably show" if self.severity >= 1 else "none seen between tiles"
        return f"{verdict}; the worst is at {self.line}: steps {self.step:.2f} and detail {self.detail:.2f} times those beside it"


class SeamMeter:
    """Accumulates gradients of the residual around the lines between tiles.

    Args:
        lines: between the tiles of the result.
        size: height and width of the result.
        state: :attr:`state` after the previous frame; empty at the start, and ignored if it is of other lines.
    """

    def __init__(self, lines: Sequence[Line], size: tuple[int, int], state: Mapping[str, torch.Tensor]) -> None:
        self.lines = lines
        self._strips = [_strip(line, size) for line in lines]
        places = torch.tensor([[line.axis == "y", line.start, line.stop] for line in lines], dtype=torch.int64)
        width = sum(stop - start - 1 for start, stop in self._strips)
        same = "lines" in state and torch.equal(state["lines"], places)
        self.state = dict(state) if same else {"lines": places, "sums": torch.zeros(3, width, dtype=torch.float64)}

    def add(self, result: torch.Tensor, source: torch.Tensor) -> None:
        """Add a frame: ``result`` (3, H, W) of ``source`` (3, h, w), float32 in [0, 1]."""
        grey, sums, rows = luma(source), [], {}
        for axis in {line.axis for line in self.lines}:
            small, height = (grey, result.shape[1]) if axis == "x" else (grey.T, result.shape[2])
            rows[axis] = _measured_rows(len(small), height) @ small
        for line, (start, stop) in zip(self.lines, self._strips, strict=True):
            large = result if line.axis == "x" else result.transpose(1, 2)
            step, small = row_step(large.shape[1]), rows[line.axis]
            strip = luma(large[:, ::step, start:stop])
            enlarged = resize_window(small, (len(small), large.shape[2]), (0, len(small)), (start, stop)).clamp_(0, 1)
            sums.append(_gradients(255 * strip, 255 * enlarged, max(BLOCK // step, LEAST_ROWS)))
        if sums:
            self.state["sums"] += torch.cat(sums, dim=1)

    def seams(self) -> Iterator[Seam]:
        """Yield what was measured at each line that has enough beside it."""
        sums = self.state["sums"].split([stop - start - 1 for start, stop in self._strips], dim=1)
        for line, (start, _), (steps, residual, content) in zip(self.lines, self._strips, sums, strict=True):
            # gradient i is between columns start + i and start + i + 1
            columns = torch.arange(start + 1, start + 1 + len(steps))
            inside = [_within(columns, other) for other in self.lines if other.axis == line.axis]
            beside, band = ~torch.stack(inside).any(dim=0), (columns > line.start) & (columns < line.stop)
            if beside.sum() < LEAST_OUTSIDE:
                continue
            ends = torch.stack([(columns - end).abs() < BORDER for end in (line.start, line.stop)]).any(dim=0)
            step = float(steps[ends].max() / steps[beside].quantile(0.9).clamp(min=1e-9))
            detail = 1.0
            if line.stop - line.start >= LEAST_BAND:
                of_residual, of_content = (
                    (g[band].mean() + 1e-9) / (g[beside].mean() + 1e-9) for g in (residual, content)
                )
                # the residual grows about as the root of the content's gradient, which differs inside and beside
                detail = float(of_residual / of_content.sqrt())
            yield Seam(str(line), step, detail)

    def worst(self) -> Seam | None:
        """Return the worst line; ``None``: there is none, or nothing beside it."""
        return max(self.seams(), key=lambda seam: seam.severity, default=None)


def _strip(line: Line, size: tuple[int, int]) -> tuple[int, int]:
    """Return the columns, or rows, around a line that are measured."""
    return max(line.start - REACH - BORDER, 0), min(line.stop + REACH + BORDER, size[1 if line.axis == "x" else 0])


def _within(columns: torch.Tensor, line: Line) -> torch.Tensor:
    return (columns > line.start - BORDER) & (columns < line.stop + BORDER)


def row_step(height: int) -> int:
    """Return the distance between measured rows of a frame."""
    return max(height // ROWS, 1)


@lru_cache(maxsize=8)
def _measured_rows(in_size: int, out_size: int) -> torch.Tensor:
    """Return the measured rows of the matrix that enlarges ``in_size`` pixels to ``out_size``, sparse."""
    step = in_size / out_size
    centres = (torch.arange(0, out_size, row_step(out_size)).double() + 0.5) * step
    return sampling_matrix(in_size, centres, step).to_sparse()


def _gradients(strip: torch.Tensor, enlarged: torch.Tensor, block: int) -> torch.Tensor:
    """Return for each gap between columns (3, W - 1) float64: gradients of the residual averaged with their signs over
    blocks of so many rows, those of single rows, and those of the enlarged input; their magnitudes, averaged over rows."""
    residual, content = (strip - enlarged).diff(dim=1), enlarged.diff(dim=1)
    block = min(block, len(residual))
    blocks = residual[: len(residual) // block * block].clamp(-MOST, MOST).unflatten(0, (-1, block))
    averaged = blocks.mean(dim=1).abs().mean(dim=0)
    return torch.stack([averaged, residual.abs().mean(dim=0), content.abs().mean(dim=0)]).double()
