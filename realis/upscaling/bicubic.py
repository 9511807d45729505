"""Bicubic upscaling as a method: the baseline, and the least that any other must beat."""

from collections.abc import Callable

import torch

from realis.ops.resize import resize
from realis.upscaler import FRAME_BY_FRAME, Carry, Noise, Tiling


class BicubicUpscaler:
    """Resize every frame; see :class:`realis.upscaler.Upscaler`."""

    segments = FRAME_BY_FRAME

    def upscale(
        self,
        frames: torch.Tensor,
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: Noise,
        carry: Carry,
        advance: Callable[[float], None],
    ) -> tuple[torch.Tensor, Carry]:
        """(F, 3, H, W) -> (F, 3, *size), clamped to [0, 1]."""
        upscaled = resize(frames, size).clamp_(0, 1)
        advance(1.0)
        return upscaled, {}
