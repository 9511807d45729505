"""The training step of a text-free video prior."""

import torch

from realis.data.batch import Batch
from realis.diffusion.rectified_flow import add_noise
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.wan.timestep import timestep_of
from realis.training.flow import draw_flow, draw_noise
from realis.training.settings import FlowConfig, Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


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

    def losses(self, batch: Batch) -> Tensors:
        z, sigma, target = draw_flow(batch["hr_latents"], batch["number"], self.flow, self.seed)
        return {"loss": (self.velocity(z, sigma).float() - target.float()).square().mean()}

    def velocity(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Predict the velocity (B, C, f, h, w) of noisy latents under the empty prompt."""
        return self.transformer(z, timestep_of(sigma), self.empty_prompt.expand(len(z), -1, -1))

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return half noised latents, and the clean estimate from them: (2, B, C, f, h, w)."""
        x0 = batch["hr_latents"]
        sigma = torch.full((len(x0),), 0.5, device=x0.device)
        z = add_noise(x0, draw_noise(x0, batch["number"], self.seed), sigma)
        return torch.stack([z, z - 0.5 * self.velocity(z, sigma)])
