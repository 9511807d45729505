"""Between pixels and latents: the frozen VAE beside the training step, outside of what is sharded."""

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
        """Normalised latents (B, C, f, h, w) float32 of pixels (B, 3, F, H, W) in [-1, 1]."""
        with self._autocast():
            return encode_video(self.vae, pixels)

    def encode(self, batch: Batch) -> Batch:
        """A batch with ``lr_resized``, and float32 latents of it and of ``hr``: its own, else made of 8-bit ``hr`` and
        ``lr``."""
        whole = batch.copy()
        if "lr_resized" not in batch:
            whole["lr_resized"] = enlarge(batch["lr"], batch["hr"].shape[-2:])
        if "lr_latents" not in batch:
            whole["lr_latents"] = self.latents_of(whole["lr_resized"])
        if "hr_latents" not in batch:
            whole["hr_latents"] = self.latents_of(signed(batch["hr"]))
        return whole | {"hr_latents": whole["hr_latents"].float()}  # those on disk are float16

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, F, H, W) in [-1, 1] of latents (B, C, f, h, w)."""
        with self._autocast():
            return decode_video(self.vae, latents)
