"""A small BasicVSR with made-up weights, the same on every machine: four channels, two blocks a direction."""

import re

import numpy as np
import torch

from realis.comparators.basicvsr.network import BasicVsr


def small_weights():
    """Its tensors by name; the flow they give is up to a few pixels."""
    rng = np.random.default_rng(0)
    tensors = dict(BasicVsr(4, 2).state_dict())
    for name in sorted(tensors.keys() - {"spynet.mean", "spynet.std"}):
        shape, gain = tensors[name].shape, 0.6 if name.startswith("spynet") else 1.2
        values = rng.standard_normal(shape) * gain / max(np.prod(shape[1:]), 16) ** 0.5
        tensors[name] = torch.from_numpy(values.astype(np.float32))
    return tensors


def mmediting(tensors):
    """The checkpoint that MMEditing would write of the same network."""
    renamed = {}
    for name, tensor in tensors.items():
        if name not in ("spynet.mean", "spynet.std"):
            theirs = re.sub(r"^(backward|forward)_trunk", r"\1_resblocks", name)
            theirs = re.sub(r"^upconv(\d)", r"upsample\1.upsample_conv", theirs)
            theirs = re.sub(
                r"(basic_module\.\d\.basic_module)\.(\d)", lambda x: f"{x[1]}.{int(x[2]) // 2}.conv", theirs
            )
            renamed[f"generator.{theirs}"] = tensor
    others = {"step_counter": torch.zeros(1), "perceptual_loss.conv.weight": torch.zeros(1)}
    return {"meta": {"iter": 300_000}, "state_dict": renamed | others}


def moving_clip(count, height, width):
    """Frames (F, 3, H, W) in [0, 1] of a texture that moves by a pixel and two, in steps of 1/255."""
    texture = (
        np.random.default_rng(1)
        .integers(0, 256, (3, height // 2 + count, width // 2 + count))
        .repeat(2, 1)
        .repeat(2, 2)
    )
    frames = [texture[:, i : i + height, 2 * i : 2 * i + width] for i in range(count)]
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 255)
