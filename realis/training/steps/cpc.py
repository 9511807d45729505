"""The training step of CPC: rectified flow through the frozen transformer under control (RealisVSR, "Training")."""

import torch

from realis.data.batch import Batch
from realis.losses.hr_loss import HrLoss
from realis.models.cpc.controlled import ControlledWan
from realis.training.flow import draw_flow, draw_noise
from realis.training.players import Player, trainable
from realis.training.settings import FlowConfig, Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class CpcStep(TrainingStep):
    """Predict the velocity of a noised HR latent under the control of the LR latent; only the CPC is trained.

    Args:
        model: its transformer is frozen (gradients flow through it, not into it), its CPC is trained, in float32.
        loss: how velocities are compared.
        seed: of noise and noise levels.
    """

    def __init__(self, model: ControlledWan, loss: HrLoss, flow: FlowConfig, seed: int, precision: Precision) -> None:
        super().__init__(precision)
        model.transformer.requires_grad_(False)
        self.model, self.loss, self.flow, self.seed = model, loss, flow, seed

    def players(self) -> list[Player]:
        return [Player({f"controlnet.{name}": p for name, p in trainable(self.model.controlnet).items()})]

    def losses(self, batch: Batch) -> Tensors:
        """Losses of a batch.

        Args:
            batch: ``hr_latents``, ``lr_latents`` (B, C, f, h, w), ``number`` (B,), and maybe ``prompt``
                (B, text tokens, text_dim).
        """
        z, sigma, target = draw_flow(batch["hr_latents"], batch["number"], self.flow, self.seed)
        condition = self.model.condition(batch["lr_latents"])
        return self.loss(self.model.velocity(z, sigma, condition, batch.get("prompt")), target, z, sigma)

    def sample(self, batch: Batch) -> torch.Tensor:
        """Sample restored latents (B, C, f, h, w) as inference will."""
        noise = draw_noise(batch["lr_latents"], batch["number"], self.seed)
        return self.model.sample(batch["lr_latents"], noise, batch.get("prompt"))

    def validate(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sample as :meth:`sample`, from noise that is the same in every run; return the latents, and the loss of the velocity
        straight from their noise to them."""
        noise = draw_noise(batch["lr_latents"], batch["number"], seed=0)
        latents = self.model.sample(batch["lr_latents"], noise, batch.get("prompt"))
        losses = self.loss(noise - latents, noise - batch["hr_latents"], noise, torch.ones(len(noise)).to(noise))
        return latents, losses["loss"]
