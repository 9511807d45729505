"""Convolution of frames with small kernels."""

import math

import torch
import torch.nn.functional as F


def gaussian_blur(frames: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur ``frames`` (..., H, W), floating point, with an isotropic Gaussian of ``sigma`` pixels; border reflected.

    The kernel reaches 3 sigma, but never further than the frame lets it be reflected.
    """
    height, width = frames.shape[-2:]
    radius = min(math.ceil(3 * sigma), height - 1, width - 1)
    if radius < 1:
        return frames
    taps = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(frames)
    x = F.pad(frames.reshape(-1, 1, height, width), (radius,) * 4, mode="reflect")
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return x.reshape(frames.shape)
