"""Between images and the latents of a Stable Diffusion VAE."""

import torch
from diffusers import AutoencoderKL


def encode_images(
    vae: AutoencoderKL, images: torch.Tensor, generators: list[torch.Generator] | None = None
) -> torch.Tensor:
    """Encode images to scaled latents.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        generators: draw each image's latent from the posterior; ``None``: its mean.

    Returns:
        (B, C, H/4, W/4) float32.
    """
    posterior = vae.encode(images).latent_dist
    latents = posterior.mean
    if generators:
        noise = torch.stack([torch.randn(latents.shape[1:], generator=g) for g in generators])
        latents = latents + posterior.std * noise.to(latents)
    return latents.float() * vae.config.scaling_factor


def decode_images(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Decode scaled latents (B, C, h, w) to images (B, 3, 4h, 4w) float32, in about [-1, 1]."""
    return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample.float()
