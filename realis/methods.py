"""The methods by name, loaded on demand."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from realis.upscaler import Upscaler

METHODS = {
    "cpc": "realis.methods:load_cpc",
    "bicubic": "realis.methods:load_bicubic",
}


@dataclass(frozen=True)
class MethodOptions:
    """What a method is loaded with."""

    folder: Path  # the model
    cpc: Path | None  # folder of a CPC; None: the model's own
    decoder: Literal["auto", "wan", "lr"]
    prompt: str
    negative_prompt: str
    prompt_embeds: Path | None  # cached embeddings, in place of the prompt
    steps: int
    shift: float
    guidance: float
    cpc_scale: float
    sampler: str
    segment_frames: int
    segment_overlap: int
    device: str
    dtype: str


def load_method(name: str, options: MethodOptions) -> Upscaler:
    """Build the method ``name``.

    Raises:
        InputError: its weights cannot be loaded.
    """
    module, function = METHODS[name].split(":")
    return getattr(import_module(module), function)(options)


def load_bicubic(options: MethodOptions) -> Upscaler:
    """Bicubic resizing."""
    from realis.upscaling.bicubic import BicubicUpscaler

    return BicubicUpscaler()


def load_cpc(options: MethodOptions) -> Upscaler:
    """RealisVSR: frozen Wan transformer under a CPC."""
    import torch

    from realis.models.wan import Wan, load_controlnet, load_lr_decoder, load_prompt_embeds
    from realis.upscaling.cpc import CpcPipeline, CpcUpscaler, Sampling

    o = options
    dtype = getattr(torch, o.dtype)
    wan = Wan(o.folder, dtype, dtype, o.device)
    own_decoder = (o.folder / "lr_decoder").is_dir()
    pipeline = CpcPipeline(
        wan.vae,
        wan.transformer,
        load_controlnet(o.cpc or o.folder, dtype).eval().to(o.device),
        load_lr_decoder(o.folder, dtype).eval().to(o.device) if own_decoder and o.decoder != "wan" else None,
    )
    text_dim = wan.transformer.config.text_dim
    empty = (
        wan.encode_prompt("")
        if o.prompt_embeds is None
        else torch.zeros(1, 512, text_dim, dtype=dtype, device=o.device)
    )
    if o.prompt_embeds is not None:
        prompt = load_prompt_embeds(o.prompt_embeds, text_dim).to(empty)
    else:
        prompt = wan.encode_prompt(o.prompt) if o.prompt else empty
    negative = wan.encode_prompt(o.negative_prompt) if o.negative_prompt else None
    sampling = Sampling(o.steps, o.shift, o.guidance, o.cpc_scale, o.sampler)
    return CpcUpscaler(pipeline, prompt, empty, sampling, negative, o.segment_frames, o.segment_overlap)
