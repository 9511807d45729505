"""Whether what is loaded, or kept, consists of finite numbers."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from realis.core.errors import InputError


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str:
    """Name of the first tensor with a value that is not finite; empty: there is none."""
    return next((name for name, x in tensors.items() if x.is_floating_point() and not x.isfinite().all()), "")


def check_tensors(tensors: Mapping[str, torch.Tensor], file: Path, advice: str) -> None:
    """Make sure that what was read from ``file`` is finite.

    Raises:
        InputError: it is not; ends with ``advice``.
    """
    if bad := not_finite(tensors):
        raise InputError(f"{file}: {bad} has values that are not finite; {advice}")


def check_weights(model: nn.Module, folder: Path) -> None:
    """Make sure that the weights of ``model``, which were loaded from ``folder``, are finite.

    Raises:
        InputError: they are not.
    """
    check_tensors(model.state_dict(), folder, "copy it anew from where it came from, or choose another")
