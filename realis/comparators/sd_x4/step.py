"""The training step of the x4 upscaler: v-prediction of a noised HR latent beside the LR (Rombach et al. 2022; Salimans
and Ho 2022)."""

from typing import NamedTuple

import torch
from diffusers import UNet2DConditionModel

from realis.data.batch import Batch, clips_of, images_of
from realis.data.randomness import sample_generator
from realis.diffusion.v_prediction import NoiseSchedule, add_noise, sample, velocity
from realis.models.sd_x4.loading import predict_velocity
from realis.training.settings import Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class Draws(NamedTuple):
    """What is drawn for a batch of B samples.

    Args:
        timesteps: (B,) int64.
        noise_levels: of the LR, (B,) int64.
        noise: of the HR latents.
        lr_noise: of the LR.
    """

    timesteps: torch.Tensor
    noise_levels: torch.Tensor
    noise: torch.Tensor
    lr_noise: torch.Tensor


class SdX4Step(TrainingStep):
    """Predict the velocity of a noised HR latent beside the noised LR; frames are images of their own.

    Args:
        unet: what is trained, in float32.
        schedule: noise levels of the latents.
        lr_schedule: those of the LR, for a network that is told how noisy it is; ``None``: the LR stays as it is.
        prompt: the embedding of the empty prompt, (1, 77, text_dim).
        most_noise: the highest level that the LR is noised to; -1 for a network without levels.
        pure_noise: share of samples at the noisiest timestep.
        noise_level: of the LR in sampling.
        steps: of sampling, for pictures and validation.
        seed: of all draws.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        schedule: NoiseSchedule,
        lr_schedule: NoiseSchedule | None,
        prompt: torch.Tensor,
        most_noise: int,
        pure_noise: float,
        noise_level: int,
        steps: int,
        seed: int,
        precision: Precision,
    ) -> None:
        super().__init__(precision)
        self.unet, self.schedule, self.lr_schedule = unet, schedule, lr_schedule
        self.most_noise, self.pure_noise, self.noise_level = most_noise, pure_noise, noise_level
        self.steps, self.seed = steps, seed
        self.register_buffer("prompt", prompt, persistent=False)

    def draw(self, batch: Batch, seed: int) -> Draws:
        """Draw timesteps, noise levels and noise by (seed, number of the sample)."""
        latents, lr = batch["hr_latents"], batch["lr"]
        timesteps, levels, noise, lr_noise = [], [], [], []
        for number in batch["number"].tolist():
            generator = sample_generator(seed, number, "flow")
            last = torch.tensor(len(self.schedule.alphas) - 1)
            drawn = torch.randint(len(self.schedule.alphas), (), generator=generator)
            timesteps.append(torch.where(torch.rand((), generator=generator) < self.pure_noise, last, drawn))
            levels.append(torch.randint(max(self.most_noise, 0) + 1, (), generator=generator))
            noise.append(torch.randn(latents.shape[1:], generator=generator))
            lr_noise.append(torch.randn(lr.shape[1:], generator=generator))
        device = latents.device
        return Draws(*(torch.stack(drawn).to(device) for drawn in (timesteps, levels, noise, lr_noise)))

    def losses(self, batch: Batch) -> Tensors:
        """Losses of a batch with ``hr_latents`` (B, C, F, h, w), ``lr`` (B, 3, F, h, w) and ``number`` (B,)."""
        draws, x0 = self.draw(batch, self.seed), batch["hr_latents"]
        alpha = self.schedule.alphas.to(x0.device)[draws.timesteps]
        z, target = add_noise(x0, draws.noise, alpha), velocity(x0, draws.noise, alpha)
        lr = self.noised(batch["lr"], draws.lr_noise, draws.noise_levels)
        v = self.velocity(z, draws.timesteps, lr, draws.noise_levels)
        return {"loss": (v - target).square().mean()}

    def noised(self, lr: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """Return the LR (B, 3, F, h, w) noised to ``levels`` (B,)."""
        if self.lr_schedule is None:
            return lr
        return add_noise(lr, noise, self.lr_schedule.alphas.to(lr.device)[levels])

    def velocity(
        self, z: torch.Tensor, timesteps: torch.Tensor, lr: torch.Tensor, noise_levels: torch.Tensor
    ) -> torch.Tensor:
        """Predict the velocity of noisy latents z (B, C, F, h, w) beside the LR (B, 3, F, h, w)."""
        frames = z.shape[2]
        timesteps, levels = timesteps.repeat_interleave(frames), noise_levels.repeat_interleave(frames)
        v = predict_velocity(self.unet, images_of(z), timesteps, images_of(lr), self.prompt, levels)
        return clips_of(v, len(z))

    def sample(self, batch: Batch) -> torch.Tensor:
        """Sample restored latents (B, C, F, h, w) as inference does by default, from noise that is the same in every run."""
        draws = self.draw(batch, seed=0)
        levels = torch.full_like(draws.noise_levels, self.noise_level)
        lr = self.noised(batch["lr"], draws.lr_noise, levels)

        def model(z: torch.Tensor, timestep: int) -> torch.Tensor:
            return self.velocity(z, torch.full_like(levels, timestep), lr, levels)

        return sample(model, draws.noise, self.schedule.steps(self.steps, "ddim"), noise=iter(()))
