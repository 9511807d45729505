"""LPIPS as a loss (Zhang et al., CVPR 2018), with VGG16, by the network of :mod:`realis.metrics.perceptual`."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from realis.core.errors import InputError
from realis.core.log import logger
from realis.data.batch import images_of
from realis.models.weights import read_weights

if TYPE_CHECKING:
    from realis.metrics.base import Network


def load_lpips(file: str, flag: str, device: torch.device) -> "Network | None":
    """Load LPIPS.

    Args:
        file: the weights of torchvision's VGG16 (vgg16-397923af.pth); empty: LPIPS is no part of the loss, which is said.
        flag: what names the file, for messages.
        device: where it computes.

    Raises:
        InputError: the file is missing, damaged, or of another network; or a package is not installed.
    """
    if not file:
        logger.info("LPIPS is no part of the loss: %s names no weights of VGG16", flag)
        return None
    tensors = read_weights(Path(file), flag)
    try:
        from realis.metrics.perceptual import lpips_network

        return lpips_network("vgg", tensors, str(device))
    except ImportError as error:
        raise InputError(f"{flag}: cannot be used ({error}); pip install 'realis[metrics]'") from error
    except RuntimeError as error:
        raise InputError(
            f"{flag} {file}: got weights of another network, wanted those of torchvision's VGG16"
        ) from error


def lpips(network: "Network | None", restored: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the mean LPIPS of the frames of clips (B, 3, F, H, W) in about [-1, 1], in float32; 0 without a network."""
    if network is None:
        return restored.new_zeros(())
    with torch.autocast(restored.device.type, enabled=False):
        a, b = (images_of((clip.float() + 1) / 2) for clip in (restored, truth))
        return network(a, b).mean()
