"""DGAF-VSR over the frames of a segment, which take a sampling step together."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from realis.comparators.dgaf_vsr.config import DgafVsrConfig
from realis.comparators.dgaf_vsr.guiding_unet import GuidingUNet, guided_by
from realis.comparators.dgaf_vsr.ogwm import align
from realis.comparators.dgaf_vsr.sampling import sample_in_step
from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.comparators.sd_x4.guided_upscaler import Decode, Guidance, GuidedUpscaler, Predict
from realis.comparators.stablevsr.sampling import sample_frames
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.loading import Guide
from realis.upscaler import Needs


class DgafVsrUpscaler(GuidedUpscaler):
    """DGAF-VSR; see :class:`realis.comparators.sd_x4.guided_upscaler.GuidedUpscaler`.

    Args:
        guiding: the U-Net that guides.
        config: how.
    """

    def __init__(
        self,
        model: CanvasSdX4,
        guiding: GuidingUNet,
        estimate_flow: FlowEstimator,
        config: DgafVsrConfig,
        needs: Needs,
    ) -> None:
        super().__init__(model, estimate_flow, config, needs)
        self.guiding, self.config = guiding, config

    def align(
        self,
        latents: torch.Tensor,
        flow: torch.Tensor,
        back: Callable[[], torch.Tensor],
        decode: Decode,
        scale: int,
    ) -> torch.Tensor:
        return align(latents, flow, scale, self.config)

    def guide(self, guidance: torch.Tensor) -> Guide:
        return guided_by(self.guiding, guidance, self.model.unet)

    def sample(
        self,
        predict: Predict,
        guidance: Guidance,
        z: Sequence[torch.Tensor],
        noise: Iterator[torch.Tensor],
        before: torch.Tensor | None,
    ) -> Sequence[torch.Tensor]:
        steps, strategy = self.model.steps, self.config.strategy
        if self.config.guidance_step == "same":
            return sample_frames(
                lambda frame, *given: predict([frame], *given), guidance, z, steps, strategy, "x0", noise, before
            )

        def predict_all(
            z: Sequence[torch.Tensor], timestep: int, aligned: Mapping[int, torch.Tensor]
        ) -> Sequence[torch.Tensor]:
            """Predict guided frames together, and the others together."""
            velocities: dict[int, torch.Tensor] = {}
            for frames in (list(aligned), [frame for frame in range(len(z)) if frame not in aligned]):
                if frames:
                    guidance = torch.cat([aligned[frame] for frame in frames]) if frames[0] in aligned else None
                    v = predict(frames, torch.cat([z[frame] for frame in frames]), timestep, guidance)
                    velocities |= zip(frames, v.split(1), strict=True)
            return [velocities[frame] for frame in range(len(z))]

        return sample_in_step(predict_all, guidance, z, steps, strategy, noise, before)
