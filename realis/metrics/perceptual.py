"""Distances to the truth by the features of a network: LPIPS and DISTS, by torchmetrics.

Neither resizes the frames: that is what pyiqa and the authors' packages compute on an image as it is. The published demo
of DISTS first scales the shorter side to 256 pixels, so its values are other ones.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn
from torchmetrics.functional.image.dists import DISTSNetwork
from torchmetrics.image import LearnedPerceptualImagePatchSimilarity
from torchvision.models import AlexNet_Weights, VGG16_Weights

from realis.metrics.base import Moment, Network, per_frame

BACKBONES = {"alex": AlexNet_Weights, "vgg": VGG16_Weights}


def lpips_network(backbone: Literal["alex", "vgg"], tensors: Mapping[str, torch.Tensor], device: str) -> Network:
    """Return LPIPS v0.1 (Zhang et al., CVPR 2018, arXiv 1801.03924), with the linear heads that torchmetrics carries.

    Args:
        backbone: the network whose features are compared.
        tensors: the weights of torchvision's network of that name.
        device: where it computes.

    Returns:
        Two batches (N, 3, H, W) in [0, 1] on ``device`` -> (N,), 0 for equal frames.

    Raises:
        RuntimeError: the weights are of another network.
    """
    with _weights_at_hand(backbone, tensors):
        network = _frozen(LearnedPerceptualImagePatchSimilarity(backbone).net, device)
    return lambda a, b: network(a, b, normalize=True).flatten()


def dists_network(tensors: Mapping[str, torch.Tensor], device: str) -> Network:
    """Return DISTS (Ding et al., TPAMI 2022, arXiv 2004.07728), with its weights that torchmetrics carries.

    Args:
        tensors: the weights of torchvision's VGG16.
        device: where it computes.

    Returns:
        Two batches (N, 3, H, W) in [0, 1] on ``device`` -> (N,), 0 for equal frames.

    Raises:
        RuntimeError: the weights are of another network.
    """
    with _weights_at_hand("vgg", tensors):
        network = _frozen(DISTSNetwork(), device)
    return lambda a, b: network(a, b).reshape(len(a))


@contextmanager
def _weights_at_hand(backbone: str, tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Let a network of torchvision take ``tensors`` where it would download a file and unpickle whatever is in it."""
    weights = BACKBONES[backbone]
    weights.get_state_dict = lambda *_, **__: tensors  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        del weights.get_state_dict  # that of the class it inherits from is back


def _frozen(network: nn.Module, device: str) -> nn.Module:
    return network.eval().requires_grad_(False).to(device)


@per_frame
def lpips_alex(moment: Moment) -> torch.Tensor:
    """LPIPS with AlexNet: what tables call LPIPS."""
    return _distance("lpips_alex", moment)


@per_frame
def lpips_vgg(moment: Moment) -> torch.Tensor:
    """LPIPS with VGG16."""
    return _distance("lpips_vgg", moment)


@per_frame
def dists(moment: Moment) -> torch.Tensor:
    """DISTS."""
    return _distance("dists", moment)


def _distance(network: str, moment: Moment) -> torch.Tensor:
    return moment.tools.networks[network](moment.frame("restored")[None], moment.frame("truth")[None])
