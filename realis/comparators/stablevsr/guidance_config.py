"""The flags of Temporal Texture Guidance, the same in training and inference."""

from dataclasses import dataclass
from typing import Literal

from realis.comparators.sd_x4.guided_config import MotionConfig

Estimate = Literal["x0", "xt"]  # clean, or noisy


@dataclass(frozen=True)
class TextureGuidanceConfig(MotionConfig):
    """How a frame is shown the texture of its neighbour (StableVSR, Eq. 8, and what its Table 4 leaves out of it)."""

    # what of the neighbour is shown: x0: its clean estimate at the same step; xt: its noisy latents
    guidance_on: Estimate = "x0"
    # latents: they are warped, and then decoded
    motion_compensation: Literal["frames", "latents", "off"] = "frames"
    mask_occlusion: bool = False  # show nothing where the neighbour does not show the same
