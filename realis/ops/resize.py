"""Resizing as two matrix products, so that any window of the result can be computed alone.

It is bicubic unless another kernel is asked for. The convention is Pillow's, and that of ``torch.nn.functional.interpolate(mode="bicubic", antialias=True)``: pixel
centres at half integers, a = -0.5 (Keys 1981), the kernel widened when shrinking, weights renormalised at the border.
A window of a resized frame equals the same window cut from the whole resized frame.
"""

from functools import lru_cache
from typing import Literal

import torch

from realis.ops.kernels import cubic_kernel, lanczos_kernel

Kernel = Literal["bicubic", "lanczos"]
KERNELS = {"bicubic": cubic_kernel, "lanczos": lanczos_kernel}


def sampling_matrix(in_size: int, centres: torch.Tensor, step: float, kernel: Kernel = "bicubic") -> torch.Tensor:
    """Return the matrix (outputs, in_size) that samples a row of ``in_size`` pixels at ``centres``.

    Args:
        in_size: pixels in the row.
        centres: (outputs,) float64, positions in pixels; the centre of pixel 0 is 0.5.
        step: distance between outputs in input pixels; above 1 the kernel is widened by it (anti-aliasing).
        kernel: of the interpolation.

    Returns:
        float32 matrix; every row sums to 1.
    """
    pixels = torch.arange(in_size, dtype=torch.float64) + 0.5
    weights = torch.from_numpy(KERNELS[kernel](((pixels[None] - centres[:, None]) / max(step, 1.0)).numpy()))
    return (weights / weights.sum(dim=1, keepdim=True)).float()


@lru_cache(maxsize=64)
def resize_matrix(
    in_size: int, out_size: int, start: int = 0, stop: int | None = None, kernel: Kernel = "bicubic"
) -> torch.Tensor:
    """Return rows ``start:stop`` of the matrix (out_size, in_size) that resizes ``in_size`` pixels to ``out_size``.

    Rows outside 0..out_size repeat the border row, which continues the canvas by its edge pixels.
    """
    step = in_size / out_size
    rows = torch.arange(start, out_size if stop is None else stop).clamp(0, out_size - 1)
    return sampling_matrix(in_size, (rows.double() + 0.5) * step, step, kernel)


def resize(frames: torch.Tensor, size: tuple[int, int], kernel: Kernel = "bicubic") -> torch.Tensor:
    """Resize ``frames`` (..., H, W), floating point, to ``size`` = (height, width).

    >>> resize(torch.ones(3, 4, 4), (8, 6)).shape
    torch.Size([3, 8, 6])
    """
    return resize_window(frames, size, (0, size[0]), (0, size[1]), kernel)


def resize_window(
    frames: torch.Tensor,
    size: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    kernel: Kernel = "bicubic",
) -> torch.Tensor:
    """Compute a window, ``rows`` x ``columns``, of ``frames`` (..., H, W) resized to ``size``, and nothing outside it.

    The window may reach beyond ``size``: there the canvas repeats its edge pixel.
    """
    vertical, top, bottom = _band(resize_matrix(frames.shape[-2], size[0], *rows, kernel))
    horizontal, left, right = _band(resize_matrix(frames.shape[-1], size[1], *columns, kernel))
    window = frames[..., top:bottom, left:right]
    vertical, horizontal = vertical.to(window), horizontal.to(window)
    if len(vertical) * window.shape[-1] < len(horizontal) * window.shape[-2]:
        return (vertical @ window) @ horizontal.T
    return vertical @ (window @ horizontal.T)


def enlarge_window(
    frames: torch.Tensor, size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> torch.Tensor:
    """The same window of ``frames`` in [0, 1] as networks are given it: in [-1, 1], overshoot clamped."""
    return resize_window(frames, size, rows, columns).clamp_(0, 1).mul_(2).sub_(1)


def _band(matrix: torch.Tensor) -> tuple[torch.Tensor, int, int]:
    """Return ``matrix`` without its zero columns on the left and right, and where the other columns start and stop."""
    used = matrix.ne(0).any(dim=0).nonzero()
    start, stop = int(used[0]), int(used[-1]) + 1
    return matrix[:, start:stop], start, stop
