"""Stage ``scenes``: cut footage at its shot boundaries into clips, without re-encoding where that is exact."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from av import VideoFrame

from realis.builder.clip import Clip, Dropped, Outcome
from realis.builder.cut import copy_part, encode_part, part_to_copy
from realis.builder.damage import unreadable
from realis.core.errors import InputError, require
from realis.core.files import sync
from realis.video.excerpt import read_facts
from realis.video.fingerprint import fingerprint
from realis.video.read import VideoReader

CLIPS = "work/clips"  # in the folder of the build
DETECTION_WIDTH = 256  # of the frames on which cuts are detected, as in PySceneDetect
MARGIN = 2  # frames left out on either side of a cut: encoders and editors blend there
COPIED = 0.75  # share of a clip that must remain when it is cut at key frames; else all of it is re-encoded


@dataclass(frozen=True)
class ScenesConfig:
    """How footage is cut."""

    least: int = 49  # frames of a clip: what the model trains on
    most: int = 150  # frames of a clip
    per_video: int = 20  # clips of one video at most, spread over it
    adaptive: float = 3.0  # of PySceneDetect's AdaptiveDetector: how much more a cut changes than the frames around it
    content: float = 15.0  # of the same: least change of a cut
    crf: int = 8  # of H.264 and H.265 where a clip has to be encoded again

    def __post_init__(self) -> None:
        require(self.least >= 1, "--scenes.least", self.least, "1 or more")
        require(self.most >= 2 * self.least, "--scenes.most", self.most, "at least twice --scenes.least")
        require(self.per_video >= 1, "--scenes.per-video", self.per_video, "1 or more")
        require(0 < self.adaptive < math.inf, "--scenes.adaptive", self.adaptive, "a finite number above 0")
        require(0 <= self.content <= 255, "--scenes.content", self.content, "0 to 255")
        require(0 <= self.crf <= 51, "--scenes.crf", self.crf, "0 to 51")


class InterlacedError(InputError):
    """A frame is two fields of different moments."""


def scenes(video: Clip, build: Path, config: ScenesConfig) -> Iterator[Outcome]:
    """Cut ``video`` into clips, each a file of its own.

    Raises:
        RunError: the disk is full or fails.
    """
    path = video.path(build)
    try:
        cuts, sums = detect_cuts(path, config)
    except InterlacedError as error:
        yield Dropped(video.name, "interlaced", str(error))
        return
    except InputError as error:
        yield unreadable(video, build, "damaged", error)
        return
    try:
        ranges = list(clip_ranges(cuts, len(sums), config))
        for start, stop in choose_evenly(ranges, config.per_video):
            yield cut_clip(video, build, start, stop, sums, config)
    except InputError as error:
        yield unreadable(video, build, "damaged", error)
        return
    if not ranges:
        yield Dropped(video.name, "shots too short", f"none of {config.least} frames among {len(cuts) + 1}")
    elif len(ranges) > config.per_video:
        yield Dropped(video.name, "more clips than one video gives", str(len(ranges)))


def detect_cuts(path: Path, config: ScenesConfig) -> tuple[list[int], list[int | None]]:
    """Decode a video once; return the numbers of the frames where a shot begins, and a checksum of every frame.

    Raises:
        InterlacedError: a frame is interlaced.
        InputError: the video is damaged, as far as its decoder notices: H.264's notices nearly every flipped bit, HEVC's
            hardly any that does not lose a frame.
    """
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    detector = AdaptiveDetector(config.adaptive, min_scene_len=1, min_content_val=config.content)
    cuts, sums, times = [], [], []
    due = read_facts(path).times
    with VideoReader(path, threads=1) as video:
        width = min(DETECTION_WIDTH, video.width)
        height = max(2, round(video.height * width / video.width))
        for number, frame in enumerate(video.frames()):
            if frame.is_corrupt and number >= len(due) - 1:
                break  # the file was truncated in the middle of its last frame
            if frame.is_corrupt:
                raise InputError(f"{path}: frame {number} is damaged")
            if frame.interlaced_frame:
                raise InterlacedError(f"{path}: frame {number} is two fields")
            small = frame.reformat(width, height, "bgr24").to_ndarray()
            cuts += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, fps=25.0), small)]
            sums.append(checksum(frame))
            times.append(frame.pts)
    if times != due[: len(times)].tolist():
        raise InputError(f"{path}: of its {len(due)} frames some in the middle cannot be decoded")
    return cuts, sums


def checksum(frame: VideoFrame) -> int | None:
    """Return a checksum of a decoded frame's samples; ``None`` for pixel formats that PyAV cannot convert to an array."""
    try:
        return zlib.crc32(np.ascontiguousarray(frame.to_ndarray()).data)
    except (ValueError, AssertionError):
        return None


def clip_ranges(cuts: list[int], frames: int, config: ScenesConfig) -> Iterator[tuple[int, int]]:
    """Yield the ``(start, stop)`` of clips: each shot, without the frames beside its cuts, in as few equal parts as possible.

    >>> list(clip_ranges([60], 420, ScenesConfig()))
    [(0, 58), (62, 181), (181, 300), (300, 420)]
    """
    for begin, end in zip([0, *cuts], [*cuts, frames], strict=True):
        first, last = begin + MARGIN * (begin > 0), end - MARGIN * (end < frames)
        if last - first >= config.least:
            count = -(-(last - first) // config.most)
            edges = [first + (last - first) * i // count for i in range(count + 1)]
            yield from zip(edges, edges[1:], strict=False)


def choose_evenly(ranges: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return at most ``most`` of ``ranges``, evenly spread."""
    count = min(most, len(ranges))
    return [ranges[(2 * i + 1) * len(ranges) // (2 * count)] for i in range(count)]


def cut_clip(video: Clip, build: Path, start: int, stop: int, sums: list[int | None], config: ScenesConfig) -> Clip:
    """Cut the clip of frames ``start`` to ``stop`` - 1, or of a large part of these that can be copied exactly.

    Args:
        video: the footage.
        build: folder of the build.
        sums: checksum of every frame of the footage.
        config: of the stage.

    Raises:
        InputError: some of the frames cannot be decoded.
    """
    path = video.path(build)
    stem = build / CLIPS / f"{video.name}-{start:06d}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    part = part_to_copy(path, start, stop, max(config.least, math.ceil(COPIED * (stop - start))))
    file = copy_part(path, stem, *part) if part else None
    if part and file and decodes_to(file, sums[slice(*part)]):
        start, stop = part
    else:
        if file:
            file.unlink()
        file = encode_part(path, stem, start, stop, config.crf)
    sync(file)
    with VideoReader(file) as clip:
        height, width = clip.height, clip.width
    relative = file.relative_to(build).as_posix()
    return replace(video, name=stem.name, file=relative, height=height, width=width, start=start, frames=stop - start,
                   digest=fingerprint(file))  # fmt: skip


def decodes_to(file: Path, sums: list[int | None]) -> bool:
    """Return whether a file decodes to frames of just these checksums."""
    try:
        with VideoReader(file, threads=1) as video:
            return None not in sums and [checksum(frame) for frame in video.frames()] == sums
    except InputError:
        return False
