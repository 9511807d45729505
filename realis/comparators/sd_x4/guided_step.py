"""The training step of a network that guides a frozen x4 upscaler: v-prediction of a frame beside a neighbour that the
upscaler alone has estimated at the same timestep (StableVSR, Algorithm 2)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch

from realis.comparators.sd_x4.guided_config import MotionConfig
from realis.comparators.sd_x4.motion import flows_between
from realis.comparators.sd_x4.step import SdX4Step
from realis.data.batch import Batch
from realis.data.randomness import sample_rng
from realis.diffusion.v_prediction import Step, add_noise, clean_estimate, velocity
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.loading import Guide, predict_velocity
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep


class GuidedStep(TrainingStep):
    """Predict the velocity of a frame, guided by a neighbour.

    Args:
        base: the step of the upscaler, whose UNet is frozen.
        estimate_flow: between frames.
        motion: how flow is found.
    """

    def __init__(self, base: SdX4Step, estimate_flow: FlowEstimator, motion: MotionConfig) -> None:
        super().__init__(base.precision)
        self.base, self.estimate_flow, self.motion = base, estimate_flow, motion

    @abstractmethod
    def align(
        self, z: torch.Tensor, x0: torch.Tensor, flow: torch.Tensor, back: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """Return the guidance of frames in training, from what is known of their neighbours.

        Args:
            z: their noisy latents, (B, C, h, w).
            x0: their clean estimates.
            flow: from the frames to the neighbours, (B, 2, H, W).
            back: gives the flow from the neighbours to the frames.
        """

    @abstractmethod
    def guide(self, guidance: torch.Tensor) -> Guide:
        """Return how ``guidance`` (B, ...) guides the network."""

    @abstractmethod
    def sample_clips(
        self,
        predict: Callable[[int, torch.Tensor, int, torch.Tensor | None], torch.Tensor],
        flow: Callable[[int, int], torch.Tensor],
        z: Sequence[torch.Tensor],
        steps: Sequence[Step],
    ) -> Sequence[torch.Tensor]:
        """Sample the clean latents of each frame, (B, C, h, w), by DDIM in both directions.

        Args:
            predict: (frame, its latents, timestep, guidance or None) -> velocities.
            flow: (frame, neighbour) -> from the one to the other, (B, 2, H, W).
            z: latents of each frame at the noisiest step.
            steps: of DDIM.
        """

    def losses(self, batch: Batch) -> Tensors:
        """Losses of a batch with ``hr_latents`` (B, C, F, h, w), ``lr`` (B, 3, F, h, w) and ``number`` (B,); F is 2 or more."""
        base, draws = self.base, self.base.draw(batch, self.base.seed)
        pairs = [draw_pair(base.seed, number, batch["lr"].shape[2]) for number in batch["number"].tolist()]
        clips = (batch["hr_latents"], draws.noise, base.noised(batch["lr"], draws.lr_noise, draws.noise_levels))

        def of_pairs(clips: torch.Tensor, which: int) -> torch.Tensor:
            return torch.stack([clip[:, pair[which]] for clip, pair in zip(clips, pairs, strict=True)])

        neighbour, frame = ([of_pairs(clip, which) for clip in clips] for which in (0, 1))
        alpha = base.schedule.alphas.to(frame[0].device)[draws.timesteps]

        # Lines 6 to 8: the neighbour, by the UNet alone
        with torch.no_grad():
            x0, noise, lr = neighbour
            z = add_noise(x0, noise, alpha)
            v = self.predict(z, draws.timesteps, lr, draws.noise_levels)
            with in_float32(z.device):
                flow = self.flows({which: of_pairs(batch["lr"], which) for which in (0, 1)})
                guidance = self.align(z, clean_estimate(z, v, alpha), flow(1, 0), lambda: flow(0, 1))

        # Lines 9 and 10: the frame, guided
        x0, noise, lr = frame
        z, target = add_noise(x0, noise, alpha), velocity(x0, noise, alpha)
        v = self.predict(z, draws.timesteps, lr, draws.noise_levels, self.guide(guidance))
        return {"loss": (v - target).square().mean()}

    def predict(
        self,
        z: torch.Tensor,
        timesteps: torch.Tensor,
        lr: torch.Tensor,
        noise_levels: torch.Tensor,
        guide: Guide | None = None,
    ) -> torch.Tensor:
        """Predict the velocity of noisy latents z (B, C, h, w) beside the LR (B, 3, h, w)."""
        return predict_velocity(self.base.unet, z, timesteps, lr, self.base.prompt, noise_levels, guide)

    def flows(self, lr: Mapping[int, torch.Tensor]) -> Callable[[int, int], torch.Tensor]:
        """Return the flow between LR frames (B, 3, h, w) in [-1, 1], by their numbers."""
        frames = {number: (frame + 1) / 2 for number, frame in lr.items()}
        return flows_between(frames, self.estimate_flow, self.motion)

    def sample(self, batch: Batch) -> torch.Tensor:
        """Sample restored latents (B, C, F, h, w) by DDIM in both directions, in float32, from noise that is the same in
        every run."""
        base, draws, frames = self.base, self.base.draw(batch, seed=0), batch["lr"].unbind(2)
        levels = torch.full_like(draws.noise_levels, base.noise_level)
        noised = base.noised(batch["lr"], draws.lr_noise, levels).unbind(2)

        def predict(frame: int, z: torch.Tensor, timestep: int, guidance: torch.Tensor | None) -> torch.Tensor:
            guide = None if guidance is None else self.guide(guidance)
            return self.predict(z, torch.full_like(levels, timestep), noised[frame], levels, guide)

        flow, steps = self.flows(dict(enumerate(frames))), base.schedule.steps(base.steps, "ddim")
        with in_float32(batch["lr"].device):
            return torch.stack(list(self.sample_clips(predict, flow, draws.noise.unbind(2), steps)), dim=2)


def in_float32(device: torch.device) -> torch.autocast:
    """Return a context without autocast: flow, warping and the VAE lose too much in bfloat16."""
    return torch.autocast(device.type, enabled=False)


def draw_pair(seed: int, number: int, frames: int) -> tuple[int, int]:
    """Draw which frame of a clip of ``frames`` is the neighbour, and which it guides: one beside it, on either side."""
    rng = sample_rng(seed, number, "pair of frames")
    first, turned = int(rng.integers(frames - 1)), rng.integers(2)
    return (first + 1, first) if turned else (first, first + 1)
