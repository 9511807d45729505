"""The motion between the frames of a segment, as it is needed."""

from collections.abc import Callable, Mapping
from functools import cache

import torch

from realis.comparators.sd_x4.guided_config import MotionConfig
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.files import SCALE
from realis.ops.resize import resize


def frames_for_flow(lr: torch.Tensor, config: MotionConfig) -> torch.Tensor:
    """Return what flow is estimated on, for LR frames (B, 3, h, w) in [0, 1]."""
    if config.flow_frames == "lr":
        return lr
    if config.flow_frames == "nearest":
        return lr.repeat_interleave(SCALE, dim=-2).repeat_interleave(SCALE, dim=-1)
    return resize(lr, (SCALE * lr.shape[-2], SCALE * lr.shape[-1])).clamp_(0, 1)


def flows_between(
    frames: Mapping[int, torch.Tensor], estimate: FlowEstimator, config: MotionConfig
) -> Callable[[int, int], torch.Tensor]:
    """Return a function (frame, neighbour) -> flow from the one to the other, (B, 2, H, W), which is estimated once.

    Args:
        frames: LR by number, (B, 3, h, w) in [0, 1], whole ones, for a tile does not show where a large motion leads.
        estimate: of frames.
        config: what it is given.
    """

    @cache
    def flow(frame: int, neighbour: int) -> torch.Tensor:
        return estimate(*(frames_for_flow(frames[number], config) for number in (frame, neighbour)))

    return flow
