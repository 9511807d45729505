"""Histograms of oriented gradients (Dalal and Triggs 2005), differentiable.

With hard binning the features are those of ``skimage.feature.hog``. Hard bins pass a gradient through the magnitudes
alone; soft ones share each magnitude between the two nearest bin centres, around the circle, so that the orientation
is learned from too.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F

EPS, CLIP = 1e-5, 0.2  # of L2-Hys, as scikit-image has them
FLAT = 1e-12  # gradients below it count as none: their squares may underflow in float32


def hog(
    x: torch.Tensor, cell: int = 4, block: int = 2, bins: int = 9, binning: Literal["hard", "soft"] = "soft"
) -> torch.Tensor:
    """Compute the HOG features (..., block rows, block columns, block, block, bins) of ``x``.

    Args:
        x: (..., H, W), floating point; every plane is an image of its own.
        cell: side of a cell in pixels; cells start at the top left, rows and columns that fill none are dropped.
        block: side of a block in cells; blocks overlap by all but one cell.
        bins: orientations from 0 to 180 degrees.
        binning: into the nearest orientation, or shared between the two nearest.

    Raises:
        ValueError: an image smaller than a block.
    """
    H, W = x.shape[-2:]
    if min(H, W) < cell * block:
        raise ValueError(f"image of {H}x{W}: smaller than a HOG block of {cell * block}x{cell * block} pixels")
    cells = cell_histograms(x, cell, bins, binning)
    rows, columns = (n - block + 1 for n in cells.shape[-3:-1])
    corners = [(i, j) for i in range(block) for j in range(block)]
    blocks = torch.stack([cells[..., i : i + rows, j : j + columns, :] for i, j in corners], dim=-2)
    return _l2_hys(blocks.flatten(-2)).unflatten(-1, (block, block, bins))


def cell_histograms(x: torch.Tensor, cell: int, bins: int, binning: Literal["hard", "soft"]) -> torch.Tensor:
    """Average the gradient magnitude of ``x`` (..., H, W) by bin and cell: (..., cell rows, cell columns, bins)."""
    magnitude, orientation = (_by_cell(part, cell) for part in _gradients(x))
    return _histogram(magnitude, orientation * bins, bins, binning)


def _gradients(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the magnitude, and the orientation in [0, 1) for 0 to 180 degrees; central differences, 0 at the border.

    Where there is no gradient, neither has a derivative: it is set to 0 there. (An epsilon under the root instead would
    give flat areas an orientation.)
    """
    rows = F.pad(x[..., 2:, :] - x[..., :-2, :], (0, 0, 1, 1))
    columns = F.pad(x[..., 2:] - x[..., :-2], (1, 1))
    flat = torch.maximum(rows.abs(), columns.abs()) < FLAT
    safe = columns.masked_fill(flat, 1)
    orientation = torch.atan2(rows, safe) / math.pi
    return torch.hypot(rows, safe).masked_fill(flat, 0), orientation - orientation.detach().floor()


def _by_cell(x: torch.Tensor, cell: int) -> torch.Tensor:
    """Gather the pixels of each cell: (..., H, W) -> (..., cell rows, cell columns, pixels)."""
    rows, columns = x.shape[-2] // cell, x.shape[-1] // cell
    x = x[..., : rows * cell, : columns * cell].unflatten(-1, (columns, cell)).unflatten(-3, (rows, cell))
    return x.transpose(-3, -2).flatten(-2)


def _histogram(magnitude: torch.Tensor, position: torch.Tensor, bins: int, binning: str) -> torch.Tensor:
    """Average the magnitude in each bin of a cell: (..., bins). The centre of bin k is at ``position`` k + 1/2."""
    padded = magnitude.new_zeros(*magnitude.shape[:-1], bins + 2)  # bin k at k + 1, so that no index has to be wrapped
    if binning == "hard":
        padded = padded.scatter_add(-1, position.detach().nan_to_num(0).long() + 1, magnitude)
    else:
        lower = (position.detach() - 0.5).floor()
        votes = magnitude * (position - 0.5 - lower)  # for the bin above
        index = lower.nan_to_num(0).long() + 1  # a NaN shows in the magnitude
        padded = padded.scatter_add(-1, index, magnitude - votes).scatter_add(-1, index + 1, votes)
    ends = torch.cat([padded[..., -1:], torch.zeros_like(padded[..., 2:-2]), padded[..., :1]], dim=-1)
    return (padded[..., 1:-1] + ends) / magnitude.shape[-1]


def _l2_hys(blocks: torch.Tensor) -> torch.Tensor:
    """Normalise each block (the last axis), clip, normalise again."""
    clipped = (blocks * _inverse_norm(blocks)).clamp(max=CLIP)
    return clipped * _inverse_norm(clipped)


def _inverse_norm(blocks: torch.Tensor) -> torch.Tensor:
    return (blocks.square().sum(dim=-1, keepdim=True) + EPS**2).rsqrt()
