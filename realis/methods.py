"""The methods by name, loaded on demand."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from realis.upscaler import Upscaler

if TYPE_CHECKING:
    import torch

    from realis.models.wan import Wan

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
    empty_prompt_embeds: Path | None  # the same of the empty prompt
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

    from realis.models.wan import Wan, load_controlnet, load_lr_decoder
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
    prompt, empty, negative = prompt_embeddings(o, wan, pipeline.controlnet.config.text_conditioned)
    sampling = Sampling(o.steps, o.shift, o.guidance, o.cpc_scale, o.sampler)
    return CpcUpscaler(pipeline, prompt, empty, sampling, negative, o.segment_frames, o.segment_overlap)


def prompt_embeddings(
    o: MethodOptions, wan: "Wan", text_conditioned: bool
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor | None"]:
    """Embeddings of the prompt, the empty prompt and the negative prompt, from files where they are given.

    Those of the empty prompt are read only if something needs them: a CPC without text, guidance, or no prompt.
    """
    from realis.models.wan import load_prompt_embeds

    def embed(file: Path | None, text: str) -> "torch.Tensor":
        if file is None:
            return wan.encode_prompt(text)
        return load_prompt_embeds(file, wan.transformer.config.text_dim).to(wan.device, wan.dtype)

    negative = wan.encode_prompt(o.negative_prompt) if o.negative_prompt else None
    if not o.prompt and o.prompt_embeds is None:
        empty = embed(o.empty_prompt_embeds, "")
        return empty, empty, negative
    prompt = embed(o.prompt_embeds, o.prompt)
    if text_conditioned and (o.guidance == 1 or negative is not None):
        return prompt, prompt, negative
    return prompt, embed(o.empty_prompt_embeds, ""), negative
