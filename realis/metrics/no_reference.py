"""Quality without a truth, of single frames, by pyiqa, which is not for commercial use: NIQE, MUSIQ and CLIP-IQA.

pyiqa downloads files that it does not find, so it is always told which file to take, or is built without weights.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from realis.metrics.base import Moment, Network, per_frame


def niqe_network(file: Path, device: str) -> Network:
    """Return NIQE (Mittal et al., Signal Processing Letters 2013) of Y, in blocks of 96 pixels, no border cut off.

    Args:
        file: ``niqe_modelparameters.mat``, which holds matrices only.
        device: where it computes.

    Returns:
        A batch (N, 3, H, W) in [0, 1] -> (N,).
    """
    return _batches(_create("niqe", device, pretrained_model_path=str(file)))


def musiq_network(tensors: Mapping[str, torch.Tensor], device: str) -> Network:
    """Return MUSIQ (Ke et al., ICCV 2021, arXiv 2108.05997).

    Args:
        tensors: the weights for the scores of KonIQ-10k.
        device: where it computes.

    Returns:
        A batch (N, 3, H, W) in [0, 1] -> (N,), from 0 to 100.

    Raises:
        RuntimeError: the weights are of another network.
    """
    model = _create("musiq", device, pretrained=False)
    own = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    model.get_submodule("net").load_state_dict(own)
    return _batches(model)


def clipiqa_network(file: Path, device: str) -> Network:
    """Return CLIP-IQA (Wang et al., AAAI 2023, arXiv 2207.12396) with CLIP's ResNet-50 and pyiqa's five pairs of prompts.

    Args:
        file: ``RN50.pt``: a TorchScript program, which is opened as such, so its SHA-256 must have been compared.
        device: where it computes.

    Returns:
        A batch (N, 3, H, W) in [0, 1] -> (N,), from 0 to 1.
    """
    return _batches(_create("clipiqa", device, backbone=str(file)))


def _create(name: str, device: str, **options: object) -> torch.nn.Module:
    from pyiqa import create_metric  # pyright: ignore[reportMissingImports]

    return create_metric(name, device=torch.device(device), **options)


def _batches(model: torch.nn.Module) -> Network:
    return lambda frames: model(frames).reshape(len(frames))


@per_frame
def niqe(moment: Moment) -> torch.Tensor:
    """NIQE."""
    return _quality("niqe", moment)


@per_frame
def musiq(moment: Moment) -> torch.Tensor:
    """MUSIQ."""
    return _quality("musiq", moment)


@per_frame
def clipiqa(moment: Moment) -> torch.Tensor:
    """CLIP-IQA."""
    return _quality("clipiqa", moment)


def _quality(network: str, moment: Moment) -> torch.Tensor:
    return moment.tools.networks[network](moment.frame("restored")[None])
