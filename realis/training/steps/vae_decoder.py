"""The training step of the Wan VAE's decoder."""

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

from realis.data.batch import Batch
from realis.losses.charbonnier import charbonnier
from realis.metrics.psnr import psnr
from realis.models.wan.latents import latent_statistics
from realis.training.settings import Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class VaeDecoderStep(TrainingStep):
    """Reconstruct the HR clip from its own latent; the encoder is frozen."""

    def __init__(self, vae: AutoencoderKLWan, precision: Precision) -> None:
        super().__init__(precision)
        self.vae = vae

    def losses(self, batch: Batch) -> Tensors:
        decoded = self.sample(batch)
        l1, l2 = charbonnier(decoded, batch["hr"]), (decoded.float() - batch["hr"]).square().mean()
        return {"loss": l1 + 2 * l2, "l1": l1.detach(), "psnr": psnr(l2, 2)}

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return the latents decoded, (B, 3, F, H, W), without the VAE's last clamp, which would cut the gradient of
        every overshoot."""
        vae, latents = self.vae, batch["hr_latents"]
        mean, std = latent_statistics(vae, latents.device)
        vae.clear_cache()
        x = vae.post_quant_conv(latents * std + mean)
        chunks = []
        for i in range(x.shape[2]):
            vae._conv_idx = [0]
            chunks.append(
                vae.decoder(x[:, :, i : i + 1], feat_cache=vae._feat_map, feat_idx=vae._conv_idx, first_chunk=i == 0)
            )
        vae.clear_cache()
        decoded = torch.cat(chunks, dim=2)
        return decoded if vae.config.patch_size is None else unpatchify(decoded, vae.config.patch_size)
