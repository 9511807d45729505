"""Flow-guided feature propagation (VideoGigaGAN, Sec. 3.3): a recurrent network over the LR frames, in both directions,
whose features are warped from frame to frame by optical flow.

B counts clips, F frames, C channels of the features; h and w are of LR frames.
"""

from typing import NamedTuple

import torch
from torch import nn

from realis.models.recurrent_trunk import Trunk, start_near_identity
from realis.ops.warp import warp


class Flows(NamedTuple):
    """Optical flow between the frames of clips.

    Args:
        to_next: from each frame to the next, (B, 2, F, h, w) float32; that of the last is not looked at.
        to_previous: to the one before; that of the first goes to the frame that the state is of.
    """

    to_next: torch.Tensor
    to_previous: torch.Tensor


class Propagation(nn.Module):
    """Features of both directions.

    Args:
        channels: of each direction.
        blocks: residual blocks of each direction.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.channels = channels
        self.backward_trunk = Trunk(channels, blocks)
        self.forward_trunk = Trunk(channels, blocks)
        start_near_identity(self)

    def forward(
        self, lr: torch.Tensor, flows: Flows, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Propagate features through clips.

        Args:
            lr: (B, 3, F, h, w).
            flows: between its frames.
            state: (B, C, h, w), features of the frame before the first in the forward direction; ``None``: there is none.

        Returns:
            (B, 2 C, F, h, w), and the forward features of each frame: the states from which the next would go on.
        """
        frames, size = lr.unbind(2), (len(lr), self.channels, *lr.shape[3:])
        backward, features = [], lr.new_zeros(size)
        for frame, flow in zip(reversed(frames), reversed(flows.to_next.unbind(2)), strict=True):
            features = self.backward_trunk(frame, warp(features, flow))
            backward.append(features)
        forward, features = [], lr.new_zeros(size) if state is None else state
        for frame, flow in zip(frames, flows.to_previous.unbind(2), strict=True):
            features = self.forward_trunk(frame, warp(features, flow))
            forward.append(features)
        both = torch.cat([torch.stack(direction, dim=2) for direction in (backward[::-1], forward)], dim=1)
        return both, forward
