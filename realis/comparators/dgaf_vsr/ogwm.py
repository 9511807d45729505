"""The Optical Guided Warping Module (DGAF-VSR, Sec. 4.1): latents are enlarged, warped and shrunk again, so that they keep
more of their high frequencies than if they were warped as they are."""

import torch
from torch.nn.functional import interpolate

from realis.comparators.dgaf_vsr.alignment_config import AlignmentConfig
from realis.ops.warp import resize_flow, warp


def align(latents: torch.Tensor, flow: torch.Tensor, scale: float, config: AlignmentConfig) -> torch.Tensor:
    """Move the latents of a neighbour to where a frame shows the same.

    Args:
        latents: (B, C, h, w).
        flow: from the frame to the neighbour, (B, 2, H, W) of any size.
        scale: by which they are enlarged, s of the paper, unless ``config`` has its own.
        config: how.

    Returns:
        (B, C, h, w) float32; 0 where the neighbour is not seen.
    """
    size = (latents.shape[-2], latents.shape[-1])
    if config.rescaling == "off":
        return warp(latents, resize_flow(flow, size), grid=config.warp_grid)
    factor = config.rescaling_factor or scale
    large = (round(factor * size[0]), round(factor * size[1]))
    warped = warp(interpolate(latents, large, mode=config.rescaling), resize_flow(flow, large), grid=config.warp_grid)
    return interpolate(warped, size, mode=config.rescaling)
