"""The network of BasicVSR (Chan et al., CVPR 2021, arXiv 2012.02181), Sections 3.1 to 3.4.

Features go from frame to frame, once from the last to the first and once from the first to the last, each time warped by
optical flow and refined by a trunk of residual blocks; those of both directions together become the enlarged frame.
Names of layers are those of the public weights. Here B counts clips, F frames of each, C channels of the features; h and w
are of low-resolution frames.
"""

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn.functional import interpolate, leaky_relu_, pixel_shuffle

from realis.comparators.basicvsr.config import SCALE
from realis.models.optical_flow.spynet import SpyNet
from realis.models.recurrent_trunk import SLOPE, Trunk
from realis.ops.warp import warp

WIDTH = 64  # channels of the last layers, whatever those of the features are


class BasicVsr(nn.Module):
    """BasicVSR with its optical flow.

    Args:
        channels: of the features.
        blocks: residual blocks of each trunk.
    """

    def __init__(self, channels: int = 64, blocks: int = 30) -> None:
        super().__init__()
        self.channels = channels
        self.spynet = SpyNet()
        self.backward_trunk = Trunk(channels, blocks)
        self.forward_trunk = Trunk(channels, blocks)
        self.fusion = nn.Conv2d(2 * channels, channels, 1)
        self.upconv1 = nn.Conv2d(channels, channels * 4, 3, padding=1)
        self.upconv2 = nn.Conv2d(channels, WIDTH * 4, 3, padding=1)
        self.conv_hr = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.conv_last = nn.Conv2d(WIDTH, 3, 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the features; flow, warping and the sum with the enlarged frame are computed in float32."""
        return self.fusion.weight.dtype

    def forward(
        self,
        frames: torch.Tensor,
        to_next: torch.Tensor,
        to_previous: torch.Tensor,
        state: torch.Tensor,
        advance: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Enlarge clips frame by frame.

        Args:
            frames: (F B, 3, h, w) float32 in [0, 1]: the first frame of every clip, then the second of every clip, and so on.
            to_next: (F B, 2, h, w), the flow from each frame to the next; that of the last is not looked at.
            to_previous: the same to the one before; that of the first goes to the frame that ``state`` is of.
            state: (B, C, h, w) features of the frame before the first, zeros if there is none.
            advance: called 2 F times, after each step of either direction.

        Yields:
            Each frame enlarged, (B, 3, 4 h, 4 w) float32 in about [0, 1], and its features, (B, C, h, w): the state from
            which the frame after it goes on.
        """
        clips, backward, features = len(state), [], torch.zeros_like(state)
        for frame, flow in zip(reversed(frames.split(clips)), reversed(to_next.split(clips)), strict=True):
            features = self.backward_trunk(frame.to(self.dtype), warp(features, flow))
            backward.append(features)
            advance()
        for frame, flow in zip(frames.split(clips), to_previous.split(clips), strict=True):
            state = self.forward_trunk(frame.to(self.dtype), warp(state, flow))
            yield self.enlarge(frame, backward.pop(), state), state  # popped, to be let go
            advance()

    def enlarge(self, frame: torch.Tensor, backward: torch.Tensor, forward: torch.Tensor) -> torch.Tensor:
        """Enlarge a frame (B, 3, h, w) by its features of both directions (B, C, h, w); (B, 3, 4 h, 4 w) float32."""
        features = leaky_relu_(self.fusion(torch.cat((backward, forward), dim=1)), SLOPE)
        features = leaky_relu_(pixel_shuffle(self.upconv1(features), 2), SLOPE)
        features = leaky_relu_(pixel_shuffle(self.upconv2(features), 2), SLOPE)
        detail = self.conv_last(leaky_relu_(self.conv_hr(features), SLOPE))
        return detail.float() + interpolate(frame, scale_factor=SCALE, mode="bilinear")
