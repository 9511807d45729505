"""One window restored alone, without tiles."""

import torch

from realis.upscaling.tiled import Window


@torch.no_grad()
def restore_window(window: Window, lr: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Encode, sample and decode ``lr`` (B, 3, F, H, W) in [-1, 1], enlarged to the output size, from ``noise`` (B, C, f, h,
    w); returns (B, 3, F, H, W)."""
    condition = window.condition(window.encode(lr.to(window.device)))
    return window.decode(window.sample(window.velocity(condition), noise.to(window.device)), lr.to(window.device))
