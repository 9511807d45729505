"""The flags of networks of single images."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from realis.core.config import RUN, flag_name
from realis.core.errors import require

# Pixels of the input. Attention in windows of 8 or 16 pixels finds the same windows in a tile as in the whole frame
GRID = 16


@dataclass(frozen=True)
class ImageConfig:
    """Networks that upscale single images: any that spandrel knows by its tensors (ESRGAN, SwinIR, HAT, SPAN, ...)."""

    PREFIX: ClassVar = "image"

    weights: Annotated[str, RUN] = ""  # a checkpoint of torch, or safetensors; only tensors are read from it
    batch: int = 1  # frames that go through the network at a time
    # pixels of the input: a multiple of 16; 0: 512, or the whole frame where tiles are not advised
    tile_height: int = 0
    tile_width: int = 0  # pixels of the input: as --image.tile-height
    tile_overlap: int = 0  # pixels of the input: that tiles share, and that each sees around it besides; 0: 32

    def __post_init__(self) -> None:
        require(self.batch >= 1, flag("batch"), self.batch, "1 or more")
        for name in ("tile_height", "tile_width", "tile_overlap"):
            size = getattr(self, name)
            require(size >= 0 and size % GRID == 0, flag(name), size, f"a multiple of {GRID}, or 0")


flag = partial(flag_name, ImageConfig)  # the flag of a field
