"""The flags of StableVSR."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.stablevsr.guidance_config import Strategy, TextureGuidanceConfig
from realis.core.config import flag_name
from realis.diffusion.samplers import Sampler


@dataclass(frozen=True)
class StableVsrConfig(TextureGuidanceConfig, SdX4Config):
    """StableVSR: the Stable Diffusion x4 upscaler, whose frames are guided by the texture of their neighbours."""

    PREFIX: ClassVar = "stablevsr"

    tcm: str = ""  # the Temporal Conditioning Module: a folder or a hub id; empty: that of --stablevsr.model
    strategy: Strategy = "bidirectional"  # how texture goes from frame to frame; single-frame: not at all
    sampler: Sampler = "ddpm"  # with fresh noise at every step; ddim: without
    batch: int = 1  # frames that are decoded at a time in the end; they are sampled one after the other


flag = partial(flag_name, StableVsrConfig)  # the flag of a field
