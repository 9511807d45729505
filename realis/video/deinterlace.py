"""Deinterlace frames as they are decoded, by libavfilter's bwdif."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
from av.filter import Graph

from realis.video.frame_samples import sample_frames
from realis.video.playback import PresentedFrame
from realis.video.read import VideoReader

Deinterlace = Literal["no", "frame", "field"]


def has_flagged_frames(path: Path) -> bool:
    """Whether one of the frames at a few places of a video is flagged as interlaced."""
    with VideoReader(path) as reader:
        return any(frame.interlaced_frame for frame in sample_frames(reader, reader.frame_count or 0))


def deinterlace(
    shown: Iterator[PresentedFrame], tick: Fraction, mode: Deinterlace, flagged_only: bool
) -> Iterator[PresentedFrame]:  # fmt: skip
    """Yield a whole frame for every frame, or for every field.

    Args:
        shown: the frames.
        tick: seconds of a tick of their times.
        mode: ``frame``; or ``field``: times of what is yielded are in halves of a tick.
        flagged_only: leave frames that are flagged as progressive as they are, one each.
    """
    first = next(shown)
    which = "interlaced" if flagged_only else "all"
    graph = _bwdif(first.frame, tick, f"mode=send_{mode}:deint={which}")
    inside: deque[PresentedFrame] = deque()  # what the filter is at work on: it is one frame late
    for item in chain([first], shown, [None]):
        if item:
            item.frame.pts, item.frame.time_base = item.time, tick
            inside.append(item)
        graph.push(item.frame if item else None)
        for frame in _pulled(graph):
            assert frame.pts is not None and frame.time_base is not None  # what the filter gives has times
            halves = round(frame.pts * frame.time_base / tick * 2)
            while len(inside) > 1 and inside[1].time * 2 <= halves:
                inside.popleft()
            _, _, duration, fault = inside[0]
            is_one_of_two = not flagged_only or inside[0].frame.interlaced_frame
            if mode == "field":
                yield PresentedFrame(frame, halves, duration if is_one_of_two else 2 * duration, fault)
            else:
                yield PresentedFrame(frame, halves // 2, duration, fault)


def _bwdif(frame: av.VideoFrame, tick: Fraction, options: str) -> Graph:
    graph = Graph()
    begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    graph.link_nodes(begin, graph.add("bwdif", options), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):  # PyAV's own derive from these
            return
