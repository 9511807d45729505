"""The flags of VideoGigaGAN."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from realis.core.config import RUN, flag_name
from realis.core.errors import require
from realis.models.hub import VIDEOGIGAGAN_TINY


@dataclass(frozen=True)
class VideoGigaGanConfig:
    """VideoGigaGAN: a GAN that enlarges clips in a single pass."""

    PREFIX: ClassVar = "videogigagan"

    model: str = VIDEOGIGAGAN_TINY  # videogigagan-tiny, a folder that train_comparator.py exported, or a hub id
    # a file of SpyNet's weights (those of BasicVSR have them) or RAFT's; empty: Farneback's method, which has none
    flow_weights: Annotated[str, RUN] = ""
    # pixels of the result: a multiple of 8 times the scale; a frame that is no larger is one tile
    tile_height: int = 512
    tile_width: int = 512  # pixels of the result: as --videogigagan.tile-height
    tile_overlap: int = 128  # pixels of the result, also such a multiple: that tiles share at least
    chunk_frames: int = 10  # frames that go through the GAN together; temporal attention sees no others
    segment_frames: int = 26  # frames that features are propagated through at a time
    # of these, frames at the end that are only looked ahead to; the others are a multiple of --videogigagan.chunk-frames
    segment_overlap: int = 6

    def __post_init__(self) -> None:
        for name in ("tile_height", "tile_width", "chunk_frames", "segment_frames"):
            require(getattr(self, name) >= 1, flag(name), getattr(self, name), "1 or more")
        require(self.tile_overlap >= 0, flag("tile_overlap"), self.tile_overlap, "0 or more")
        shorter = min(self.tile_height, self.tile_width)
        require(self.tile_overlap < shorter, flag("tile_overlap"), self.tile_overlap, f"less than a tile, {shorter}")
        frames, overlap = self.segment_frames, self.segment_overlap
        wanted = f"0 to {frames - 1}, less than {flag('segment_frames')}"
        require(0 <= overlap < frames, flag("segment_overlap"), overlap, wanted)
        such = " or ".join(str(overlap + n * self.chunk_frames) for n in (1, 2, 3))
        wanted = f"{flag('segment_overlap')} and a multiple of {flag('chunk_frames')} more, such as {such}"
        require((frames - overlap) % self.chunk_frames == 0, flag("segment_frames"), frames, wanted)


flag = partial(flag_name, VideoGigaGanConfig)  # the flag of a field
