"""Training of StableVSR's Temporal Conditioning Module. Torch is imported only to train."""

from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.sd_x4.guided_training import check_trained_levels, find_upscaler, prepare_guided
from realis.comparators.stablevsr.files import PART, check_tcm, tcm_folder
from realis.comparators.stablevsr.training_config import StableVsrTrainingConfig, flag
from realis.models.sd_x4.files import SCALE
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    from diffusers import ControlNetModel, UNet2DConditionModel

    from realis.training.run import Run


class StableVsrTraining:
    """StableVSR as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = StableVsrTrainingConfig
    least_frames = 2  # one guides the other

    def scale(self, config: StableVsrTrainingConfig) -> int:
        return SCALE

    def find_files(self, config: StableVsrTrainingConfig) -> list[Path]:
        folder = find_upscaler(config)
        if not config.tcm:
            return [folder]
        tcm = tcm_folder(config.tcm, flag("tcm"))
        check_trained_levels(config, folder, check_tcm(tcm, folder, flag("tcm")), tcm)
        return [folder, tcm]

    def prepare(self, config: StableVsrTrainingConfig, run: "Run") -> ComparatorTraining:
        from realis.comparators.stablevsr.step import StableVsrStep

        def tcm_of(unet: "UNet2DConditionModel") -> "ControlNetModel":
            import torch

            from realis.comparators.stablevsr.tcm import load_tcm, new_tcm
            from realis.ops.finite import check_weights

            if not config.tcm:
                return new_tcm(unet, config.widths)
            folder = tcm_folder(config.tcm, flag("tcm"))
            tcm = load_tcm(folder, torch.float32, unet.class_embedding is not None)
            check_weights(tcm, folder)
            return tcm

        return prepare_guided(
            config, run, tcm_of,
            lambda base, tcm, decode, flow: StableVsrStep(base, tcm, decode, flow, config), PART, "tcm",
        )  # fmt: skip


TRAINING = StableVsrTraining()
