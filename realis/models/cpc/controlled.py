"""The controlled velocity: RealisVSR Eq. 1 with time, text and a static control, for training, its pictures and inference."""

from dataclasses import dataclass

import torch
from torch import nn

from realis.diffusion.rectified_flow import sample
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.wan.timestep import timestep_of


@dataclass(frozen=True)
class Condition:
    """What every velocity of a window needs.

    Args:
        lr_latents: (B, C, f, h, w) of the LR clip enlarged to the output.
        control: residuals of a static CPC, computed once for all steps and both branches of guidance; ``None``: the CPC
            depends on time, text or noise.
    """

    lr_latents: torch.Tensor
    control: tuple[torch.Tensor, ...] | None

    def to(self, device: torch.device) -> "Condition":
        """Return it on another device."""
        control = None if self.control is None else tuple(x.to(device) for x in self.control)
        return Condition(self.lr_latents.to(device), control)


class ControlledWan(nn.Module):
    """The frozen main transformer under its control branch.

    Latents and text are cast to the weights' dtype; velocities are float32.

    Args:
        transformer: whose time and text embedders serve both.
        controlnet: what conditions it takes, its configuration says.
        empty_prompt: (1, text tokens, text_dim), for a CPC without text, and for samples without a prompt.
    """

    empty_prompt: torch.Tensor

    def __init__(
        self, transformer: ControlledWanTransformer3DModel, controlnet: CpcControlNet, empty_prompt: torch.Tensor
    ) -> None:
        super().__init__()
        self.transformer, self.controlnet = transformer, controlnet
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)

    def condition(self, lr_latents: torch.Tensor) -> Condition:
        """Prepare what all velocities under (B, C, f, h, w) LR latents share."""
        if not self.controlnet.is_static:
            return Condition(lr_latents, None)
        sigma = torch.zeros(len(lr_latents), device=lr_latents.device)
        return Condition(lr_latents, self.control(lr_latents, lr_latents, sigma, self.empty_prompt))

    def velocity(
        self,
        z: torch.Tensor,
        sigma: torch.Tensor,
        condition: Condition,
        prompt: torch.Tensor | None = None,
        scale: float = 1.0,
    ) -> torch.Tensor:
        """Predict ``eps - x0``.

        Args:
            z: (B, C, f, h, w) noisy latents.
            sigma: (B,) their noise levels, in [0, 1].
            condition: from :meth:`condition`.
            prompt: (1 or B, text tokens, text_dim); ``None``: the empty one.
            scale: gamma of Eq. 1.

        Returns:
            (B, C, f, h, w) float32.
        """
        prompt = self.empty_prompt if prompt is None else prompt
        control = condition.control
        if control is None:
            control = self.control(condition.lr_latents, z, sigma, prompt)
        dtype = self.transformer.dtype
        text = prompt.to(dtype).expand(len(z), -1, -1)
        return self.transformer(z.to(dtype), timestep_of(sigma), text, control, scale).float()

    def sample(self, lr_latents: torch.Tensor, noise: torch.Tensor, prompt: torch.Tensor | None = None) -> torch.Tensor:
        """Sample clean latents from ``noise`` (B, C, f, h, w) by the steps, the shift and the sampler that the CPC is made
        for, without guidance."""
        c, condition = self.controlnet.config, self.condition(lr_latents)
        return sample(lambda z, sigma: self.velocity(z, sigma, condition, prompt), noise, c.steps, c.shift, c.sampler)

    def control(
        self, lr_latents: torch.Tensor, z: torch.Tensor, sigma: torch.Tensor, prompt: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Run the control branch, of time, prompt and noise with those that it takes; shapes as in :meth:`velocity`.

        Returns:
            L tensors (B, f h w / 4, D).
        """
        c, dtype = self.controlnet.config, self.transformer.dtype
        text = (prompt if c.text_conditioned else self.empty_prompt).to(dtype).expand(len(z), -1, -1)
        timestep = timestep_of(sigma if c.time_conditioned else torch.zeros_like(sigma))
        _, timestep_proj, text = self.transformer.embed_conditions(timestep, text)
        return self.controlnet(lr_latents.to(dtype), timestep_proj, text, z.to(dtype))
