"""Less memory or more speed by what diffusers and torch offer; the pipeline stays as it is."""

import torch
from diffusers.hooks import apply_group_offloading

from realis.errors import InputError
from realis.upscaling.cpc import CpcPipeline


def economise(pipeline: CpcPipeline, device: str, *, offload: bool, fp8: bool, attention: str, compiled: bool) -> None:
    """Change how the parts of ``pipeline`` are kept and run.

    Args:
        pipeline: its parts on the CPU if ``offload``, else on ``device``.
        device: where they are to run.
        offload: each layer's weights are on the device only while it runs.
        fp8: weights of transformer and CPC are kept in 8 bits and widened layer by layer.
        attention: a backend of diffusers, such as ``flash``, ``sage``, ``_native_cudnn``; empty: torch's choice.
        compiled: transformer, CPC and LR decoder go through ``torch.compile``.

    Raises:
        InputError: no such backend of attention here.
    """
    heavy = (pipeline.transformer, pipeline.controlnet)
    if attention:
        try:
            for part in heavy:
                part.set_attention_backend(attention)
        except (ValueError, RuntimeError, ImportError) as error:
            raise InputError(f"--attention {attention}: cannot be used here ({str(error).splitlines()[0]})") from error
    if fp8:
        for part in heavy:
            part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=pipeline.dtype)
    if offload:
        for part in filter(None, (*heavy, pipeline.vae, pipeline.lr_decoder)):
            apply_group_offloading(part, onload_device=torch.device(device), offload_type="leaf_level")
    if compiled:
        for part in filter(None, (*heavy, pipeline.lr_decoder)):
            part.compile()
