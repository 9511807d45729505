"""Variance-preserving diffusion with v-prediction on one screen: noising, estimates, DDPM and DDIM sampling.

Convention (Salimans and Ho 2022, Stable Diffusion): with alpha for the cumulative product of 1 - beta up to a timestep,
``z = sqrt(alpha) x0 + sqrt(1 - alpha) eps`` and ``v = sqrt(alpha) eps - sqrt(1 - alpha) x0``, so
``x0 = sqrt(alpha) z - sqrt(1 - alpha) v`` and ``eps = sqrt(alpha) v + sqrt(1 - alpha) z``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from diffusers import DDIMScheduler

from realis.diffusion.samplers import Sampler

VModel = Callable[[torch.Tensor, int], torch.Tensor]  # (z (B, C, h, w), timestep) -> v of z's shape


def add_noise(x0: torch.Tensor, noise: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Return ``z`` for ``alpha`` (B,)."""
    alpha = alpha.view(-1, *[1] * (x0.ndim - 1)).to(x0)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


def velocity(x0: torch.Tensor, noise: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Return ``v``, what a network learns to predict, for ``alpha`` (B,)."""
    alpha = alpha.view(-1, *[1] * (x0.ndim - 1)).to(x0)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * x0


def clean_estimate(z: torch.Tensor, v: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Return the estimate of ``x0`` that lies in ``v`` at ``z``, for ``alpha`` (B,)."""
    alpha = alpha.view(-1, *[1] * (z.ndim - 1)).to(z)
    return alpha.sqrt() * z - (1 - alpha).sqrt() * v


@dataclass(frozen=True)
class Step:
    """A sampling step: from ``alpha`` at ``timestep`` to ``alpha_next``.

    Args:
        eta: 0 for DDIM, 1 for DDPM with the variance of the posterior (DDIM, Song et al. 2021, Eqs. 12 and 16).
    """

    timestep: int
    alpha: float
    alpha_next: float
    eta: float

    def clean(self, z: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the estimate of ``x0`` that lies in ``v`` at ``z``."""
        return self.alpha**0.5 * z - (1 - self.alpha) ** 0.5 * v

    def advance(self, z: torch.Tensor, v: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """Return ``z`` at the next noise level; ``noise`` of its shape is read unless ``eta`` is 0."""
        a, b = self.alpha, self.alpha_next
        sigma = self.eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
        eps = a**0.5 * v + (1 - a) ** 0.5 * z
        z = b**0.5 * self.clean(z, v) + (1 - b - sigma**2) ** 0.5 * eps
        return z + sigma * noise if noise is not None and sigma else z


class NoiseSchedule:
    """The noise levels of a model, as its scheduler's configuration gives them.

    Args:
        config: of a scheduler of diffusers, of which only betas and the spacing of timesteps count. What is for pixels
            (``clip_sample``, ``thresholding``) and ``variance_type`` are ignored, as latents need none of it.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        parameters = signature(DDIMScheduler.__init__).parameters  # it would warn of keys that are not its own
        self._scheduler: Any = DDIMScheduler(**{name: config[name] for name in config if name in parameters})
        self.alphas: torch.Tensor = self._scheduler.alphas_cumprod  # (timesteps,) float32, falling

    def steps(self, count: int, sampler: Sampler) -> list[Step]:
        """Return the steps of a sampling run, the noisiest first. As in diffusers, a step of DDIM is always as wide as the
        timesteps divided by ``count``, and one of DDPM goes to the timestep of the next."""
        scheduler, alphas = self._scheduler, self.alphas.tolist()
        scheduler.set_timesteps(count)
        timesteps = scheduler.timesteps.tolist()
        if sampler == "ddpm":
            following, last = [*timesteps[1:], -1], 1.0
        else:
            following, last = [t - len(alphas) // count for t in timesteps], float(scheduler.final_alpha_cumprod)
        return [
            Step(t, alphas[t], alphas[after] if after >= 0 else last, float(sampler == "ddpm"))
            for t, after in zip(timesteps, following, strict=True)
        ]


def sample(model: VModel, z: torch.Tensor, steps: list[Step], noise: Iterator[torch.Tensor]) -> torch.Tensor:
    """Sample clean latents from ``z`` (B, C, h, w) float32.

    Args:
        model: called once a step.
        noise: of the shape of ``z``; asked once a step by DDPM, not at all by DDIM.
    """
    for step in steps:
        z = step.advance(z, model(z, step.timestep), next(noise) if step.eta else None)
    return z
