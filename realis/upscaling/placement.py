"""Offloading, 8-bit weights, attention backend and compilation of the networks, by diffusers and torch."""

import torch
from diffusers.hooks import apply_group_offloading

from realis.core.errors import InputError
from realis.upscaler import Placement
from realis.upscaling.cpc_networks import CpcNetworks


def apply_placement(networks: CpcNetworks, placement: Placement) -> None:
    """Keep and run ``networks`` as ``placement`` says; they are changed in place.

    Args:
        networks: on the CPU if they are to be offloaded, else on their device.
        placement: attention backend, 8-bit weights, offloading, compilation.

    Raises:
        InputError: the attention backend cannot be used here.
    """
    heavy = (networks.transformer, networks.controlnet)
    if placement.attention:
        try:
            for part in heavy:
                part.set_attention_backend(placement.attention)
        except (ValueError, RuntimeError, ImportError) as error:
            raise InputError(
                f"--attention {placement.attention}: cannot be used here ({str(error).splitlines()[0]})"
            ) from error
    if placement.fp8:
        for part in heavy:
            part.enable_layerwise_casting(
                storage_dtype=torch.float8_e4m3fn, compute_dtype=getattr(torch, placement.dtype)
            )
    if placement.offload:
        for part in filter(None, (*heavy, networks.vae, networks.lr_decoder)):
            apply_group_offloading(part, onload_device=torch.device(placement.device), offload_type="leaf_level")
    if placement.compile:
        for part in filter(None, (*heavy, networks.lr_decoder)):
            part.compile()
