"""Between images and the latents of a Stable Diffusion VAE."""

import torch
from diffusers import AutoencoderKL


def encode_images(vae: AutoencoderKL, images: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
    """Encode images (B, 3, H, W) in [-1, 1] to scaled latents (B, C, H/4, W/4) float32: the means of their posterior, or
    with Gaussian ``noise`` of their shape a sample of it."""
    posterior = vae.encode(images).latent_dist
    latents = posterior.mean if noise is None else posterior.mean + posterior.std * noise
    return latents.float() * vae.config.scaling_factor


def decode_images(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Decode scaled latents (B, C, h, w) to images (B, 3, 4h, 4w) float32, in about [-1, 1]."""
    return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample.float()
