"""The training step of StableVSR (its Algorithm 2): a frame is shown the texture of its neighbour."""

from collections.abc import Callable, Sequence

import torch
from diffusers import ControlNetModel

from realis.comparators.sd_x4.guided_step import GuidedStep
from realis.comparators.sd_x4.guided_upscaler import Decode
from realis.comparators.sd_x4.step import SdX4Step
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.comparators.stablevsr.sampling import sample_frames
from realis.comparators.stablevsr.tcm import guided_by
from realis.comparators.stablevsr.texture_guidance import texture_guidance
from realis.diffusion.v_prediction import Step
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.loading import Guide


class StableVsrStep(GuidedStep):
    """Predict the velocity of a frame, guided by its neighbour; see :class:`realis.comparators.sd_x4.guided_step.GuidedStep`.

    Args:
        base: the step of the upscaler, whose UNet is frozen.
        tcm: the Temporal Conditioning Module, which is trained, in float32.
        decode: latents -> frames.
        estimate_flow: between frames.
        config: how a frame is shown its neighbour.
    """

    def __init__(
        self,
        base: SdX4Step,
        tcm: ControlNetModel,
        decode: Decode,
        estimate_flow: FlowEstimator,
        config: TextureGuidanceConfig,
    ) -> None:
        super().__init__(base, estimate_flow, config)
        self.tcm, self.decode, self.config = tcm, decode, config

    def align(
        self, z: torch.Tensor, x0: torch.Tensor, flow: torch.Tensor, back: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        return self.texture(x0 if self.config.guidance_on == "x0" else z, flow, back)

    def texture(self, latents: torch.Tensor, flow: torch.Tensor, back: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the guidance (B, 3, 4h, 4w) from ``latents`` of neighbours."""
        backward_flow = back() if self.config.mask_occlusion else None
        return texture_guidance(latents, flow, backward_flow, self.decode, self.config)

    def guide(self, guidance: torch.Tensor) -> Guide:
        return guided_by(self.tcm, guidance)

    def sample_clips(
        self,
        predict: Callable[[int, torch.Tensor, int, torch.Tensor | None], torch.Tensor],
        flow: Callable[[int, int], torch.Tensor],
        z: Sequence[torch.Tensor],
        steps: Sequence[Step],
    ) -> Sequence[torch.Tensor]:
        def guidance(latents: torch.Tensor, frame: int, neighbour: int) -> torch.Tensor:
            return self.texture(latents, flow(frame, neighbour), lambda: flow(neighbour, frame))

        return sample_frames(predict, guidance, z, steps, "bidirectional", self.config.guidance_on, iter(()))
