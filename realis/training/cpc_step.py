"""The training step of CPC: rectified flow through the frozen transformer under control (RealisVSR, "Training")."""

from dataclasses import replace

import torch
from diffusers import AutoencoderKLWan
from torch import nn

from realis.losses.hr_loss import HrLoss
from realis.models.control_injection import ControlledWanTransformer3DModel, control_residuals
from realis.models.cpc_controlnet import CpcControlNet
from realis.models.wan import decode_video
from realis.training.flow import draw_flow
from realis.training.pairs import Batch
from realis.training.settings import FlowConfig


class CpcStep(nn.Module):
    """Predict the velocity of a noised HR latent under the control of the LR latent; only the CPC is trained.

    Args:
        transformer: the frozen main transformer (gradients flow through it, not into it).
        controlnet: what is trained.
        loss: how velocities are compared.
        empty_prompt: (1, text tokens, text_dim), the prompt of every sample.
    """

    def __init__(
        self,
        transformer: ControlledWanTransformer3DModel,
        controlnet: CpcControlNet,
        loss: HrLoss,
        empty_prompt: torch.Tensor,
        flow: FlowConfig,
        seed: int,
    ) -> None:
        super().__init__()
        self.transformer, self.controlnet = transformer.requires_grad_(False), controlnet
        self.loss, self.flow, self.seed = loss, flow, seed
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch with ``hr_latents``, ``lr_latents`` (B, C, f, h, w) and ``number`` (B,)."""
        z, timestep, target = draw_flow(batch["hr_latents"], batch["number"], self.flow, self.seed)
        return self.loss(self.velocity(z, timestep, batch), target, z, timestep / 1000)

    def velocity(self, z: torch.Tensor, timestep: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Velocity (B, C, f, h, w) of noisy latents ``z`` under the control of the batch's LR latents."""
        prompt = self.empty_prompt.expand(len(z), -1, -1)
        residuals = control_residuals(
            self.controlnet, self.transformer, batch["lr_latents"], timestep, prompt, self.empty_prompt, z
        )
        return self.transformer(z, timestep, prompt, residuals)

    def clean_estimate(self, batch: Batch) -> torch.Tensor:
        """One-step estimate x0 = eps - v from pure noise, (B, C, f, h, w)."""
        pure_noise = replace(self.flow, pure_noise=1.0)
        z, timestep, _ = draw_flow(batch["hr_latents"], batch["number"], pure_noise, self.seed)
        return z - self.velocity(z, timestep, batch)


def cpc_pictures(step: CpcStep, vae: AutoencoderKLWan, batch: Batch) -> dict[str, torch.Tensor]:
    """LR, the one-step estimate decoded by the Wan VAE, and HR, each (B, 3, F, H, W) in [-1, 1]."""
    return {"lr": batch["lr"], "one step": decode_video(vae, step.clean_estimate(batch)), "hr": batch["hr"]}
