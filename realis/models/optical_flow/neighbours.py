"""Optical flow from every frame of a sequence to the ones beside it, as recurrent networks need it."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

from realis.models.optical_flow.estimator import FlowEstimator


def flows_to_neighbours(
    frames: Sequence[torch.Tensor],
    estimate_flow: FlowEstimator,
    before: torch.Tensor | None = None,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Estimate the flow between frames.

    Args:
        frames: F of them, (B, 3, h, w) float32 in [0, 1] each.
        estimate_flow: between two of them.
        before: the frame before the first, if there is one.
        advance: called F times.

    Returns:
        The flow from each frame to the next, and to the one before, (B, 2, h, w) float32 each; 0 where there is none.
    """
    nowhere = frames[0].new_zeros(len(frames[0]), 2, *frames[0].shape[-2:])
    to_next, to_previous = [], [nowhere if before is None else estimate_flow(frames[0], before)]
    advance()
    for frame, following in pairwise(frames):
        to_next.append(estimate_flow(frame, following))
        to_previous.append(estimate_flow(following, frame))
        advance()
    return [*to_next, nowhere], to_previous


def flows_of_clips(lr: torch.Tensor, estimate_flow: FlowEstimator) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate the flow between the frames of clips (B, 3, F, h, w) in [-1, 1]: to the next and to the one before, (B, 2, F,
    h, w) float32 each; 0 where there is none."""
    flows = flows_to_neighbours([(frame.float() + 1) / 2 for frame in lr.unbind(2)], estimate_flow)
    to_next, to_previous = (torch.stack(each, dim=2) for each in flows)
    return to_next, to_previous
