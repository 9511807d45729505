"""SpyNet (Ranjan and Black, CVPR 2017, arXiv 1611.00850), as the weights of BasicVSR and its successors carry it.

Without batch normalisation, on six levels. Names of layers are those of the public weights.
"""

import re
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from realis.core.errors import require
from realis.models.weights import load_strictly, read_weights
from realis.ops.warp import resize_flow, warp

LEVELS = 6
COARSEST = 2 ** (LEVELS - 1)  # pixels of the frame to one of the coarsest level
WIDTHS = (8, 32, 64, 32, 16, 2)  # channels in: a, the warped b, and the flow so far
# A layer and its ReLU are one module in the weights of MMEditing and MMagic
CONV_MODULE = re.compile(r"(spynet\.basic_module\.\d\.basic_module\.)(\d)\.conv\.")


class SpyNetLevel(nn.Module):
    """The network that refines the flow on one level of the pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.Sequential()
        for before, after in pairwise(WIDTHS):
            self.basic_module.extend([nn.Conv2d(before, after, 7, padding=3), nn.ReLU()])
        self.basic_module.pop(-1)  # a flow may be negative

    def forward(self, a: torch.Tensor, warped: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """Return what to add to ``flow`` (B, 2, h, w), by which ``warped`` was warped to ``a``, both (B, 3, h, w)
        normalised; in pixels of the level."""
        return self.basic_module(torch.cat((a, warped, flow), dim=1))


class SpyNet(nn.Module):
    """Coarse-to-fine flow; see :class:`realis.models.optical_flow.estimator.FlowEstimator`."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(SpyNetLevel() for _ in range(LEVELS))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Estimate where the pixels of ``a`` are found in ``b``, both (B, 3, H, W) in [0, 1]; (B, 2, H, W) in pixels."""
        size = a.shape[-2:]
        stretched = [-(-side // COARSEST) * COARSEST for side in size]
        flow = self._pyramid_flow(*(interpolate(x, stretched, mode="bilinear") for x in (a, b)))
        return resize_flow(flow, (size[0], size[1]))

    def _pyramid_flow(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Estimate the flow of frames whose sides are multiples of :data:`COARSEST`."""
        pyramids = [[(x - self.mean) / self.std] for x in (a, b)]
        for pyramid in pyramids:
            while len(pyramid) < LEVELS:
                pyramid.insert(0, avg_pool2d(pyramid[0], 2))
        flow = None
        for level, a, b in zip(self.basic_module, *pyramids, strict=True):
            if flow is None:
                flow = a.new_zeros(len(a), 2, *a.shape[-2:])
            else:
                flow = 2 * interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + level(a, warp(b, flow, "border"), flow)
        assert flow is not None
        return flow


def common_name(name: str) -> str:
    """Return the name of BasicSR for a tensor of a network that has a SpyNet, whichever of the public names it has."""
    return CONV_MODULE.sub(lambda found: f"{found[1]}{2 * int(found[2])}.", name)


def load_spynet(file: Path, flag: str) -> SpyNet:
    """Load SpyNet from the weights of a network that has one, such as BasicVSR's.

    Args:
        file: of the weights.
        flag: what names the file, for messages.

    Raises:
        InputError: it is missing, damaged, or of a network without SpyNet.
    """
    named = [(common_name(name).partition("spynet."), tensor) for name, tensor in read_weights(file, flag).items()]
    tensors = {own: tensor for (_, found, own), tensor in named if found}
    require(bool(tensors), f"{flag} {file}", "weights of a network without SpyNet", "such as BasicVSR_REDS4.pth")
    network = SpyNet()
    load_strictly(network, dict(network.named_buffers()) | tensors, "SpyNet", f"{flag} {file}")
    return network.eval().requires_grad_(False)
