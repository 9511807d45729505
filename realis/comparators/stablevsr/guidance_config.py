"""The flags of Temporal Texture Guidance, the same in training and inference."""

from dataclasses import dataclass
from typing import Literal

Estimate = Literal["x0", "xt"]  # clean, or noisy
# How texture goes from frame to frame (Table 2); auto-regressive: a frame is finished before the next one begins
Strategy = Literal["single-frame", "auto-regressive", "unidirectional", "bidirectional"]


@dataclass(frozen=True)
class TextureGuidanceConfig:
    """How a frame is shown the texture of its neighbour (StableVSR, Eq. 8, and what its Table 4 leaves out of it)."""

    # what of the neighbour is shown: its clean estimate at the same step, or its noisy latents
    guidance_on: Estimate = "x0"
    # latents: they are warped, and then decoded
    motion_compensation: Literal["frames", "latents", "off"] = "frames"
    warp_grid: Literal["exact", "stablevsr"] = "exact"  # stablevsr: as its code warps, which shrinks a frame by a pixel
    mask_occlusion: bool = False  # show nothing where the neighbour does not show the same
    # file of the weights of optical flow: RAFT's as torchvision publishes them, or BasicVSR's, which have SpyNet's; empty:
    # Farneback's method, which has none
    flow_weights: str = ""
    # what flow is estimated on: LR frames as they are, or enlarged four times by bicubic interpolation, which RAFT has no
    # memory for at 4K
    flow_frames: Literal["enlarged", "lr"] = "enlarged"
