"""The flags of StableVSR."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.comparators.sd_x4.guided_config import GuidedConfig
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.core.config import flag_name


@dataclass(frozen=True)
class StableVsrConfig(TextureGuidanceConfig, GuidedConfig):
    """StableVSR: the Stable Diffusion x4 upscaler, whose frames are guided by the texture of their neighbours."""

    PREFIX: ClassVar = "stablevsr"

    tcm: str = ""  # the Temporal Conditioning Module: a folder or a hub id; empty: that of --stablevsr.model
    batch: int = 1  # frames that are decoded at a time in the end; they are sampled one after the other


flag = partial(flag_name, StableVsrConfig)  # the flag of a field
