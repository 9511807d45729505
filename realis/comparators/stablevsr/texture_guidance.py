"""Temporal Texture Guidance: the neighbour of a frame as it is known so far, moved to where the frame shows the same
(StableVSR, Eq. 8).

B counts samples, h and w are of latents.
"""

from collections.abc import Callable

import torch

from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.ops.warp import resize_flow, visible, warp


def texture_guidance(
    latents: torch.Tensor,
    flow: torch.Tensor,
    back: torch.Tensor | None,
    decode: Callable[[torch.Tensor], torch.Tensor],
    config: TextureGuidanceConfig,
) -> torch.Tensor:
    """Return what a frame is shown of its neighbour: ``MC(ME(LR', LR), D(x0'))``.

    Args:
        latents: of the neighbour, (B, C, h, w): its clean estimate, or what else is shown.
        flow: from the frame to the neighbour, (B, 2, H, W) of any size.
        back: from the neighbour to the frame; read to mask what is occluded.
        decode: latents -> frames (B, 3, 4h, 4w) in about [-1, 1].
        config: what of this is done.

    Returns:
        (B, 3, 4h, 4w) float32; 0, a middle grey, where the neighbour is not seen.
    """
    if config.motion_compensation == "latents":
        latents = warp(latents, resize_flow(flow, _size(latents)), grid=config.warp_grid)
    guidance = decode(latents)
    flow = resize_flow(flow, _size(guidance))
    if config.motion_compensation == "frames":
        guidance = warp(guidance, flow, grid=config.warp_grid)
    if config.mask_occlusion:
        assert back is not None
        guidance = guidance * visible(flow, resize_flow(back, _size(guidance)))
    return guidance


def _size(frames: torch.Tensor) -> tuple[int, int]:
    return frames.shape[-2], frames.shape[-1]
