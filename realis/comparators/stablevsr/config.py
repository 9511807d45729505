"""The flags of StableVSR."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.comparators.sd_x4.guided_config import GuidedConfig
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.core.config import flag_name
from realis.core.errors import require


@dataclass(frozen=True)
class StableVsrConfig(TextureGuidanceConfig, GuidedConfig):
    """StableVSR: the Stable Diffusion x4 upscaler, whose frames are guided by the texture of their neighbours."""

    PREFIX: ClassVar = "stablevsr"

    tcm: str = ""  # the Temporal Conditioning Module: a folder or a hub id; empty: the model's own; stablevsr-tiny for sd-x4-tiny
    batch: int = 1  # frames that are decoded at a time in the end; they are sampled one after the other

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = self.guidance_on == "x0" or self.strategy != "auto-regressive"
        wanted = "x0 with --stablevsr.strategy auto-regressive, which finishes a frame before it guides the next"
        require(fits, flag("guidance_on"), self.guidance_on, wanted)


flag = partial(flag_name, StableVsrConfig)  # the flag of a field
