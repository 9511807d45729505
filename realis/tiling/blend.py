"""Put tiles and segments together: linear ramps over what they share, divided by the accumulated weight.

Ramps stand on interior edges only; the border of the frame is never faded.
"""

from collections.abc import Sequence

import torch

from realis.upscaler import Tile, Tiling


def ramp(length: int) -> torch.Tensor:
    """Weights (length,) that rise from near 0 to near 1; ``1 - ramp`` is the same reversed."""
    return (torch.arange(length, dtype=torch.float32) + 0.5) / max(length, 1)


def span_weights(spans: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
    """Weights of each span: 1, with ramps where it meets the span before and the span after."""
    weights = [torch.ones(stop - start) for start, stop in spans]
    for (_, stop), (start, _), before, after in zip(spans, spans[1:], weights, weights[1:], strict=False):
        shared = stop - start
        if shared > 0:
            before[-shared:] *= 1 - ramp(shared)
            after[:shared] *= ramp(shared)
    return weights


def summed_weights(spans: Sequence[tuple[int, int]], weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Total weight at every position that the spans cover."""
    total = torch.zeros(spans[-1][1])
    for (start, stop), weight in zip(spans, weights, strict=True):
        total[start:stop] += weight
    return total


class Canvas:
    """Accumulates the tiles of a segment, on CPU in float32.

    Args:
        frames: F.
        size: height and width of what is kept; tiles may reach beyond.
        tiling: the tiles that will be added, each once.
    """

    def __init__(self, frames: int, size: tuple[int, int], tiling: Tiling) -> None:
        self.sum = torch.zeros(frames, 3, *size)
        row_weights, column_weights = span_weights(tiling.rows), span_weights(tiling.columns)
        self.row_weight = dict(zip(tiling.rows, row_weights, strict=True))
        self.column_weight = dict(zip(tiling.columns, column_weights, strict=True))
        self.total = (summed_weights(tiling.rows, row_weights), summed_weights(tiling.columns, column_weights))

    def add(self, tile: Tile, values: torch.Tensor) -> None:
        """Add ``values`` (F, 3, tile height, tile width) with the tile's weight."""
        height, width = self.sum.shape[-2:]
        rows = self.row_weight[tile.top, tile.bottom][: height - tile.top]
        columns = self.column_weight[tile.left, tile.right][: width - tile.left]
        weighted = values[..., : len(rows), : len(columns)].float().cpu() * (rows[:, None] * columns)
        self.sum[..., tile.top : tile.top + len(rows), tile.left : tile.left + len(columns)] += weighted

    def result(self) -> torch.Tensor:
        """The blended frames (F, 3, H, W); the canvas must not be used afterwards."""
        height, width = self.sum.shape[-2:]
        return self.sum.div_(self.total[0][:height, None]).div_(self.total[1][:width])


def blend_frames(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Cross-fade two results for the same frames (F, 3, H, W), from ``before`` to ``after``."""
    weight = ramp(len(before)).view(-1, 1, 1, 1).to(before)
    return torch.lerp(before, after, weight)
