"""The flags of training StableVSR's Temporal Conditioning Module."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from realis.comparators.sd_x4.training_config import check_noise
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.core.config import flag_name
from realis.core.errors import require
from realis.models.hub import SD_X4_TINY, WIDTH


@dataclass(frozen=True)
class StableVsrTrainingConfig(TextureGuidanceConfig):
    """StableVSR's Temporal Conditioning Module, over a frozen x4 upscaler."""

    PREFIX: ClassVar = "stablevsr"

    model: str = SD_X4_TINY  # the frozen upscaler: sd-x4-tiny, a folder in diffusers' format, or a hub id
    tcm: str = ""  # a module that is trained on: a folder or a hub id; empty: a new one
    widths: tuple[int, int, int] = (64, 128, 256)  # of a new one: of the layers that shrink the guidance to a fourth
    # the LR is noised to levels up to this one, of 1000, and the networks told; -1: 100, for a model without levels none;
    # off: it is not, and they are told of no level, whatever the model's files say
    most_noise: int | Literal["off"] = -1
    # share of samples at the noisiest timestep, where sampling begins; -1: half for a model of up to 4 steps, else none
    pure_noise: float = -1.0

    def __post_init__(self) -> None:
        check_noise(self)
        for width in self.widths:
            require(1 <= width <= WIDTH, flag("widths"), width, f"1 to {WIDTH}")
        is_default = self.widths == StableVsrTrainingConfig.widths
        require(
            is_default or not self.tcm, flag("widths"), self.widths, f"nothing with {flag('tcm')}, which has its own"
        )


flag = partial(flag_name, StableVsrTrainingConfig)  # the flag of a field
