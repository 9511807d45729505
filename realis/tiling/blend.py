"""Blend tiles by cosine ramps where they overlap, divided by the accumulated weight; cross-fade segments.

Ramps stand on interior edges only; the border of the frame is never faded.
"""

import math
from collections.abc import Callable, Sequence

import torch

from realis.upscaler import Tile, Tiling


def ramp(length: int) -> torch.Tensor:
    """Return weights (length,) that rise from near 0 to near 1 as a squared sine; ``1 - ramp`` is the same reversed."""
    return (
        torch.sin((torch.arange(length, dtype=torch.float64) + 0.5) / max(length, 1) * (math.pi / 2)).square().float()
    )


def overlaps(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return for each pair of neighbours the ``(start, stop)`` that they share, where they are blended; empty where they
    only touch.

    >>> overlaps([(0, 256), (176, 432), (352, 608)])
    [(176, 256), (352, 432)]
    """
    return [(start, stop) for (_, stop), (start, _) in zip(spans, spans[1:], strict=False)]


def span_weights(spans: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
    """Return the weights of each span: 1, with ramps where it overlaps the span before and the span after."""
    weights = [torch.ones(stop - start) for start, stop in spans]
    for (start, stop), before, after in zip(overlaps(spans), weights, weights[1:], strict=False):
        shared = stop - start
        if shared > 0:
            before[-shared:] *= 1 - ramp(shared)
            after[:shared] *= ramp(shared)
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
        rows, columns = ([w.to(self._sum) for w in span_weights(spans)] for spans in (tiling.rows, tiling.columns))
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


def blend_tiles(
    shape: Sequence[int],
    tiles: Tiling,
    evaluate: Callable[[Tile, slice], torch.Tensor],
    advance: Callable[[float], None],
    *,
    batch: int,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Evaluate something on every tile of a canvas, a batch of frames at a time, and blend the results.

    Args:
        shape: (F, ..., height, width) of the canvas.
        tiles: its tiles.
        evaluate: called with a tile and which frames; returns (frames, ..., tile height, tile width).
        advance: called after each call of it with the share of the work that was just done; shares sum to 1.
        batch: frames at a time.
        device: where the blend lives.

    Returns:
        The blend, of ``shape``, float32.
    """
    canvas, count = Canvas(shape, tiles, device=device), shape[0]
    for tile in tiles:
        values = []
        for start in range(0, count, batch):
            frames = slice(start, min(start + batch, count))
            values.append(evaluate(tile, frames))
            advance((frames.stop - start) / count / len(tiles))
        canvas.add(tile, torch.cat(values))
    return canvas.result()


def blend_frames(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Cross-fade two results for the same frames (F, 3, H, W), from ``before`` alone at the first to ``after`` alone at the
    last; a single frame is that of ``before``.

    The last frame of a segment, which nothing comes after, and the first, which nothing comes before, are its worst, so
    that neither counts where the other segment has the frame too.
    """
    weight = torch.linspace(0, 1, len(before)).view(-1, 1, 1, 1).to(before)
    return torch.lerp(before, after, weight)
