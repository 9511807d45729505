"""Rectified flow on one screen: interpolation, velocity, noise levels for training, Euler and UniPC sampling.

Convention (RealisVSR Eqs. 2-3, Wan2.1): ``z = (1 - sigma) x0 + sigma eps``, ``v = dz/dsigma = eps - x0``, so
``x0 = z - sigma v``. (Eq. 3 prints ``v - eps - x0``; Eqs. 4-6 use
``eps - x0``, which is followed here.)
"""

from collections.abc import Callable

import torch
from diffusers import UniPCMultistepScheduler

# (z (B, C, f, h, w), sigma (B,)) -> v of z's shape
Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def add_noise(x0: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Return ``z = (1 - sigma) x0 + sigma eps`` (Eq. 2); ``sigma`` (B,) in [0, 1]."""
    s = sigma.view(-1, *[1] * (x0.ndim - 1)).to(x0.dtype)
    return (1 - s) * x0 + s * noise


def shift_sigmas(sigmas: torch.Tensor, shift: float) -> torch.Tensor:
    """Return ``s sigma / (1 + (s - 1) sigma)``: a ``shift`` s above 1 moves noise levels towards 1."""
    return shift * sigmas / (1 + (shift - 1) * sigmas)


def draw_sigma(generator: torch.Generator, shift: float, mean: float, std: float, pure_noise: float) -> torch.Tensor:
    """Draw a noise level for training: logit-normal(mean, std), shifted; with probability ``pure_noise`` exactly 1."""
    normal, uniform = torch.randn((), generator=generator), torch.rand((), generator=generator)
    sigma = shift_sigmas(torch.sigmoid(mean + std * normal), shift)
    return torch.where(uniform < pure_noise, torch.ones(()), sigma)


def sampling_sigmas(steps: int, shift: float) -> torch.Tensor:
    """Return noise levels from 1 down to 0, (steps + 1,) float32, shifted once."""
    return shift_sigmas(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift).float()


def euler(velocity: Velocity, z: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Integrate from ``z`` at ``sigmas[0]`` to the clean latent at ``sigmas[-1]`` = 0 by Euler steps.

    Args:
        velocity: (z, sigma (B,)) -> v; called once a step.
        z: (B, C, f, h, w) float32.
        sigmas: falling, float32.
    """
    sigmas = sigmas.to(z.device)
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        z = z + (sigma_next - sigma) * velocity(z, sigma.expand(len(z)))
    return z


def unipc(velocity: Velocity, z: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Integrate as :func:`euler`, by diffusers' UniPC (order 2, bh2), Wan2.1's own solver; its noise levels are whole
    thousandths."""
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=1.0
    )
    scheduler.set_timesteps(sigmas=sigmas[:-1].double().numpy(), device=z.device)
    for timestep in scheduler.timesteps:
        v = velocity(z, timestep.double().expand(len(z)) / 1000)  # double: a thousand times it is whole again
        with torch.autocast(z.device.type, enabled=False):  # the solver's own sums, also where training autocasts
            z = scheduler.step(v, timestep, z, return_dict=False)[0]
    return z


SAMPLERS = {"euler": euler, "unipc": unipc}


def sample(
    velocity: Velocity,
    noise: torch.Tensor,
    steps: int,
    shift: float,
    sampler: str,
) -> torch.Tensor:
    """Sample clean latents from ``noise`` (B, C, f, h, w) float32 in ``steps`` steps of a sampler, one of
    :data:`SAMPLERS`."""
    return SAMPLERS[sampler](velocity, noise, sampling_sigmas(steps, shift))
