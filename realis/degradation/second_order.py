"""The degradation that makes a low-resolution clip from a high-resolution one.

One order so far: blur, resize, noise, JPEG. The second order and the video codec of RealBasicVSR's table are not
here yet.
"""

import torch
import torch.nn.functional as F

from realis.degradation.parameters import DegradationParameters
from realis.ops.filters import gaussian_blur
from realis.ops.jpeg import jpeg
from realis.ops.noise import gaussian_noise
from realis.ops.resize import resize


class SecondOrderDegradation:
    """Degrade clips by drawn parameters; the same parameters give the same result."""

    def __call__(self, frames: torch.Tensor, parameters: DegradationParameters) -> torch.Tensor:
        """Degrade ``frames`` (F, 3, H, W) float32 in [0, 1] to (F, 3, H / scale, W / scale), rounded to 8-bit levels."""
        p = parameters
        size = (round(frames.shape[-2] / p.scale), round(frames.shape[-1] / p.scale))
        x = gaussian_blur(frames, p.blur_sigma)
        x = resize(x, size) if p.resize == "bicubic" else F.interpolate(x, size=size, mode="area")
        x = gaussian_noise(x, p.noise_sigma, torch.Generator().manual_seed(p.noise_seed))
        if p.jpeg_quality is None:
            return (x.clamp(0, 1) * 255).round() / 255
        return jpeg(x, p.jpeg_quality)
