"""Warping by optical flow, and where a flow can be trusted.

A flow from ``a`` to ``b`` is (B, 2, H, W), x then y, in pixels. It says where each pixel of ``a`` is found in ``b``:
``a(p) = b(p + flow(p))``, so ``warp(b, flow)`` looks like ``a``. Pixel centres lie at whole numbers: a flow of 0 changes
nothing, and a flow of (1, 0) moves the picture one pixel to the left.
"""

from typing import Literal

import torch
from torch.nn.functional import grid_sample, interpolate, pad


def warp(
    source: torch.Tensor,
    flow: torch.Tensor,
    padding: Literal["zeros", "border"] = "zeros",
    grid: Literal["exact", "stablevsr"] = "exact",
) -> torch.Tensor:
    """Sample ``source`` at ``p + flow(p)``, bilinearly, in float32: bfloat16 cannot hold positions beyond 256.

    Args:
        source: (B, C, H, W), pixels or features.
        flow: (B, 2, H, W) to ``source``.
        padding: what is beyond the outermost pixel centres: zeros, to which it fades within a pixel, or the border pixel.
        grid: ``exact``: as above; ``stablevsr``: as StableVSR's code, which scales positions for ``align_corners=True``
            and samples with ``align_corners=False``, so that ``x`` becomes ``x W / (W - 1) - 1/2``: all is shrunk about
            the centre of the frame, which is half a pixel at its borders.

    Returns:
        (B, C, H, W) in the dtype of ``source``.
    """
    height, width = source.shape[-2:]
    x, y = _positions(flow)
    if grid == "stablevsr":
        x, y = (p * side / max(side - 1, 1) - 0.5 for p, side in ((x, width), (y, height)))
    if padding == "border":  # not by grid_sample, which knows it on mps only from torch 2.13 on
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    normalised = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    return grid_sample(source.float(), normalised, "bilinear", "zeros", align_corners=True).to(source)


def resize_flow(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a flow (B, 2, H, W) for frames of ``size`` = (height, width), bilinearly, in pixels of these."""
    height, width = flow.shape[-2:]
    if (height, width) == size:
        return flow
    per_axis = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return interpolate(flow, size, mode="bilinear") * per_axis


def consistent(flow: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """Find the pixels that the flow back returns to: ``|flow + back|^2 <= 0.01 (|flow|^2 + |back|^2) + 0.5`` (Sundaram
    et al., ECCV 2010, Eq. 5). Others are occluded.

    Args:
        flow: (B, 2, H, W) from ``a`` to ``b``.
        back: (B, 2, H, W) from ``b`` to ``a``, brought to ``a``: ``warp(back, flow)``.

    Returns:
        (B, 1, H, W) bool.
    """
    error, length = (_squared(field) for field in (flow + back, torch.cat((flow, back), dim=1)))
    return error <= 0.01 * length + 0.5


def visible(flow: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """Find the pixels of ``a`` that are seen in ``b``: neither out of its frame nor occluded (:func:`consistent`).

    Args:
        flow: (B, 2, H, W) from ``a`` to ``b``.
        back: (B, 2, H, W) from ``b`` to ``a``.

    Returns:
        (B, 1, H, W) bool.
    """
    height, width = flow.shape[-2:]
    x, y = _positions(flow)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside[:, None] & consistent(flow, warp(back, flow, "border"))


def motion_boundaries(flow: torch.Tensor) -> torch.Tensor:
    """Find where a flow jumps: ``|grad u|^2 + |grad v|^2 > 0.01 |flow|^2 + 0.002`` (Ruder et al., GCPR 2016), by the
    differences to the next column and the next row, of which the last have none.

    Args:
        flow: (B, 2, H, W).

    Returns:
        (B, 1, H, W) bool.
    """
    across = pad(flow.diff(dim=3), (0, 1))
    down = pad(flow.diff(dim=2), (0, 0, 0, 1))
    return _squared(torch.cat((across, down), dim=1)) > 0.01 * _squared(flow) + 0.002


def _squared(field: torch.Tensor) -> torch.Tensor:
    """Return the squared norm over channels, (B, 1, H, W)."""
    return field.square().sum(dim=1, keepdim=True)


def _positions(flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the x and the y that every pixel of a flow points at, (B, H, W) float32 each."""
    height, width = flow.shape[-2:]
    columns, rows = (torch.arange(side, device=flow.device, dtype=torch.float32) for side in (width, height))
    return columns + flow[:, 0].float(), rows[:, None] + flow[:, 1].float()
