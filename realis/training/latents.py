"""Between pixels and latents: the frozen VAE beside the training step, outside of what is sharded."""

from typing import cast

import torch
from diffusers import AutoencoderKLWan

from realis.data.batch import Batch, enlarge
from realis.models.wan.latents import decode_video, encode_video
from realis.ops.pixels import signed
from realis.training.settings import Precision


class LatentCodec:
    """The frozen VAE, in the run's precision.

    Args:
        vae: on the device that it works on.
        precision: ``bf16`` autocasts to bfloat16.
    """

    def __init__(self, vae: AutoencoderKLWan, precision: Precision) -> None:
        self.vae, self.precision = vae, precision

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.vae.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @torch.no_grad()
    def latents_of(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the normalised latents (B, C, f, h, w) float32 of pixels (B, 3, F, H, W) in [-1, 1]."""
        with self._autocast():
            return encode_video(self.vae, pixels)

    def encode(self, batch: Batch) -> Batch:
        """Give a batch of 8-bit pixels what it lacks of ``lr_resized``, which takes the place of ``lr``, and of the
        float32 latents of both clips."""
        hr = signed(batch["hr"])
        lr_resized = batch["lr_resized"] if "lr_resized" in batch else enlarge(batch["lr"], batch["hr"].shape[-2:])
        hr_latents = batch["hr_latents"].float() if "hr_latents" in batch else self.latents_of(hr)
        lr_latents = batch["lr_latents"] if "lr_latents" in batch else self.latents_of(lr_resized)
        made = Batch(hr=hr, lr_resized=lr_resized, hr_latents=hr_latents, lr_latents=lr_latents)
        return cast("Batch", {name: x for name, x in batch.items() if name != "lr"} | made)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the pixels (B, 3, F, H, W) in [-1, 1] of latents (B, C, f, h, w)."""
        with self._autocast():
            return decode_video(self.vae, latents)
