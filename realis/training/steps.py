"""Training steps: what they have in common, and those of the Wan VAE decoder and of the video prior.

A step is a module that turns a batch into scalar losses; :mod:`realis.training.loop` does the rest. The step of CPC
is in :mod:`realis.training.cpc_step`, that of the LR-conditioned decoder in :mod:`realis.training.decoder_step`.
"""

from typing import Literal

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from torch import nn

from realis.data.batch import Batch
from realis.diffusion.rectified_flow import add_noise
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.wan.loading import latent_statistics
from realis.training.flow import draw_flow
from realis.training.settings import FlowConfig, Precision


class TrainingStep(nn.Module):
    """A batch -> its losses, under autocast.

    Everything that a step computes goes through ``forward``, so that DDP, FSDP2 and DeepSpeed see it.

    Args:
        precision: ``bf16`` autocasts to bfloat16; weights stay in the precision that they have.
    """

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self.precision = precision

    def forward(self, batch: Batch, what: Literal["losses", "sample"] = "losses") -> Batch | torch.Tensor:
        """``losses(batch)``, scalars of which ``loss`` is descended; or ``sample(batch)``, something to look at."""
        device = next(x.device.type for name, x in batch.items() if name != "number")
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            return getattr(self, what)(batch)


def charbonnier(prediction: torch.Tensor, target: torch.Tensor, eps: float = 1e-3) -> torch.Tensor:
    """Mean of ``sqrt(d^2 + eps^2)``, in float32: an L1 that is smooth at 0."""
    return ((prediction.float() - target.float()).square() + eps**2).sqrt().mean()


class VaeDecoderStep(TrainingStep):
    """Reconstruct the HR clip from its own latent; the encoder is frozen."""

    def __init__(self, vae: AutoencoderKLWan, precision: Precision) -> None:
        super().__init__(precision)
        self.vae = vae

    def losses(self, batch: Batch) -> Batch:
        decoded = self.sample(batch)
        l1, l2 = charbonnier(decoded, batch["hr"]), (decoded.float() - batch["hr"]).square().mean()
        return {"loss": l1 + 2 * l2, "l1": l1.detach(), "psnr": psnr(l2)}

    def sample(self, batch: Batch) -> torch.Tensor:
        """The latents decoded, (B, 3, F, H, W), without the VAE's last clamp: it would cut the gradient of every
        overshoot."""
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


class PriorStep(TrainingStep):
    """Rectified flow of HR latents under the empty prompt: the transformer as a text-free video prior."""

    def __init__(
        self,
        transformer: ControlledWanTransformer3DModel,
        empty_prompt: torch.Tensor,
        flow: FlowConfig,
        seed: int,
        precision: Precision,
    ) -> None:
        super().__init__(precision)
        self.transformer, self.flow, self.seed = transformer, flow, seed
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)

    def losses(self, batch: Batch) -> Batch:
        z, timestep, target = draw_flow(batch["hr_latents"], batch["number"], self.flow, self.seed)
        return {"loss": (self.velocity(z, timestep).float() - target.float()).square().mean()}

    def velocity(self, z: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Velocity (B, C, f, h, w) of noisy latents under the empty prompt."""
        return self.transformer(z, timestep, self.empty_prompt.expand(len(z), -1, -1))

    def sample(self, batch: Batch) -> torch.Tensor:
        """Half noised latents, and the clean estimate from them: (2, B, C, f, h, w)."""
        x0 = batch["hr_latents"]
        sigma = torch.full((len(x0),), 0.5, device=x0.device)
        z = add_noise(x0, torch.randn_like(x0), sigma)
        return torch.stack([z, z - 0.5 * self.velocity(z, 1000 * sigma)])


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """PSNR in dB of a mean squared error between signals in [-1, 1]."""
    return -10 * torch.log10(mse.detach().float() / 4)
