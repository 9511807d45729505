"""StableVSR over the frames of a segment, which take a sampling step one after the other."""

from collections.abc import Callable, Iterator, Sequence

import torch
from diffusers import ControlNetModel

from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.comparators.sd_x4.guided_upscaler import Decode, Guidance, GuidedUpscaler, Predict
from realis.comparators.stablevsr.config import StableVsrConfig
from realis.comparators.stablevsr.sampling import sample_frames
from realis.comparators.stablevsr.tcm import guided_by
from realis.comparators.stablevsr.texture_guidance import texture_guidance
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.loading import Guide
from realis.upscaler import Needs


class StableVsrUpscaler(GuidedUpscaler):
    """StableVSR; see :class:`realis.comparators.sd_x4.guided_upscaler.GuidedUpscaler`.

    Args:
        tcm: the Temporal Conditioning Module.
        config: how frames are guided.
    """

    def __init__(
        self,
        model: CanvasSdX4,
        tcm: ControlNetModel,
        estimate_flow: FlowEstimator,
        config: StableVsrConfig,
        needs: Needs,
    ) -> None:
        super().__init__(model, estimate_flow, config, needs)
        self.tcm, self.config = tcm, config

    def align(
        self,
        latents: torch.Tensor,
        flow: torch.Tensor,
        back: Callable[[], torch.Tensor],
        decode: Decode,
        scale: int,
    ) -> torch.Tensor:
        return texture_guidance(latents, flow, back() if self.config.mask_occlusion else None, decode, self.config)

    def guide(self, guidance: torch.Tensor) -> Guide:
        return guided_by(self.tcm, guidance)

    def sample(
        self,
        predict: Predict,
        guidance: Guidance,
        z: Sequence[torch.Tensor],
        noise: Iterator[torch.Tensor],
        before: torch.Tensor | None,
    ) -> Sequence[torch.Tensor]:
        def predict_frame(frame: int, z: torch.Tensor, timestep: int, texture: torch.Tensor | None) -> torch.Tensor:
            return predict([frame], z, timestep, texture)

        config = self.config
        return sample_frames(
            predict_frame, guidance, z, self.model.steps, config.strategy, config.guidance_on, noise, before
        )
