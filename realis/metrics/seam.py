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
BANDS = range(8, 65)  # pixels: narrower blends have too few to compare their detail; in wider ones the content differs
BORDER = 2  # pixels around the end of a blend in which its step may lie, as where the result was resized
ROWS = 270  # measured of a frame at most, evenly spread: the cost of a line does not grow with the frame
BLOCK, LEAST_ROWS = 64, 16  # pixels, and measured rows at least, over which gradients and offsets are averaged with
# their signs: a seam has one sign, texture both
LEAST = 0.15  # grey levels: smaller gradients count as this, so that nothing invisible is accused beside a flat content
MOST = 1.0  # grey levels, to which gradients are clamped: an edge of the content must count no more than a seam
# From here on a seam is seen: 12 to 25 % above the largest of untouched lines, benchmarks/meters.py
STEP, DETAIL = 1.8, 1.9  # ratios
OFFSET = 2.0  # grey levels: the largest was 1.04 at a strength of 0.65, which is 1.6 at 1


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
        detail: the residual's gradients within it over those beside it: less than 1 where blending blurs; 1 where it
            cannot be told.
        offset: in grey levels, by which the residual on one side differs from that on the other; 0 where it cannot be
            told.
        first: number of the first frame measured; not 0 if frames before it had other lines.
    """

    line: str
    step: float
    detail: float
    offset: float
    first: int

    @property
    def severity(self) -> float:
        """1 or more: a seam."""
        step, detail = math.log(max(self.step, 1e-9)) / math.log(STEP), abs(math.log(self.detail)) / math.log(DETAIL)
        return max(step, detail, self.offset / OFFSET)

    def __str__(self) -> str:
        start = f" from frame {self.first} on" if self.first else ""
        shows = self.severity >= 1
        verdict = (
            f"tiles probably show{start}, and more overlap may help" if shows else f"none seen between tiles{start}"
        )
        return (
            f"{verdict}; the worst is at {self.line}: steps {self.step:.2f} times those beside it (a seam: {STEP}), detail "
            f"{self.detail:.2f} ({DETAIL}), {self.offset:.2g} levels from side to side ({OFFSET:g})"
        )


class SeamMeter:
    """Accumulates gradients and offsets of the residual around the lines between tiles.

    Args:
        lines: between the tiles of the result.
        size: height and width of the result.
        state: :attr:`state` after the previous frame; empty at the start, and ignored if it is of other lines.
        first: number of the frame that is added next.
    """

    def __init__(
        self, lines: Sequence[Line], size: tuple[int, int], state: Mapping[str, torch.Tensor], first: int = 0
    ) -> None:
        self.lines = lines
        self._strips = [_strip(line, size) for line in lines]
        self._sides = [_sides(line, strip) for line, strip in zip(lines, self._strips, strict=True)]
        self._blocks = [_row_blocks(size[0 if line.axis == "x" else 1]) for line in lines]
        places = torch.tensor([[line.axis == "y", line.start, line.stop] for line in lines], dtype=torch.int64)
        width = sum(stop - start - 1 for start, stop in self._strips)
        same = "lines" in state and torch.equal(state["lines"], places)
        self.state = dict(state) if same else {
            "lines": places,
            "sums": torch.zeros(3, width, dtype=torch.float64),
            "offsets": torch.zeros(sum(self._blocks), dtype=torch.float64),
            "frames": torch.tensor([first, 0]),  # the first one, and how many
        }  # fmt: skip

    def add(self, result: torch.Tensor, source: torch.Tensor) -> None:
        """Add a frame: ``result`` (3, H, W) of ``source`` (3, h, w), float32 in [0, 1]."""
        grey, sums, offsets, rows = luma(source), [], [], {}
        for axis in {line.axis for line in self.lines}:
            small, height = (grey, result.shape[1]) if axis == "x" else (grey.T, result.shape[2])
            rows[axis] = _measured_rows(len(small), height) @ small
        for line, (start, stop), sides in zip(self.lines, self._strips, self._sides, strict=True):
            large = result if line.axis == "x" else result.transpose(1, 2)
            small, block = rows[line.axis], _row_block(large.shape[1])
            strip = luma(large[:, :: row_step(large.shape[1]), start:stop])
            enlarged = resize_window(small, (len(small), large.shape[2]), (0, len(small)), (start, stop)).clamp_(0, 1)
            residual, content = 255 * (strip - enlarged), 255 * enlarged
            sums.append(_gradients(residual, content, block))
            offsets.append(_block_means(residual, block) @ sides)
        if sums:
            self.state["sums"] += torch.cat(sums, dim=1)
            self.state["offsets"] += torch.cat(offsets)
        self.state["frames"] += torch.tensor([0, 1])

    def seams(self) -> Iterator[Seam]:
        """Yield what was measured at each line that has enough beside it; nothing before the first frame."""
        first, number = self.state["frames"].tolist()
        if not number:
            return
        sums = (self.state["sums"] / number).split([stop - start - 1 for start, stop in self._strips], dim=1)
        offsets = (self.state["offsets"] / number).abs().split(self._blocks)
        measured = zip(self.lines, self._strips, sums, offsets, strict=True)
        for line, (start, _), (steps, residual, content), offset in measured:
            # gradient i is between columns start + i and start + i + 1
            columns = torch.arange(start + 1, start + 1 + len(steps))
            inside = [_within(columns, other) for other in self.lines if other.axis == line.axis]
            beside, band = ~torch.stack(inside).any(dim=0), (columns > line.start) & (columns < line.stop)
            if beside.sum() < LEAST_OUTSIDE:
                continue
            ends = torch.stack([(columns - end).abs() < BORDER for end in (line.start, line.stop)]).any(dim=0)
            step = float(steps[ends].max() / steps[beside].quantile(0.9).clamp(min=LEAST))
            detail = 1.0
            if line.stop - line.start in BANDS:
                of_residual, of_content = (
                    g[band].mean().clamp(min=LEAST) / g[beside].mean().clamp(min=LEAST) for g in (residual, content)
                )
                # the residual grows about as the root of the content's gradient, which differs inside and beside
                detail = float(of_residual / of_content.sqrt())
            yield Seam(str(line), step, detail, float(offset.mean()), first)

    def worst(self) -> Seam | None:
        """Return the worst line; ``None``: there is none, or nothing beside it."""
        return max(self.seams(), key=lambda seam: seam.severity, default=None)


def _strip(line: Line, size: tuple[int, int]) -> tuple[int, int]:
    """Return the columns, or rows, around a line that are measured."""
    return max(line.start - REACH - BORDER, 0), min(line.stop + REACH + BORDER, size[1 if line.axis == "x" else 0])


def _sides(line: Line, strip: tuple[int, int]) -> torch.Tensor:
    """Return the weights (columns of the strip,) by which the mean before the line is taken from that after it."""
    columns = torch.arange(*strip)
    before, after = (columns < line.start - BORDER).float(), (columns >= line.stop + BORDER).float()
    told = min(before.sum(), after.sum()) >= LEAST_OUTSIDE
    return after / after.sum() - before / before.sum() if told else torch.zeros(len(columns))


def _within(columns: torch.Tensor, line: Line) -> torch.Tensor:
    return (columns > line.start - BORDER) & (columns < line.stop + BORDER)


def row_step(height: int) -> int:
    """Return the distance between measured rows of a frame."""
    return -(-height // ROWS)


def _row_block(height: int) -> int:
    """Return how many measured rows of a frame are averaged."""
    return max(BLOCK // row_step(height), LEAST_ROWS)


def _row_blocks(height: int) -> int:
    """Return how many blocks of measured rows a frame has."""
    return max(-(-height // row_step(height)) // _row_block(height), 1)


@lru_cache(maxsize=8)
def _measured_rows(in_size: int, out_size: int) -> torch.Tensor:
    """Return the measured rows of the matrix that enlarges ``in_size`` pixels to ``out_size``, sparse."""
    step = in_size / out_size
    centres = (torch.arange(0, out_size, row_step(out_size)).double() + 0.5) * step
    return sampling_matrix(in_size, centres, step).to_sparse()


def _gradients(residual: torch.Tensor, content: torch.Tensor, block: int) -> torch.Tensor:
    """Return for each gap between columns (3, W - 1) float64: gradients of the residual averaged with their signs over
    blocks of so many rows, those of single rows, and those of the content; their magnitudes, averaged over rows."""
    added, given = residual.diff(dim=1), content.diff(dim=1)
    averaged = _block_means(added.clamp(-MOST, MOST), block).abs().mean(dim=0)
    return torch.stack([averaged, added.abs().mean(dim=0), given.abs().mean(dim=0)]).double()


def _block_means(rows: torch.Tensor, block: int) -> torch.Tensor:
    """Return the means (blocks, W) of each ``block`` rows; what is left at the end does not count."""
    block = min(block, len(rows))
    return rows[: len(rows) // block * block].unflatten(0, (-1, block)).mean(dim=1)
