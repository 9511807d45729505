"""Latents that the model samples for every pair of a pool, which its decoder then learns to decode."""

from dataclasses import replace

import torch

from realis.flow_matching import sampling_sigmas
from realis.log import progress
from realis.models.control_injection import control_residuals
from realis.models.cpc_controlnet import CpcControlNet
from realis.models.wan import Wan
from realis.training.pairs import PairPool
from realis.training.randomness import sample_generator


@torch.no_grad()
def with_sampled_latents(pool: PairPool, wan: Wan, controlnet: CpcControlNet, seed: int, batch: int = 32) -> PairPool:
    """The pool with ``sampled_latents`` (N, C, f, h, w): one Euler step from pure noise under control."""
    sampled, prompt = [], wan.encode_prompts([""])[0]
    sigma, timestep = sampling_sigmas(1, shift=1.0)[0], torch.full((1,), 1000.0, device=wan.device)
    for numbers in progress(
        torch.arange(len(pool)).split(batch), total=-(-len(pool) // batch), unit="batch of sampled latent"
    ):
        lr_latents = pool.tensors["lr_latents"][numbers].to(wan.device)
        noise = torch.stack(
            [torch.randn(lr_latents.shape[1:], generator=sample_generator(seed, int(n), "noise")) for n in numbers]
        )
        z, t = noise.to(lr_latents), timestep.expand(len(numbers))
        text = prompt.expand(len(numbers), -1, -1)
        with torch.autocast(z.device.type, torch.bfloat16):
            residuals = control_residuals(controlnet, wan.transformer, lr_latents, t, text, prompt, z)
            velocity = wan.transformer(z, t, text, residuals)
        sampled.append((z - sigma * velocity.float()).cpu())
    return replace(pool, tensors=pool.tensors | {"sampled_latents": torch.cat(sampled)})
