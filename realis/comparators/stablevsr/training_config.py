"""The flags of training StableVSR's Temporal Conditioning Module."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.comparators.sd_x4.guided_config import GuidedTrainingConfig
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.core.config import flag_name
from realis.core.errors import require
from realis.models.hub import WIDTH


@dataclass(frozen=True)
class StableVsrTrainingConfig(TextureGuidanceConfig, GuidedTrainingConfig):
    """StableVSR's Temporal Conditioning Module, over a frozen x4 upscaler."""

    PREFIX: ClassVar = "stablevsr"

    tcm: str = ""  # a module that is trained on: a folder or a hub id; empty: a new one
    widths: tuple[int, int, int] = (64, 128, 256)  # of a new one: of the layers that shrink the guidance to a fourth

    def __post_init__(self) -> None:
        super().__post_init__()
        for width in self.widths:
            require(1 <= width <= WIDTH, flag("widths"), width, f"1 to {WIDTH}")
        is_default = self.widths == StableVsrTrainingConfig.widths
        wanted = f"nothing with {flag('tcm')}, which has its own"
        require(is_default or not self.tcm, flag("widths"), self.widths, wanted)


flag = partial(flag_name, StableVsrTrainingConfig)  # the flag of a field
