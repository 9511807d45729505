"""Sensor noise."""

import torch


def gaussian_noise(frames: torch.Tensor, sigma: float, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise of standard deviation ``sigma`` (in units of ``frames``) to every sample."""
    return frames + sigma * torch.randn(frames.shape, generator=generator, dtype=frames.dtype)
