"""Less memory or more speed by what diffusers and torch offer; the maths stays as it is."""

import torch
from diffusers.hooks import apply_group_offloading

from realis.core.errors import InputError
from realis.upscaler import Place
from realis.upscaling.cpc_networks import CpcNetworks


def economise(networks: CpcNetworks, place: Place) -> None:
    """Change how networks are kept and run.

    Args:
        networks: on the CPU if they are to be offloaded, else on their device.
        place: as asked for.

    Raises:
        InputError: no such backend of attention here.
    """
    heavy = (networks.transformer, networks.controlnet)
    if place.attention:
        try:
            for part in heavy:
                part.set_attention_backend(place.attention)
        except (ValueError, RuntimeError, ImportError) as error:
            raise InputError(
                f"--attention {place.attention}: cannot be used here ({str(error).splitlines()[0]})"
            ) from error
    if place.fp8:
        for part in heavy:
            part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=getattr(torch, place.dtype))
    if place.offload:
        for part in filter(None, (*heavy, networks.vae, networks.lr_decoder)):
            apply_group_offloading(part, onload_device=torch.device(place.device), offload_type="leaf_level")
    if place.compile:
        for part in filter(None, (*heavy, networks.lr_decoder)):
            part.compile()
