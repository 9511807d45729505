"""Blend tiles by cosine ramps where they overlap, divided by the accumulated weight; cross-fade segments.

Ramps stand on interior edges only; the border of the frame is never faded.
"""

import math
from collections.abc import Sequence

import torch

from realis.upscaler import Tile, Tiling


def ramp(length: int) -> torch.Tensor:
    """Return weights (length,) that rise from near 0 to near 1 as a squared sine; ``1 - ramp`` is the same reversed."""
    return (
        torch.sin((torch.arange(length, dtype=torch.float64) + 0.5) / max(length, 1) * (math.pi / 2)).square().float()
    )


def blended_ranges(spans: Sequence[tuple[int, int]], most: int | None = None) -> list[tuple[int, int]]:
    """Return for each pair of neighbours the ``(start, stop)`` over which they are blended: at most ``most`` in the middle
    of what they share, all of it for ``None``; empty where they only touch.

    >>> blended_ranges([(0, 256), (176, 432), (352, 608)], 32)
    [(200, 232), (376, 408)]
    """
    ranges = []
    for (_, stop), (start, _) in zip(spans, spans[1:], strict=False):
        shared = stop - start
        left_out = 0 if most is None else max(shared - most, 0)
        ranges.append((start + left_out // 2, stop - (left_out - left_out // 2)))
    return ranges


def span_weights(spans: Sequence[tuple[int, int]], most: int | None = None) -> list[torch.Tensor]:
    """Return the weights of each span: 1, with ramps to 0 where it is blended with the span before and the span after."""
    weights = [torch.ones(stop - start) for start, stop in spans]
    for i, (first, last) in enumerate(blended_ranges(spans, most)):
        (start, _), (next_start, _), rising = spans[i], spans[i + 1], ramp(last - first)
        weights[i][first - start : last - start] *= 1 - rising
        weights[i][last - start :] = 0
        weights[i + 1][: first - next_start] = 0
        weights[i + 1][first - next_start : last - next_start] *= rising
    return weights


def summed_weights(spans: Sequence[tuple[int, int]], weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add up the weights at every position that the spans cover."""
    total = weights[0].new_zeros(spans[-1][1])
    for (start, stop), weight in zip(spans, weights, strict=True):
        total[start:stop] += weight
    return total


class Canvas:
    """Accumulates tiles over the last two axes: pixels of a segment, or cells of a latent.

    Args:
        shape: (..., height, width) of what is kept; tiles may reach beyond.
        tiling: the tiles that will be added, each once.
        device: where sums and weights live; tiles may come from another.
        dtype: of sums and weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        tiling: Tiling,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._sum = torch.zeros(*shape, device=device, dtype=dtype)
        # Rounded to the canvas's dtype before they are summed, so that what is added is what is divided by
        rows, columns = (
            [w.to(self._sum) for w in span_weights(spans, tiling.blend)] for spans in (tiling.rows, tiling.columns)
        )
        self._row_weight = dict(zip(tiling.rows, rows, strict=True))
        self._column_weight = dict(zip(tiling.columns, columns, strict=True))
        self._total = (summed_weights(tiling.rows, rows), summed_weights(tiling.columns, columns))

    def add(self, tile: Tile, values: torch.Tensor) -> None:
        """Add ``values`` (..., tile height, tile width) with the tile's weight."""
        height, width = self._sum.shape[-2:]
        rows = self._row_weight[tile.top, tile.bottom][: height - tile.top]
        columns = self._column_weight[tile.left, tile.right][: width - tile.left]
        weighted = values[..., : len(rows), : len(columns)].to(self._sum) * (rows[:, None] * columns)
        self._sum[..., tile.top : tile.top + len(rows), tile.left : tile.left + len(columns)] += weighted

    def result(self) -> torch.Tensor:
        """Return the blend, in the canvas's shape. The canvas must not be used afterwards: the division is in place."""
        height, width = self._sum.shape[-2:]
        return self._sum.div_(self._total[0][:height, None]).div_(self._total[1][:width])


def blend_frames(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Cross-fade two results for the same frames (F, 3, H, W), from ``before`` alone at the first to ``after`` alone at the
    last; a single frame is that of ``before``.

    The last frame of a segment, which nothing comes after, and the first, which nothing comes before, are its worst, so
    that neither counts where the other segment has the frame too.
    """
    weight = torch.linspace(0, 1, len(before)).view(-1, 1, 1, 1).to(before)
    return torch.lerp(before, after, weight)
