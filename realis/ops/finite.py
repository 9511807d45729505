"""Check that tensors and weights hold finite numbers only."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from realis.core.errors import InputError


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the name of the first tensor with a value that is not finite; empty if there is none."""
    return next((name for name, x in tensors.items() if x.is_floating_point() and not x.isfinite().all()), "")


def check_tensors(tensors: Mapping[str, torch.Tensor], file: Path, advice: str) -> None:
    """Make sure that ``tensors``, which were read from ``file``, are finite.

    Raises:
        InputError: one is not; the message ends with ``advice``.
    """
    if bad := not_finite(tensors):
        raise InputError(f"{file}: {bad} has values that are not finite; {advice}")


def check_weights(model: nn.Module, folder: Path) -> None:
    """Make sure that the weights of ``model``, which were loaded from ``folder``, are finite.

    Raises:
        InputError: they are not.
    """
    check_tensors(model.state_dict(), folder, "copy it anew from where it came from, or choose another")
