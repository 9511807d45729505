"""The flags of BasicVSR."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from realis.core.config import RUN
from realis.core.errors import require

SCALE = 4  # how many times as large a frame becomes


@dataclass(frozen=True)
class BasicVsrConfig:
    """BasicVSR: recurrent super-resolution of clean video."""

    PREFIX: ClassVar = "basicvsr"

    weights: Annotated[str, RUN] = ""  # the file of its weights, such as BasicVSR_REDS4.pth; there is no default
    tile_height: int = 1152  # pixels of the result, a multiple of 4; what it does not exceed is one tile
    tile_width: int = 2048  # pixels, as --basicvsr.tile-height
    tile_overlap: int = 96  # pixels that tiles share at least
    segment_frames: int = 24  # frames processed at a time
    segment_overlap: int = 6  # of these, frames at the end that are looked ahead to, and processed again

    def __post_init__(self) -> None:
        for name, least in (("tile_height", 4), ("tile_width", 4), ("tile_overlap", 0)):
            size = getattr(self, name)
            wanted = f"{least} or more, a multiple of {SCALE}"
            require(size >= least and size % SCALE == 0, f"--basicvsr.{name.replace('_', '-')}", size, wanted)
        least = min(self.tile_height, self.tile_width)
        require(self.tile_overlap < least, "--basicvsr.tile-overlap", self.tile_overlap, f"less than a tile ({least})")
        require(self.segment_frames > 0, "--basicvsr.segment-frames", self.segment_frames, "1 or more")
        fits, most = 0 <= self.segment_overlap < self.segment_frames, self.segment_frames - 1
        require(
            fits,
            "--basicvsr.segment-overlap",
            self.segment_overlap,
            f"0 to {most}, less than --basicvsr.segment-frames",
        )
