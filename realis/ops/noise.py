"""Noise: of a sensor, and of the diffusion process."""

import torch


def gaussian_noise(frames: torch.Tensor, sigma: float, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise of standard deviation ``sigma`` (in units of ``frames``) to every sample."""
    return frames + sigma * torch.randn(frames.shape, generator=generator, dtype=frames.dtype)


class NoiseField:
    """One global field of Gaussian noise over a video's latent grid, so that segments and tiles that overlap agree.

    Args:
        seed: with the frame number, the only source of randomness; 0 to 2 ** 31 - 1.
        first: number of the latent frame that is counted from (start of a segment / 4).
    """

    def __init__(self, seed: int, first: int = 0) -> None:
        self.seed, self.first = seed, first

    def __call__(self, count: int, channels: int, h: int, w: int) -> torch.Tensor:
        """Noise (channels, count, h, w) of the next ``count`` latent frames, float32 on CPU."""
        generators = (torch.Generator().manual_seed(self.seed * 1_000_003 + self.first + k) for k in range(count))
        return torch.stack([torch.randn((channels, h, w), generator=g) for g in generators], dim=1)
