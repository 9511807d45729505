"""Between pixels and the latents of Wan's VAE, normalised by its statistics."""

import hashlib
import json

import torch
from diffusers import AutoencoderKLWan

from realis.models.wan.geometry import CELL, are_multiples, has_whole_latents


def encode_video(vae: AutoencoderKLWan, frames: torch.Tensor) -> torch.Tensor:
    """Return the normalised latents of a video: posterior mean, minus ``latents_mean``, over ``latents_std``.

    Args:
        frames: (B, 3, F, H, W) in [-1, 1]; F = 4 n + 1, H and W multiples of 8 (the VAE itself would silently drop
            what is beyond them).

    Returns:
        (B, C, f, h, w) float32.

    Raises:
        ValueError: a size that does not fit.
    """
    _, channels, F, H, W = frames.shape
    if channels != 3 or not has_whole_latents(F) or not are_multiples((H, W), CELL):
        raise ValueError(
            f"frames: got shape {tuple(frames.shape)}, wanted (B, 3, 4 n + 1, multiple of 8, multiple of 8)"
        )
    mean, std = latent_statistics(vae, frames.device)
    return (vae.encode(frames.to(vae.dtype)).latent_dist.mode().float() - mean) / std


def decode_video(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Invert :func:`encode_video`: (B, C, f, h, w) -> (B, 3, 4 f - 3, 8 h, 8 w) float32 in [-1, 1]."""
    mean, std = latent_statistics(vae, latents.device)
    return vae.decode((latents.float() * std + mean).to(vae.dtype), return_dict=False)[0].float()


def latent_statistics(vae: AutoencoderKLWan, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Wan's per-channel mean and standard deviation of latents, each (1, C, 1, 1, 1) float32."""
    mean, std = (torch.tensor(vae.config[key], device=device) for key in ("latents_mean", "latents_std"))
    return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)


def encoder_digest(vae: AutoencoderKLWan) -> str:
    """Return a hash of what latents depend on: the VAE's configuration (not where it was loaded from) and its encoder's
    weights."""
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, weight in (vae.encoder.state_dict() | vae.quant_conv.state_dict()).items():
        digest.update(name.encode() + weight.float().cpu().numpy().tobytes())
    return digest.hexdigest()
