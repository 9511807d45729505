"""Weights that others published: read from safetensors or a checkpoint of torch, of which nothing but tensors is opened."""

import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from realis.core.errors import InputError, file_error, reason
from realis.models.weights_file import DAMAGED, check_weights_file, is_safetensors

WRAPPERS = ("params_ema", "params", "state_dict")  # names under which checkpoints hold their weights, the best first
# What the readers of safetensors and torch raise of damaged files: a flipped bit of a pickle may call for anything
UNREADABLE = (
    pickle.UnpicklingError, SafetensorError, struct.error, RuntimeError, EOFError, ValueError, LookupError, TypeError,
    AssertionError, AttributeError, ArithmeticError,
)  # fmt: skip


def read_weights(file: Path, flag: str) -> dict[str, torch.Tensor]:
    """Read the tensors of a file by name, on the CPU; a wrapper such as ``params`` around them is taken off.

    Args:
        file: safetensors, or a checkpoint that ``torch.save`` wrote; told apart by their content.
        flag: what names the file, for messages.

    Raises:
        InputError: as :func:`read_checkpoint`; or it holds something else than tensors by name.
    """
    content: Any = read_checkpoint(file, flag)
    for name in WRAPPERS:
        if isinstance(content.get(name), Mapping):
            content = content[name]
    if not all(isinstance(x, torch.Tensor) for x in content.values()):
        raise InputError(f"{flag} {file}: got a checkpoint of another form, wanted tensors by name, or these under one of "
                         f"{', '.join(WRAPPERS)}")  # fmt: skip
    return dict(content)


def read_checkpoint(file: Path, flag: str) -> dict[str, Any]:
    """Read what a file holds by name, on the CPU, as it is; arguments are those of :func:`read_weights`.

    Raises:
        InputError: as :func:`check_weights_file`; it is damaged, or a pickle with more than tensors, which is not opened.
    """
    what, content = f"{flag} {check_weights_file(file, flag)}", None
    try:
        with file.open("rb") as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about pickles that it refuses right after
            safe = is_safetensors(opened.read(9))
            opened.seek(0)
            # not by its name, for torch would take any .safetensors as what it is called
            content = load_file(file) if safe else torch.load(opened, map_location="cpu", weights_only=True)
    except OSError as error:
        raise file_error(f"{what}: cannot be read ({reason(error)})", error) from error
    except UNREADABLE as error:
        # A function or a class; what torch says of it takes many lines
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(f"{what}: holds code ({code[1]}) beside its tensors, which is not run; wanted a "
                             "file with tensors only, best as safetensors") from error  # fmt: skip
        raise InputError(f"{what}: {DAMAGED}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{what}: got a {type(content).__name__}, wanted tensors by name")
    return dict(content)


def load_strictly(network: nn.Module, tensors: Mapping[str, torch.Tensor], name: str, what: str) -> None:
    """Load ``tensors`` into ``network``: all of them, and all of its own.

    Args:
        network: changed in place.
        tensors: by the names of its state.
        name: of the network, for messages.
        what: the flag and the file that they are from, for messages.

    Raises:
        InputError: some are missing, unknown, or of another shape.
    """
    expected = network.state_dict()
    kinds = {
        "missing": expected.keys() - tensors.keys(),
        "unknown": tensors.keys() - expected.keys(),
        "of another shape": {
            key for key in expected.keys() & tensors.keys() if expected[key].shape != tensors[key].shape
        },
    }
    if wrong := [f"{len(keys)} {kind} (such as {min(keys)})" for kind, keys in kinds.items() if keys]:
        raise InputError(f"{what}: not the weights of this {name}: {', '.join(wrong)}")
    network.load_state_dict(tensors)
