"""Training steps of the parts around CPC: Wan VAE decoder, video prior, LR-conditioned decoder.

A step is a module that turns a batch into scalar losses; :mod:`realis.training.loop` does the rest. The step of CPC
itself is in :mod:`realis.training.cpc_step`.
"""

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from torch import nn

from realis.flow_matching import add_noise
from realis.models.control_injection import ControlledWanTransformer3DModel
from realis.models.lr_decoder import LrDecoder
from realis.models.wan import decode_video, latent_statistics
from realis.training.flow import draw_flow
from realis.training.pairs import Batch
from realis.training.settings import FlowConfig


def charbonnier(prediction: torch.Tensor, target: torch.Tensor, eps: float = 1e-3) -> torch.Tensor:
    """Mean of ``sqrt(d^2 + eps^2)``, in float32: an L1 that is smooth at 0."""
    return ((prediction.float() - target.float()).square() + eps**2).sqrt().mean()


class VaeDecoderStep(nn.Module):
    """Reconstruct the HR clip from its own latent; the encoder is frozen."""

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        decoded = self.decode(batch["hr_latents"])
        l1, l2 = charbonnier(decoded, batch["hr"]), (decoded.float() - batch["hr"]).square().mean()
        return {"loss": l1 + 2 * l2, "l1": l1.detach(), "psnr": psnr(l2)}

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """As the VAE decodes, without its last clamp: that would cut the gradient of every overshoot."""
        vae = self.vae
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


class PriorStep(nn.Module):
    """Rectified flow of HR latents under the empty prompt: the transformer as a text-free video prior."""

    def __init__(
        self, transformer: ControlledWanTransformer3DModel, empty_prompt: torch.Tensor, flow: FlowConfig, seed: int
    ) -> None:
        super().__init__()
        self.transformer, self.flow, self.seed = transformer, flow, seed
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        z, timestep, target = draw_flow(batch["hr_latents"], batch["number"], self.flow, self.seed)
        return {"loss": (self.velocity(z, timestep).float() - target.float()).square().mean()}

    def velocity(self, z: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Velocity (B, C, f, h, w) of noisy latents under the empty prompt."""
        return self.transformer(z, timestep, self.empty_prompt.expand(len(z), -1, -1))

    def pictures(self, vae: AutoencoderKLWan, batch: Batch) -> Batch:
        """Half noised latents, the clean estimate from them, and HR, decoded: (B, 3, F, H, W) in [-1, 1]."""
        x0, sigma = batch["hr_latents"], torch.full((len(batch["hr"]),), 0.5, device=batch["hr"].device)
        z = add_noise(x0, torch.randn_like(x0), sigma)
        clean = z - 0.5 * self.velocity(z, 1000 * sigma)
        return {"half noised": decode_video(vae, z), "one step": decode_video(vae, clean), "hr": batch["hr"]}


class LrDecoderStep(nn.Module):
    """Reconstruct the HR clip from the LR clip and a latent.

    Args:
        decoder: what is trained.
        oracle_samples: the first samples, which see the HR clip's own latent instead of the sampled one: it teaches
            the decoder early that a latent is worth reading.
    """

    def __init__(self, decoder: LrDecoder, oracle_samples: int) -> None:
        super().__init__()
        self.decoder, self.oracle_samples = decoder, oracle_samples

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        oracle = (batch["number"] < self.oracle_samples).to(batch["hr"].device).view(-1, 1, 1, 1, 1)
        latents = torch.where(oracle, batch["hr_latents"], batch["sampled_latents"])
        decoded = self.decoder(latents, batch["lr"])
        loss = charbonnier(decoded, batch["hr"])
        gain = psnr((decoded.detach() - batch["hr"]).square().mean()) - psnr(
            (batch["lr"] - batch["hr"]).square().mean()
        )
        return {"loss": loss, "gain over bicubic, dB": gain}


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """PSNR in dB of a mean squared error between signals in [-1, 1]."""
    return -10 * torch.log10(mse.detach().float() / 4)
