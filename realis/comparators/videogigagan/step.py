"""The training step of VideoGigaGAN: generator and discriminator, two players of the one loop (Sec. 3.6, Eq. 2)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

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
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.optical_flow.neighbours import flows_to_neighbours
from realis.training.lpips import lpips
from realis.training.players import Player, trainable
from realis.training.settings import OptimizerConfig, Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep

if TYPE_CHECKING:
    from realis.metrics.base import Network


class Measures(NamedTuple):
    """What has weights of its own, and is not trained.

    Args:
        flow: between LR frames; ``None`` for a generator without propagation.
        lpips: ``None``: no part of the loss.
    """

    flow: FlowEstimator | None
    lpips: "Network | None"


class VideoGigaGanStep(TrainingStep):
    """Enlarge clips so that they are near the truth, and that the discriminator takes them for real.

    Args:
        generator, discriminator: what is trained, in float32.
        measures: optical flow and LPIPS.
        config: weights of the losses.
        optimizer: of both; averages are kept of the generator alone.
        seed: of all noise.
    """

    def __init__(
        self,
        generator: VideoGigaGan,
        discriminator: Discriminator,
        measures: Measures,
        config: VideoGigaGanTrainingConfig,
        optimizer: OptimizerConfig,
        seed: int,
        precision: Precision,
    ) -> None:
        super().__init__(precision)
        self.generator, self.discriminator = generator, discriminator
        self.measures, self.config, self.optimizer, self.seed = measures, config, optimizer, seed

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
            "gan": generator_loss(self.discriminator(restored)) if c.gan else restored.new_zeros(()),
            "lpips": lpips(self.measures.lpips, restored, batch["hr"]),
            "charbonnier": charbonnier(restored, batch["hr"]),
        }
        loss = torch.stack([getattr(c, name) * term.float() for name, term in terms.items()]).sum()
        return {"loss": loss} | {name: term.detach() for name, term in terms.items()}

    def discriminator_losses(self, batch: Batch) -> Tensors:
        """Return the discriminator's losses of such a batch; R1 of those of its samples whose turn it is, by number."""
        c = self.config
        with torch.no_grad():
            restored = self.restore(batch, self.seed)
        real, fake = self.discriminator(batch["hr"]), self.discriminator(restored)
        gan = discriminator_loss(real, fake)
        loss, terms = gan, {"gan": gan.detach(), "real": real.detach().mean(), "fake": fake.detach().mean()}
        if picked := [i for i, number in enumerate(batch["number"].tolist()) if number % c.r1_every == 0]:
            penalty = r1_penalty(self.discriminator, batch["hr"][picked]) * len(picked) / len(batch["hr"])
            loss = loss + c.r1 * c.r1_every * penalty
        return {"loss": loss} | terms

    def restore(self, batch: Batch, seed: int) -> torch.Tensor:
        """Enlarge the LR clips of a batch, (B, 3, F, H, W), by noise that is drawn by ``seed`` and number."""
        flows, (z, noise) = self.flows(batch["lr"]), self.draw(batch, seed)
        return self.generator(batch["lr"], flows, z, noise)

    def draw(self, batch: Batch, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the noise of the style, (B, noise_dim), and the spatial noise, (B, N, h, w)."""
        config, (h, w) = self.generator.config, batch["lr"].shape[-2:]
        channels, drawn = all_noise_channels(len(config.upsampling_widths)), []
        for number in batch["number"].tolist():
            generator = sample_generator(seed, number, "noise")
            drawn.append([torch.randn(shape, generator=generator) for shape in ((config.noise_dim,), (channels, h, w))])
        z, noise = (torch.stack(part).to(batch["lr"].device) for part in zip(*drawn, strict=True))
        return z, noise

    @torch.no_grad()
    def flows(self, lr: torch.Tensor) -> Flows | None:
        """Estimate the flow between the frames of LR clips (B, 3, F, h, w) in [-1, 1], in float32."""
        if self.measures.flow is None:
            return None
        with torch.autocast(lr.device.type, enabled=False):
            frames = [(frame.float() + 1) / 2 for frame in lr.unbind(2)]
            return Flows(*(torch.stack(flows, dim=2) for flows in flows_to_neighbours(frames, self.measures.flow)))

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return the LR clips enlarged, by noise that is the same in every run."""
        return self.restore(batch, seed=0)
