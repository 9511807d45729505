"""Offloading, 8-bit weights, attention backend and compilation of the networks, by diffusers and torch."""

from collections.abc import Sequence

import torch
from diffusers import ModelMixin
from diffusers.hooks import apply_group_offloading

from realis.core.errors import InputError
from realis.upscaler import Placement


def apply_placement(
    placement: Placement, denoisers: Sequence[ModelMixin], vae: ModelMixin, decoder: ModelMixin | None = None
) -> None:
    """Keep and run networks as ``placement`` says; they are changed in place.

    Args:
        placement: attention backend, 8-bit weights, offloading, compilation.
        denoisers: the networks of a sampling step; all networks are on the CPU if they are to be offloaded, else on their
            device.
        vae: offloaded only.
        decoder: that decodes in place of the VAE; offloaded and compiled.

    Raises:
        InputError: the attention backend cannot be used here.
    """
    if placement.attention:
        try:
            for part in denoisers:
                part.set_attention_backend(placement.attention)
        except (ValueError, RuntimeError, ImportError) as error:
            raise InputError(
                f"--attention {placement.attention}: cannot be used here ({str(error).splitlines()[0]})"
            ) from error
    if placement.fp8:
        for part in denoisers:
            part.enable_layerwise_casting(
                storage_dtype=torch.float8_e4m3fn, compute_dtype=getattr(torch, placement.dtype)
            )
    if placement.offload:
        for part in filter(None, (*denoisers, vae, decoder)):
            apply_group_offloading(part, onload_device=torch.device(placement.device), offload_type="leaf_level")
    if placement.compile:
        for part in filter(None, (*denoisers, decoder)):
            part.compile()
