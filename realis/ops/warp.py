"""Warping by optical flow, and where a flow can be trusted.

A flow from ``a`` to ``b`` is (B, 2, H, W), x then y, in pixels. It says where each pixel of ``a`` is found in ``b``:
``a(p) = b(p + flow(p))``, so ``warp(b, flow)`` looks like ``a``. Pixel centres lie at whole numbers: a flow of 0 changes
nothing, and a flow of (1, 0) moves the picture one pixel to the left.
"""

from typing import Literal

import torch
from torch.nn.functional import grid_sample


def warp(source: torch.Tensor, flow: torch.Tensor, padding: Literal["zeros", "border"] = "zeros") -> torch.Tensor:
    """Sample ``source`` at ``p + flow(p)``, bilinearly, in float32: bfloat16 cannot hold positions beyond 256.

    Args:
        source: (B, C, H, W), pixels or features.
        flow: (B, 2, H, W) to ``source``.
        padding: what is beyond the outermost pixel centres: zeros, to which it fades within a pixel, or the border pixel.

    Returns:
        (B, C, H, W) in the dtype of ``source``.
    """
    height, width = source.shape[-2:]
    x, y = _positions(flow)
    if padding == "border":  # not by grid_sample, which knows it on mps only from torch 2.13 on
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    return grid_sample(source.float(), grid, "bilinear", "zeros", align_corners=True).to(source)


def visible(flow: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """Find the pixels of ``a`` that are seen in ``b``: neither occluded nor out of the frame.

    There the flow back, at the place where a pixel is found, returns to it: ``|flow + back|^2 < 0.01 (|flow|^2 +
    |back|^2) + 0.5`` (Sundaram et al., ECCV 2010, Eq. 5).

    Args:
        flow: (B, 2, H, W) from ``a`` to ``b``.
        back: (B, 2, H, W) from ``b`` to ``a``.

    Returns:
        (B, 1, H, W) bool.
    """
    height, width = flow.shape[-2:]
    x, y = _positions(flow)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    back = warp(back, flow, "border")
    error, length = ((field**2).sum(dim=1) for field in (flow + back, torch.cat((flow, back), dim=1)))
    return (inside & (error < 0.01 * length + 0.5))[:, None]


def _positions(flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the x and the y that every pixel of a flow points at, (B, H, W) float32 each."""
    height, width = flow.shape[-2:]
    columns, rows = (torch.arange(side, device=flow.device, dtype=torch.float32) for side in (width, height))
    return columns + flow[:, 0].float(), rows[:, None] + flow[:, 1].float()
