"""The rectified-flow sample of a training batch: every draw by (seed, global sample number)."""

import torch

from realis.data.randomness import sample_generator
from realis.diffusion.rectified_flow import add_noise, draw_sigma
from realis.training.settings import FlowConfig


def draw_noise(like: torch.Tensor, numbers: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw the noise that samples are sampled from, of the shape of ``like`` (B, C, f, h, w)."""
    draws = (sample_generator(seed, n, "noise") for n in numbers.tolist())
    return torch.stack([torch.randn(like.shape[1:], generator=g) for g in draws]).to(like)


def draw_flow(
    x0: torch.Tensor, numbers: torch.Tensor, config: FlowConfig, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise clean latents at random levels.

    Args:
        x0: (B, C, f, h, w) normalised latents.
        numbers: (B,) global sample numbers.

    Returns:
        noisy latents z (B, C, f, h, w), their noise levels (B,), and the velocity target ``eps - x0``.
    """
    draws = [sample_generator(seed, n, "flow") for n in numbers.tolist()]
    sigma = torch.stack([draw_sigma(g, config.shift, config.mean, config.std, config.pure_noise) for g in draws]).to(x0)
    noise = torch.stack([torch.randn(x0.shape[1:], generator=g) for g in draws]).to(x0)
    return add_noise(x0, noise, sigma), sigma, noise - x0
