"""The training step of VideoGigaGAN: generator and discriminator, two players of the one loop (Sec. 3.6, Eq. 2)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from realis.comparators.videogigagan.discriminator import Discriminator
from realis.comparators.videogigagan.generator import VideoGigaGan
from realis.comparators.videogigagan.layout import all_noise_channels
from realis.comparators.videogigagan.propagation import Flows
from realis.comparators.videogigagan.training_config import VideoGigaGanTrainingConfig
from realis.data.batch import Batch
from realis.data.randomness import sample_generator
from realis.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from realis.losses.charbonnier import charbonnier
from realis.training.lpips import lpips
from realis.training.players import Player, trainable
from realis.training.settings import OptimizerConfig, Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep

if TYPE_CHECKING:
    from realis.metrics.base import Network


class VideoGigaGanStep(TrainingStep):
    """Enlarge clips so that they are near the truth, and that the discriminator takes them for real.

    Args:
        generator, discriminator: what is trained, in float32.
        lpips_network: of LPIPS; ``None``: it is no part of the loss.
        config: weights of the losses.
        optimizer: of both; averages are kept of the generator alone.
        samples_per_step: of an optimizer step: R1 has its turn in one step of so many, by the numbers of its samples.
        seed: of all noise.
    """

    def __init__(
        self,
        generator: VideoGigaGan,
        discriminator: Discriminator,
        lpips_network: "Network | None",
        config: VideoGigaGanTrainingConfig,
        optimizer: OptimizerConfig,
        samples_per_step: int,
        seed: int,
        precision: Precision,
    ) -> None:
        super().__init__(precision)
        self.generator, self.discriminator = generator, discriminator
        self.lpips_network, self.config, self.optimizer = lpips_network, config, optimizer
        self.samples_per_step, self.seed = samples_per_step, seed

    def players(self) -> Sequence[Player]:
        def weights(part: str) -> dict[str, torch.nn.Parameter]:
            return {f"{part}.{name}": p for name, p in trainable(getattr(self, part)).items()}

        unaveraged = replace(self.optimizer, ema=0.0)
        return [
            Player(weights("generator"), "generator", "generator_losses", self.optimizer),
            Player(weights("discriminator"), "discriminator", "discriminator_losses", unaveraged),
        ]

    def generator_losses(self, batch: Batch) -> Tensors:
        """Return the generator's losses, means over the frames of a batch with ``hr`` and ``lr`` in [-1, 1]."""
        c, restored = self.config, self.restore(batch, self.seed)
        terms = {
            "gan": generator_loss(self.discriminator(restored)),
            "lpips": lpips(self.lpips_network, restored, batch["hr"]),
            "charbonnier": charbonnier(restored, batch["hr"]),
        }
        loss = torch.stack([getattr(c, name) * term.float() for name, term in terms.items()]).sum()
        return {"loss": loss} | {name: term.detach() for name, term in terms.items()}

    def discriminator_losses(self, batch: Batch) -> Tensors:
        """Return the discriminator's losses of such a batch: R1 in one optimizer step of ``r1_every``, and as many times as
        much."""
        c = self.config
        with torch.no_grad():
            restored = self.restore(batch, self.seed)
        real, fake = self.discriminator(batch["hr"]), self.discriminator(restored)
        loss = discriminator_loss(real, fake)
        terms = {"gan": loss.detach(), "real": real.detach().mean(), "fake": fake.detach().mean()}
        step = int(batch["number"][0]) // self.samples_per_step
        if c.r1 and step % c.r1_every == 0:
            penalty = r1_penalty(self.discriminator, batch["hr"])
            loss = loss + c.r1 * c.r1_every * penalty
            terms["r1"] = penalty.detach()
        return {"loss": loss} | terms

    def restore(self, batch: Batch, seed: int) -> torch.Tensor:
        """Enlarge the LR clips of a batch, (B, 3, F, H, W), by noise that is drawn by ``seed`` and number."""
        flows = Flows(batch["to_next"], batch["to_previous"]) if "to_next" in batch else None
        return self.generator(batch["lr"], flows, *self.draw(batch, seed))

    def draw(self, batch: Batch, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the noise of the style, (B, noise_dim), and the spatial noise, (B, N, h, w)."""
        config, (h, w) = self.generator.config, batch["lr"].shape[-2:]
        channels, drawn = all_noise_channels(len(config.upsampling_widths)), []
        for number in batch["number"].tolist():
            generator = sample_generator(seed, number, "noise")
            drawn.append([torch.randn(shape, generator=generator) for shape in ((config.noise_dim,), (channels, h, w))])
        z, noise = (torch.stack(part).to(batch["lr"].device) for part in zip(*drawn, strict=True))
        return z, noise

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return the LR clips enlarged, by noise that is the same in every run."""
        return self.restore(batch, seed=0)
