"""Load public weights of BasicVSR: those of BasicSR, and those of MMEditing and MMagic, whose names differ."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn.utils import convert_conv2d_weight_memory_format

from realis.comparators.basicvsr.network import BasicVsr
from realis.core.errors import InputError
from realis.models.optical_flow.spynet import common_name
from realis.models.weights import load_strictly, read_weights

MMEDITING = {  # pattern of its names: ours
    r"^(backward|forward)_resblocks\.": r"\1_trunk.",
    r"^upsample([12])\.upsample_conv\.": r"upconv\1.",
}

Network = TypeVar("Network", bound=BasicVsr)


def load_basicvsr(file: Path, flag: str, dtype: torch.dtype) -> BasicVsr:
    """Load a network of as many channels and blocks as the weights have, for inference, on the CPU.

    Args:
        file: of the weights.
        flag: what names the file, for messages.
        dtype: of all but the optical flow, which stays in float32: a flow in bfloat16 is off by up to a quarter of a pixel
            from 64 pixels on.

    Raises:
        InputError: the file is missing, damaged, or not of BasicVSR.
    """
    network = read_basicvsr(file, flag, BasicVsr)
    network.eval().requires_grad_(False)
    convert_conv2d_weight_memory_format(network, torch.channels_last)  # twice as fast in bfloat16 on a CPU
    for name, part in network.named_children():
        if name != "spynet":
            part.to(dtype)
    return network


def read_basicvsr(file: Path, flag: str, kind: type[Network]) -> Network:
    """Read a network of as many channels and blocks as the weights have, in float32, on the CPU.

    Args:
        file: of the weights.
        flag: what names the file, for messages.
        kind: the class of the network.

    Raises:
        InputError: the file is missing, damaged, or not of BasicVSR.
    """
    tensors = common_names(read_weights(file, flag))
    first, block = tensors.get("forward_trunk.main.0.weight"), r"forward_trunk\.main\.2\.\d+\.conv1\.weight"
    if first is None or first.ndim != 4 or len(first) == 0:
        raise InputError(f"{flag} {file}: got weights of another network, wanted those of BasicVSR")
    network = kind(channels=len(first), blocks=sum(bool(re.fullmatch(block, name)) for name in tensors))
    constants = {f"spynet.{name}": value for name, value in network.spynet.named_buffers()}  # some files leave them out
    load_strictly(network, constants | tensors, "BasicVSR", f"{flag} {file}")
    return network


def common_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of a generator under the names of BasicSR, whichever of the public names they have."""
    prefix = "generator." if any(name.startswith("generator.") for name in tensors) else ""
    named = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            ours = name.removeprefix(prefix)
            for theirs, replacement in MMEDITING.items():
                ours = re.sub(theirs, replacement, ours)
            named[common_name(ours)] = tensor
    return named
