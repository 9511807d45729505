"""RAFT (Teed and Deng, ECCV 2020, arXiv 2003.12039) by torchvision, with weights from a file."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import pad
from torchvision.models.optical_flow import raft_large, raft_small

from realis.core.errors import require
from realis.models.weights import load_strictly, read_weights

STRIDE = 8  # of its feature maps
LEAST = 16 * STRIDE  # pixels a side: it halves its feature maps three times, to two cells
FIRST = "feature_encoder.convnormrelu.0.weight"
SIZES = {64: raft_large, 32: raft_small}  # by the channels of the first layer


class Raft(nn.Module):
    """RAFT for frames of any size; see :class:`realis.models.optical_flow.estimator.FlowEstimator`.

    Args:
        network: of torchvision.
        updates: how often the flow is refined.
    """

    def __init__(self, network: nn.Module, updates: int = 12) -> None:
        super().__init__()
        self.network, self.updates = network, updates

    @torch.no_grad()
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Estimate where the pixels of ``a`` are found in ``b``, both (B, 3, H, W) in [0, 1]; (B, 2, H, W) in pixels."""
        height, width = a.shape[-2:]
        down, right = (max(LEAST, -(-side // STRIDE) * STRIDE) - side for side in (height, width))
        a, b = (pad(2 * x - 1, (0, right, 0, down), mode="replicate") for x in (a, b))
        return self.network(a, b, num_flow_updates=self.updates)[-1][..., :height, :width]


def load_raft(file: Path, flag: str) -> Raft:
    """Load RAFT, large or small by what the weights are, from a file that torchvision publishes.

    Args:
        file: such as ``raft_large_C_T_SKHT_V2-ff5fadd5.pth``; nothing is downloaded.
        flag: what names the file, for messages.

    Raises:
        InputError: it is missing, damaged, or of another network.
    """
    tensors = read_weights(file, flag)
    width = len(tensors[FIRST]) if FIRST in tensors else 0
    require(
        width in SIZES, f"{flag} {file}", "weights of another network", "those of RAFT as torchvision publishes them"
    )
    network = SIZES[width](weights=None)
    load_strictly(network, tensors, "RAFT", f"{flag} {file}")
    return Raft(network.eval().requires_grad_(False))
