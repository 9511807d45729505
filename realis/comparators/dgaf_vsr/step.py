"""The training step of DGAF-VSR: the features of a frame are guided by the aligned latents of its neighbour."""

from collections.abc import Callable, Mapping, Sequence

import torch

from realis.comparators.dgaf_vsr.alignment_config import AlignmentConfig
from realis.comparators.dgaf_vsr.guiding_unet import GuidingUNet, guided_by
from realis.comparators.dgaf_vsr.ogwm import align
from realis.comparators.dgaf_vsr.sampling import sample_in_step
from realis.comparators.sd_x4.guided_step import GuidedStep
from realis.comparators.sd_x4.step import SdX4Step
from realis.diffusion.v_prediction import Step
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.files import SCALE
from realis.models.sd_x4.loading import Guide


class DgafVsrStep(GuidedStep):
    """Predict the velocity of a frame, guided by its neighbour; see :class:`realis.comparators.sd_x4.guided_step.GuidedStep`.

    Args:
        base: the step of the upscaler, whose UNet is frozen.
        guiding: the U-Net that guides it, which is trained, in float32.
        estimate_flow: between frames.
        config: how latents are aligned.
    """

    def __init__(
        self, base: SdX4Step, guiding: GuidingUNet, estimate_flow: FlowEstimator, config: AlignmentConfig
    ) -> None:
        super().__init__(base, estimate_flow, config)
        self.guiding, self.config = guiding, config

    def align(
        self, z: torch.Tensor, x0: torch.Tensor, flow: torch.Tensor, back: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        return align(x0, flow, SCALE, self.config)

    def guide(self, guidance: torch.Tensor) -> Guide:
        return guided_by(self.guiding, guidance, self.base.unet)

    def sample_clips(
        self,
        predict: Callable[[int, torch.Tensor, int, torch.Tensor | None], torch.Tensor],
        flow: Callable[[int, int], torch.Tensor],
        z: Sequence[torch.Tensor],
        steps: Sequence[Step],
    ) -> Sequence[torch.Tensor]:
        def guidance(latents: torch.Tensor, frame: int, neighbour: int) -> torch.Tensor:
            return align(latents, flow(frame, neighbour), SCALE, self.config)

        def predict_all(
            z: Sequence[torch.Tensor], timestep: int, guiding: Mapping[int, torch.Tensor]
        ) -> Sequence[torch.Tensor]:
            return [predict(frame, latents, timestep, guiding.get(frame)) for frame, latents in enumerate(z)]

        return sample_in_step(predict_all, guidance, z, steps, "bidirectional", iter(()))
