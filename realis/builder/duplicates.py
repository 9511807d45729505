"""Stage ``duplicates``: drop clips that show the same as another one, of the same video or not, by perceptual hashes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image

from realis.builder.clip import Clip, Dropped, Outcome
from realis.builder.damage import unreadable
from realis.builder.ledger import MEASURED
from realis.core.errors import InputError, require
from realis.video.read import VideoReader

BITS = 64  # of the hash of a frame, sixteen hexadecimal digits
FLAT = 4.0  # standard deviation of luma, in levels of 255, below which a frame shows nothing
ROWS = 256  # frames that are compared at a time with all before them


@dataclass(frozen=True)
class DuplicatesConfig:
    """When two clips are taken for the same."""

    every: Annotated[float, MEASURED] = 0.5  # seconds from one frame that is hashed to the next
    distance: int = 6  # bits of 64 by which two frames that show the same may differ; -1: nothing is a duplicate

    def __post_init__(self) -> None:
        require(0 < self.every <= 3600, "--duplicates.every", self.every, "seconds, more than 0, up to an hour")
        require(-1 <= self.distance < BITS, "--duplicates.distance", self.distance, f"-1 to {BITS - 1}")


def hashes(clip: Clip, build: Path, every: float) -> Iterator[Outcome]:
    """Add perceptual hashes (pHash of ImageHash) to a clip, of a frame in every ``every`` seconds. Flat frames, as in fades and
    flashes, do not count, as they all have the same hash."""
    import imagehash

    step = min(max(round(every * clip.rate), 1), clip.frames)
    wanted = range(step // 2, clip.frames, step)
    try:
        with VideoReader(clip.path(build), threads=1) as video:
            images = (frame.to_image() for number, frame in enumerate(video.frames()) if number in wanted)
            found = [str(imagehash.phash(image)) for image in images if not is_flat(image)]
    except InputError as error:
        yield unreadable(clip, build, "damaged", error)
        return
    yield replace(clip, hash="".join(found))


def is_flat(image: Image.Image) -> bool:
    """Return whether an image shows nothing: its luma is about the same everywhere."""
    return float(np.asarray(image.convert("L").resize((32, 32))).std()) < FLAT


def duplicates(clips: list[Clip], config: DuplicatesConfig) -> Iterator[Outcome]:
    """Keep the first of the clips that have a frame in common, and put videos with such clips into one group."""
    near = near_clips([frame_hashes(clip) for clip in clips], config.distance)
    group = group_videos([clip.video for clip in clips], near)
    for clip, other in zip(clips, first_near_clip(near), strict=True):
        if clips[other] is clip:
            yield replace(clip, group=group[clip.video])
        else:
            yield Dropped(clip.name, "shows the same as another", clips[other].name)


def frame_hashes(clip: Clip) -> np.ndarray:
    """Return the hashes of the frames of a clip, (frames,) uint64."""
    digits = BITS // 4
    return np.array([int(clip.hash[i : i + digits], 16) for i in range(0, len(clip.hash), digits)], np.uint64)


def near_clips(clips: list[np.ndarray], distance: int) -> list[set[int]]:
    """Return, for each clip, the numbers of the earlier clips with a frame at a Hamming distance of at most ``distance``."""
    owner = np.repeat(np.arange(len(clips)), [len(one) for one in clips])
    every = np.concatenate([*clips, np.array([], np.uint64)])
    near: list[set[int]] = [set() for _ in clips]
    for begin in range(0, len(every), ROWS):
        bits = np.bitwise_count(every[begin : begin + ROWS, None] ^ every[None, : begin + ROWS])
        for one, other in zip(*np.nonzero(bits <= distance), strict=True):
            if owner[other] < owner[begin + one]:
                near[owner[begin + one]].add(int(owner[other]))
    return near


def first_near_clip(near: list[set[int]]) -> list[int]:
    """Return, for each clip, the number of the first clip that is kept and near to it (:func:`near_clips`); its own, if there
    is none. Only clips that are kept count: a dropped clip drops no others."""
    first: list[int] = []
    for number, others in enumerate(near):
        first.append(min((other for other in others if first[other] == other), default=number))
    return first


def group_videos(videos: list[str], near: list[set[int]]) -> dict[str, str]:
    """Return the group of each video: the connected component of videos linked by :func:`near_clips`, named after one of
    them.

    Args:
        videos: the video of each clip.
        near: as :func:`near_clips` returned it.
    """
    group = {video: video for video in videos}
    for number, others in enumerate(near):
        joined = {group[videos[other]] for other in [number, *others]}
        if len(joined) > 1:
            group = {video: min(joined) if its in joined else its for video, its in group.items()}
    return group
