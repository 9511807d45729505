"""The methods by name, loaded on demand."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from realis.errors import InputError
from realis.upscaler import Segments, Upscaler

if TYPE_CHECKING:
    import torch

    from realis.models.wan import Wan


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
    guidance: float
    cpc_scale: float
    segments: Segments
    device: str
    dtype: str
    offload: bool  # weights wait on the CPU
    fp8: bool  # weights kept in 8 bits
    attention: str  # backend of diffusers; empty: torch's choice
    compiled: bool
    steps: int = 1
    shift: float = 3.0
    sampler: str = "euler"


@lru_cache(maxsize=1)  # several inputs in a row mostly want the same
def load_method(name: str, options: MethodOptions) -> Upscaler:
    """Build the method ``name``: ``cpc`` or ``bicubic``.

    Raises:
        InputError: its weights cannot be loaded.
    """
    return {"cpc": load_cpc, "bicubic": load_bicubic}[name](options)


def load_bicubic(options: MethodOptions) -> Upscaler:
    """Bicubic resizing."""
    from realis.upscaling.bicubic import BicubicUpscaler

    return BicubicUpscaler()


def load_cpc(options: MethodOptions) -> Upscaler:
    """RealisVSR: frozen Wan transformer under a CPC."""
    import torch

    from realis.models.wan import Wan, load_controlnet, load_lr_decoder
    from realis.upscaling.cpc import CpcPipeline, CpcUpscaler, Sampling
    from realis.upscaling.economy import economise

    o = options
    dtype = getattr(torch, o.dtype)
    place = "cpu" if o.offload else o.device
    wan = Wan(o.folder, dtype, dtype, place)
    own_decoder = (o.folder / "lr_decoder").is_dir()
    decoder = load_lr_decoder(o.folder, dtype).eval().to(place) if own_decoder and o.decoder != "wan" else None
    if decoder and decoder.config.latents != "sampled":
        raise InputError(f"{o.folder}: its lr_decoder was trained on latents of another kind ({decoder.config.latents}), to "
                         "be measured only; use --decoder wan, or train one on sampled latents")  # fmt: skip
    controlnet = load_controlnet(o.cpc or o.folder, dtype).eval().to(place)
    pipeline = CpcPipeline(wan.vae, wan.transformer, controlnet, decoder)
    embeddings = prompt_embeddings(o, wan, controlnet.config.text_conditioned)
    prompt, empty, negative = (None if e is None else e.to(o.device) for e in embeddings)
    assert prompt is not None and empty is not None
    economise(pipeline, o.device, offload=o.offload, fp8=o.fp8, attention=o.attention, compiled=o.compiled)
    sampling = Sampling(o.steps, o.shift, o.guidance, o.cpc_scale, o.sampler)
    return CpcUpscaler(pipeline, prompt, empty, sampling, o.segments, negative)


def prompt_embeddings(
    o: MethodOptions, wan: "Wan", text_conditioned: bool
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor | None"]:
    """Embeddings of the prompt, the empty prompt and the negative prompt, from files where they are given.

    Only what is read is embedded: the negative prompt with guidance, the empty prompt in place of a missing prompt or
    negative prompt, or for a CPC without text.
    """
    from realis.models.wan import load_prompt_embeds

    guided, prompted = o.guidance != 1, bool(o.prompt) or o.prompt_embeds is not None
    wanted = {
        "prompt": (prompted, o.prompt_embeds, o.prompt),
        "negative": (guided and bool(o.negative_prompt), None, o.negative_prompt),
        "empty": (
            not prompted or not text_conditioned or (guided and not o.negative_prompt), o.empty_prompt_embeds, "",
        ),
    }  # fmt: skip
    texts = {name: text for name, (needed, file, text) in wanted.items() if needed and file is None}
    embeds = dict(zip(texts, wan.encode_prompts(list(texts.values())), strict=True))
    for name, (needed, file, _) in wanted.items():
        if needed and file is not None:
            dim = wan.transformer.config.text_dim
            embeds[name] = load_prompt_embeds(file, dim).to(wan.device, wan.dtype)
    empty = embeds["empty" if "empty" in embeds else "prompt"]
    return embeds.get("prompt", empty), empty, embeds.get("negative")
