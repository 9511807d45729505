"""The flags of the Stable Diffusion x4 upscaler; methods that stand on it have them too."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from realis.core.config import RUN, flag_name
from realis.core.errors import require
from realis.diffusion.samplers import Sampler
from realis.models.hub import SD_X4_TINY


@dataclass(frozen=True)
class SdX4Config:
    """The Stable Diffusion x4 upscaler: a latent diffusion model of single images, frame by frame."""

    PREFIX: ClassVar = "sd-x4"

    model: str = SD_X4_TINY  # sd-x4-tiny, a folder in diffusers' format, or a hub id
    steps: int = 0  # sampling steps; 0: what the model's files say, or 50
    sampler: Sampler = "ddim"  # ddpm: with fresh noise at every step
    # to which the LR is noised, for networks trained with noise levels; off: it is not, and the network is told of none; auto:
    # what the model's files say, or 20, where there are levels, else off
    noise_level: int | Literal["auto", "off"] = "auto"
    guidance: float = 1.0  # classifier-free guidance; 1: off
    negative_prompt: str = ""  # read with a guidance other than 1
    # safetensors file with the embedding of the empty prompt, in place of the text encoder; written by it if not there
    empty_prompt_embeds: Annotated[str, RUN] = ""
    # pixels of the result; the public network was trained on 512; a frame that is no larger is one tile
    tile_height: int = 512
    tile_width: int = 512  # pixels of the result
    tile_overlap: int = 64  # pixels of the result: that tiles share at least
    batch: int = 1  # frames that go through the networks at a time
    segment_frames: int = 8  # frames that are sampled together, step by step

    def __post_init__(self) -> None:
        least = {"steps": 0, "tile_height": 1, "tile_width": 1, "tile_overlap": 0, "batch": 1,
                 "segment_frames": 1}  # fmt: skip
        for name, minimum in least.items():
            value = getattr(self, name)
            require(value >= minimum, flag_name(self, name), value, f"{minimum} or more")
        level, wanted = self.noise_level, "0 or more, auto or off"
        require(level in ("auto", "off") or level >= 0, flag_name(self, "noise_level"), level, wanted)
        require(self.guidance >= 1, flag_name(self, "guidance"), self.guidance, "1 or more")
        shorter = min(self.tile_height, self.tile_width)
        wanted = f"less than a tile, {shorter}"
        require(self.tile_overlap < shorter, flag_name(self, "tile_overlap"), self.tile_overlap, wanted)
