"""The rectified-flow sample of a training batch: every draw by (seed, global sample number)."""

import torch

from realis.data.randomness import sample_generator
from realis.diffusion.rectified_flow import add_noise, draw_sigma
from realis.training.settings import FlowConfig


def draw_flow(
    x0: torch.Tensor, numbers: torch.Tensor, config: FlowConfig, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise clean latents at random levels.

    Args:
        x0: (B, C, f, h, w) normalised latents.
        numbers: (B,) global sample numbers.

    Returns:
        noisy latents z (B, C, f, h, w), timesteps 1000 sigma (B,), and the velocity target ``eps - x0``.
    """
    draws = [sample_generator(seed, n, "flow") for n in numbers.tolist()]
    sigma = torch.stack([draw_sigma(g, config.shift, config.mean, config.std, config.pure_noise) for g in draws]).to(x0)
    noise = torch.stack([torch.randn(x0.shape[1:], generator=g) for g in draws]).to(x0)
    return add_noise(x0, noise, sigma), 1000 * sigma, noise - x0
