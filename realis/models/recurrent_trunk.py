"""The trunk of BasicVSR (Chan et al., CVPR 2021), by which features go from frame to frame; B counts clips, C channels of the
features."""

import torch
from torch import nn

SLOPE = 0.1  # of leaky ReLU


class ResidualBlock(nn.Module):
    """Two convolutions around a ReLU, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Refine features (B, C, h, w) to as many."""
        return features + self.conv2(self.conv1(features).relu_())


class Trunk(nn.Module):
    """Refine the warped features of the frame before (or after) by the frame itself."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels + 3, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks))),
        )

    def forward(self, frame: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return the features (B, C, h, w) of a frame (B, 3, h, w), both in the dtype of the network, given those of its
        neighbour warped to it (B, C, h, w)."""
        return self.main(torch.cat((frame, features), dim=1))


@torch.no_grad()
def start_near_identity(network: nn.Module) -> None:
    """Let the residual blocks of a new ``network`` begin near the identity, by a tenth of He's initialisation as in BasicSR,
    so that features neither grow nor fade through many of them and from frame to frame."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            for conv in (block.conv1, block.conv2):
                assert conv.bias is not None
                nn.init.kaiming_normal_(conv.weight)  # returns nothing while diffusers loads weights, and turns it off
                conv.weight.mul_(0.1)
                nn.init.zeros_(conv.bias)
