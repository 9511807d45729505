"""The training step of CPC: rectified flow through the frozen transformer under control (RealisVSR, "Training")."""

import torch

from realis.data.batch import Batch
from realis.data.randomness import sample_generator
from realis.diffusion.rectified_flow import SAMPLERS, sampling_sigmas
from realis.losses.hr_loss import HrLoss
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel, control_residuals
from realis.training.flow import draw_flow
from realis.training.settings import FlowConfig, Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class CpcStep(TrainingStep):
    """Predict the velocity of a noised HR latent under the control of the LR latent; only the CPC is trained.

    Args:
        transformer: the frozen main transformer (gradients flow through it, not into it).
        controlnet: what is trained, in float32.
        loss: how velocities are compared.
        empty_prompt: (1, text tokens, text_dim), the prompt of samples without one of their own.
        seed: of noise and noise levels.
    """

    def __init__(
        self,
        transformer: ControlledWanTransformer3DModel,
        controlnet: CpcControlNet,
        loss: HrLoss,
        empty_prompt: torch.Tensor,
        flow: FlowConfig,
        seed: int,
        precision: Precision,
    ) -> None:
        super().__init__(precision)
        self.transformer, self.controlnet = transformer.requires_grad_(False), controlnet
        self.loss, self.flow, self.seed = loss, flow, seed
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)

    def losses(self, batch: Batch) -> Tensors:
        """Losses of a batch.

        Args:
            batch: ``hr_latents``, ``lr_latents`` (B, C, f, h, w), ``number`` (B,), and maybe ``prompt``
                (B, text tokens, text_dim).
        """
        z, timestep, target = draw_flow(batch["hr_latents"], batch["number"], self.flow, self.seed)
        return self.loss(self.velocity(z, timestep, batch), target, z, timestep / 1000)

    def velocity(self, z: torch.Tensor, timestep: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Velocity (B, C, f, h, w) of noisy latents ``z`` under the control of the batch's LR latents."""
        prompt = batch.get("prompt", self.empty_prompt.expand(len(z), -1, -1)).to(self.empty_prompt.dtype)
        residuals = control_residuals(
            self.controlnet, self.transformer, batch["lr_latents"], timestep, prompt, self.empty_prompt, z
        )
        return self.transformer(z, timestep, prompt, residuals)

    def sample(self, batch: Batch) -> torch.Tensor:
        """Restored latents (B, C, f, h, w) from pure noise, sampled as inference will by the CPC's configuration, without
        guidance."""
        lr_latents, numbers = batch["lr_latents"], batch["number"].tolist()
        draws = (sample_generator(self.seed, n, "noise") for n in numbers)
        noise = torch.stack([torch.randn(lr_latents.shape[1:], generator=g) for g in draws]).to(lr_latents)
        c = self.controlnet.config
        sampler, sigmas = SAMPLERS[c.sampler], sampling_sigmas(c.steps, c.shift)
        return sampler(lambda z, t: self.velocity(z, t, batch).float(), noise, sigmas, advance=lambda: None)
