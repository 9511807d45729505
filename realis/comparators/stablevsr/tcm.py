"""The Temporal Conditioning Module: a ControlNet over the input of the UNet, conditioned on RGB frames four times as large
(StableVSR, Sec. 4.1)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from realis.models.parts import load_part
from realis.models.sd_x4.loading import Guide, forget_noise_levels

WIDTHS = (64, 128, 256)  # of the layers that shrink the guidance to a fourth: the published ones


def new_tcm(unet: UNet2DConditionModel, widths: Sequence[int] = WIDTHS) -> ControlNetModel:
    """Return a new module for ``unet``: a copy of its encoder, in front of convolutions of zeros, so that it changes nothing
    yet.

    Args:
        widths: of the three layers that shrink the guidance.
    """
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=tuple(widths))


def load_tcm(folder: Path, dtype: torch.dtype, noise_levels: bool) -> ControlNetModel:
    """Load a module strictly.

    Args:
        folder: of it.
        dtype: of its weights.
        noise_levels: whether it is told how noisy the LR is, if it was made for that.

    Raises:
        InputError: its weights are damaged or do not fit.
    """
    tcm = load_part(ControlNetModel, folder, dtype)
    if not noise_levels:
        forget_noise_levels(tcm)
    return tcm


def guided_by(tcm: ControlNetModel, guidance: torch.Tensor) -> Guide:
    """Return how ``guidance`` (B, 3, 4h, 4w) in [-1, 1] is put into the middle and the decoder of the UNet."""

    def guide(
        inputs: torch.Tensor, timesteps: torch.Tensor, prompt: torch.Tensor, noise_levels: torch.Tensor | None
    ) -> AbstractContextManager[dict[str, Any]]:
        labels = noise_levels if tcm.class_embedding is not None else None
        down, middle = tcm(
            inputs, timesteps, prompt, guidance.to(inputs.dtype), class_labels=labels, return_dict=False
        )  # fmt: skip
        return nullcontext({"down_block_additional_residuals": down, "mid_block_additional_residual": middle})

    return guide
