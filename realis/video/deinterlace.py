"""Deinterlace by libavfilter's bwdif, as frames are played."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from typing import Literal

import av
from av.filter import Graph

from realis.video.playback import Shown

Deinterlace = Literal["no", "frame", "field"]
LOOKED_AT = 12  # frames: is none of them flagged as interlaced, flags are not to be trusted, and all are deinterlaced


def deinterlace(shown: Iterator[Shown], tick: Fraction, mode: Deinterlace) -> Iterator[Shown]:
    """Yield a whole frame for every frame, or for every field, of which times are in halves of a tick.

    Frames that are flagged as progressive stay as they are, unless the first ones are all flagged so.

    Args:
        shown: the frames.
        tick: seconds of a tick of their times.
        mode: ``frame`` or ``field``.
    """
    first = list(islice(shown, LOOKED_AT))
    which = "interlaced" if any(item.frame.interlaced_frame for item in first) else "all"
    per_tick = 2 if mode == "field" else 1
    graph = _bwdif(first[0].frame, tick, f"mode=send_{mode}:deint={which}")
    inside: deque[Shown] = deque()  # what the filter is at work on: it is one frame late
    for item in chain(first, shown, [None]):
        if item:
            item.frame.pts, item.frame.time_base = item.time, tick
            inside.append(item)
        graph.push(item.frame if item else None)
        for frame in _pulled(graph):
            halves = round(frame.pts * frame.time_base / tick * 2)
            while len(inside) > 1 and inside[1].time * 2 <= halves:
                inside.popleft()
            yield Shown(frame, halves * per_tick // 2, inside[0].duration, inside[0].fault)


def _bwdif(frame: av.VideoFrame, tick: Fraction, options: str) -> Graph:
    graph = Graph()
    begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    graph.link_nodes(begin, graph.add("bwdif", options), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
