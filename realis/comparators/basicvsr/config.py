"""The flags of BasicVSR."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from realis.core.config import RUN, flag_name
from realis.core.errors import require

SCALE = 4  # how many times as large a frame becomes


@dataclass(frozen=True)
class BasicVsrConfig:
    """BasicVSR: recurrent super-resolution of clean video."""

    PREFIX: ClassVar = "basicvsr"

    # the file of its weights, such as BasicVSR_REDS4.pth, or a folder that train_comparator exported; there is no default
    weights: Annotated[str, RUN] = ""
    tile_height: int = 1152  # pixels of the result: a multiple of 4; a frame that is no larger is one tile
    tile_width: int = 2048  # pixels of the result: as --basicvsr.tile-height
    tile_overlap: int = 96  # pixels of the result: that tiles share at least
    segment_frames: int = 24  # frames processed at a time
    segment_overlap: int = 6  # of these, frames at the end that are looked ahead to, and processed again

    def __post_init__(self) -> None:
        for name, minimum in (("tile_height", SCALE), ("tile_width", SCALE), ("tile_overlap", 0)):
            size = getattr(self, name)
            wanted = f"{minimum} or more, a multiple of {SCALE}"
            require(size >= minimum and size % SCALE == 0, flag(name), size, wanted)
        shorter = min(self.tile_height, self.tile_width)
        require(self.tile_overlap < shorter, flag("tile_overlap"), self.tile_overlap, f"less than a tile, {shorter}")
        frames, overlap = self.segment_frames, self.segment_overlap
        require(frames >= 1, flag("segment_frames"), frames, "1 or more")
        wanted = f"0 to {frames - 1}, less than {flag('segment_frames')}"
        require(0 <= overlap < frames, flag("segment_overlap"), overlap, wanted)


flag = partial(flag_name, BasicVsrConfig)  # the flag of a field
