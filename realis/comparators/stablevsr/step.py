"""The training step of StableVSR (its Algorithm 2): v-prediction of a frame that is shown the texture of a neighbour."""

from collections.abc import Callable

import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from realis.comparators.sd_x4.step import SdX4Step
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.comparators.stablevsr.sampling import sample_frames
from realis.comparators.stablevsr.tcm import guided_by
from realis.comparators.stablevsr.texture_guidance import frames_for_flow, texture_guidance
from realis.data.batch import Batch
from realis.data.randomness import sample_rng
from realis.diffusion.v_prediction import NoiseSchedule, add_noise, clean_estimate, velocity
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.loading import Guide, predict_velocity
from realis.training.settings import Precision
from realis.training.state import Tensors


class StableVsrStep(SdX4Step):
    """Predict the velocity of a frame, guided by a neighbour that the frozen UNet alone has estimated at the same timestep.

    Args:
        unet: frozen.
        tcm: what is trained, in float32.
        decode: latents (B, C, h, w) -> frames (B, 3, 4h, 4w) in about [-1, 1].
        estimate_flow: between frames.
        guidance: how a frame is shown its neighbour.

    The others are those of :class:`realis.comparators.sd_x4.step.SdX4Step`.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        tcm: ControlNetModel,
        decode: Callable[[torch.Tensor], torch.Tensor],
        estimate_flow: FlowEstimator,
        guidance: TextureGuidanceConfig,
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
        super().__init__(
            unet, schedule, lr_schedule, prompt, most_noise, pure_noise, noise_level, steps, seed, precision
        )
        self.tcm, self.decode, self.estimate_flow, self.guidance = tcm, decode, estimate_flow, guidance

    def losses(self, batch: Batch) -> Tensors:
        """Losses of a batch with ``hr_latents`` (B, C, F, h, w), ``lr`` (B, 3, F, h, w) and ``number`` (B,); F is 2 or more."""
        pairs = [draw_pair(self.seed, number, batch["lr"].shape[2]) for number in batch["number"].tolist()]
        draws = self.draw(batch, self.seed)
        noised = self.noised(batch["lr"], draws.lr_noise, draws.noise_levels)
        neighbours, frames = (
            [
                torch.stack([clip[:, pair[which]] for clip, pair in zip(clips, pairs, strict=True)])
                for clips in (batch["hr_latents"], draws.noise, noised, batch["lr"])
            ]
            for which in (0, 1)
        )
        alpha = self.schedule.alphas.to(noised.device)[draws.timesteps]

        # Lines 6 to 8: the neighbour, by the UNet alone
        with torch.no_grad():
            x0, noise, lr, clean_lr = neighbours
            z = add_noise(x0, noise, alpha)
            v = self.predict(z, draws.timesteps, lr, draws.noise_levels)
            shown = clean_estimate(z, v, alpha) if self.guidance.guidance_on == "x0" else z
            texture = self.texture(shown, frames[3], clean_lr)

        # Lines 9 and 10: the frame, by both
        x0, noise, lr, _ = frames
        z, target = add_noise(x0, noise, alpha), velocity(x0, noise, alpha)
        v = self.predict(z, draws.timesteps, lr, draws.noise_levels, guided_by(self.tcm, texture))
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
        return predict_velocity(self.unet, z, timesteps, lr, self.prompt, noise_levels, guide)

    @torch.no_grad()
    def texture(self, latents: torch.Tensor, lr: torch.Tensor, neighbour: torch.Tensor) -> torch.Tensor:
        """Return the guidance of frames from the latents of their neighbours.

        Args:
            latents: (B, C, h, w).
            lr: of the frames, (B, 3, h, w) in [-1, 1].
            neighbour: LR of the neighbours.
        """
        here, there = (frames_for_flow((x + 1) / 2, self.guidance) for x in (lr, neighbour))
        flow = self.estimate_flow(here, there)
        back = self.estimate_flow(there, here) if self.guidance.mask_occlusion else None
        return texture_guidance(latents, flow, back, self.decode, self.guidance)

    def sample(self, batch: Batch) -> torch.Tensor:
        """Sample restored latents (B, C, F, h, w) in both directions by DDIM, from noise that is the same in every run."""
        draws = self.draw(batch, seed=0)
        levels = torch.full_like(draws.noise_levels, self.noise_level)
        lr = batch["lr"]
        noised = self.noised(lr, draws.lr_noise, levels)

        def predict(frame: int, z: torch.Tensor, timestep: int, texture: torch.Tensor | None) -> torch.Tensor:
            guide = None if texture is None else guided_by(self.tcm, texture)
            return self.predict(z, torch.full_like(levels, timestep), noised[:, :, frame], levels, guide)

        def texture(latents: torch.Tensor, frame: int, neighbour: int) -> torch.Tensor:
            return self.texture(latents, lr[:, :, frame], lr[:, :, neighbour])

        steps = self.schedule.steps(self.steps, "ddim")
        z = sample_frames(
            predict, texture, draws.noise.unbind(2), steps, "bidirectional", self.guidance.guidance_on, iter(())
        )
        return torch.stack(z, dim=2)


def draw_pair(seed: int, number: int, frames: int) -> tuple[int, int]:
    """Draw which frame of a clip of ``frames`` is the neighbour, and which it guides: one beside it, on either side."""
    rng = sample_rng(seed, number, "pair of frames")
    first, turned = int(rng.integers(frames - 1)), rng.integers(2)
    return (first + 1, first) if turned else (first, first + 1)
