"""Training of DGAF-VSR's guiding U-Net. Torch is imported only to train."""

from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.dgaf_vsr.files import PART, check_guiding, guiding_folder
from realis.comparators.dgaf_vsr.training_config import DgafVsrTrainingConfig, flag
from realis.comparators.sd_x4.guided_training import check_trained_levels, find_upscaler, prepare_guided
from realis.models.sd_x4.files import SCALE
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from realis.comparators.dgaf_vsr.guiding_unet import GuidingUNet
    from realis.training.run import Run


class DgafVsrTraining:
    """DGAF-VSR as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = DgafVsrTrainingConfig
    least_frames = 2  # one guides the other

    def scale(self, config: DgafVsrTrainingConfig) -> int:
        return SCALE

    def find_files(self, config: DgafVsrTrainingConfig) -> list[Path]:
        folder = find_upscaler(config)
        if not config.guiding_unet:
            return [folder]
        guiding = guiding_folder(config.guiding_unet, flag("guiding_unet"))
        check_trained_levels(config, folder, check_guiding(guiding, folder, flag("guiding_unet")), guiding)
        return [folder, guiding]

    def prepare(self, config: DgafVsrTrainingConfig, run: "Run") -> ComparatorTraining:
        from realis.comparators.dgaf_vsr.step import DgafVsrStep

        def guiding_of(unet: "UNet2DConditionModel") -> "GuidingUNet":
            import torch

            from realis.comparators.dgaf_vsr.guiding_unet import load_guiding_unet, new_guiding_unet
            from realis.ops.finite import check_weights

            if not config.guiding_unet:
                return new_guiding_unet(unet, config.guide_attention, config.encoder_only)
            folder = guiding_folder(config.guiding_unet, flag("guiding_unet"))
            guiding = load_guiding_unet(folder, torch.float32, unet.class_embedding is not None)
            check_weights(guiding, folder)
            return guiding

        return prepare_guided(
            config, run, guiding_of, lambda base, guiding, decode, flow: DgafVsrStep(base, guiding, flow, config), PART,
            "guiding_unet",
        )  # fmt: skip


TRAINING = DgafVsrTraining()
