"""The flags of RealisVSR."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from realis.core.config import RUN
from realis.core.errors import InputError, require
from realis.models.hub import TINY
from realis.models.wan.geometry import TOKEN
from realis.upscaler import TileCache, TileSampling


@dataclass(frozen=True)
class CpcConfig:
    """RealisVSR: a frozen Wan2.1 transformer under a Consistency-Preserved ControlNet (CPC)."""

    PREFIX: ClassVar = ""  # the default method

    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    cpc: str = ""  # folder or hub id of a trained CPC; empty: the model's own
    negative_prompt: str = ""  # read with --guidance other than 1
    steps: int = 0  # sampling steps; 0: what the CPC was trained for
    sampler: Literal["auto", "euler", "unipc"] = "auto"  # solver of the flow's equation; auto: what the CPC is made for
    shift: float = 0.0  # above 1: moves sampling towards high noise levels; 0: what the CPC was trained for
    guidance: float = 1.0  # classifier-free guidance; 1: off
    cpc_scale: float = 1.0  # strength of the control
    decoder: Literal["auto", "wan", "lr"] = "auto"  # auto: the LR-conditioned decoder if the model has one
    # of the VAE's weights and arithmetic; auto: float32 for a VAE as wide as Wan's own, --dtype for a smaller one
    vae_dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    tile_height: int = 0  # pixels, a multiple of 16; 0: what the model was made for
    tile_width: int = 0  # pixels, as --tile-height
    tile_overlap: int = 32  # pixels that tiles share at least, a multiple of 16
    # tiles take each step together and are blended; or so, moved at every other step; or one by one, blended at the end
    tiling: TileSampling = "fused"
    # where tiles that are not independent keep a static CPC's features from step to step; auto: the device, if it has room
    control_cache: Annotated[TileCache, RUN] = "auto"
    segment_frames: int = 0  # frames processed at a time, 4 n + 1; 0: what the model was made for
    segment_overlap: int = 5  # frames that segments share, 4 n + 1
    prompt_embeds: Annotated[str, RUN] = ""  # safetensors file with cached prompt embeddings, in place of --prompt
    empty_prompt_embeds: Annotated[str, RUN] = ""  # the same of the empty prompt, where no text encoder is to be loaded

    def __post_init__(self) -> None:
        sizes = ("tile_height", "tile_width", "tile_overlap", "segment_frames", "segment_overlap")
        for name in ("steps", "shift", *sizes):
            require(getattr(self, name) >= 0, f"--{name.replace('_', '-')}", getattr(self, name), "0 or more")
        for name in ("tile_height", "tile_width", "tile_overlap"):
            size = getattr(self, name)
            require(size % TOKEN == 0, f"--{name.replace('_', '-')}", size, f"multiples of {TOKEN}")
        for name in ("prompt_embeds", "empty_prompt_embeds"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise InputError(f"--{name.replace('_', '-')} {file}: nothing there; wanted a file")
