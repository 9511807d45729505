"""Decode a video as a player shows it: every frame at its time, whatever of the file is damaged.

Three stages, each a generator: what the decoder gives and what it lost (:func:`_decoded`), times that rise
(:func:`_rising`), one size and pixel format (:func:`play`).
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

import av

from realis.errors import InputError
from realis.video.color_tags import convert
from realis.video.read import VideoReader

Fault = Literal["", "lost", "damaged", "resized", "retimed"]
FAULTS: dict[Fault, str] = {
    "lost": "cannot be decoded: the frame before it is held",
    "damaged": "is damaged: it is shown as the decoder patched it",
    "resized": "has another size than the first: it is scaled to that",
    "retimed": "has a time that does not rise: it is shown between its neighbours",
}

# Demuxers without times of presentation: what libav guesses from B-frames in AVI is off by up to three frames.
UNTIMED = ("avi", "h261", "h263", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vc1", "vvc")
GUESSED = (
    "mpeg",
)  # DVDs have times of some frames only; where libav's guess of the others does not rise, nothing is wrong
AHEAD, AGAINST = 4, 2  # of so many frames after it, so many that are not later tell that a frame's own time is wrong
RECOVERY = 32  # frames after a fault within which frames that do not come count as lost: a decoder with threads is late
LONGEST_WAIT = 32  # frames without a time of their own that may wait for one that has
COARSE, FINER = Fraction(1, 1000), 64  # a longer tick is divided by so much: there is room between two frames then


class Shown(NamedTuple):
    """One frame as it is shown.

    Args:
        frame: decoded, of the reader's size.
        time: of presentation, in ticks of :func:`tick`, rising.
        duration: in ticks.
        fault: what is wrong with it.
    """

    frame: av.VideoFrame
    time: int
    duration: int
    fault: Fault


@dataclass(frozen=True)
class _Decoded:
    """A frame with the time that the file gives it, in ticks of the stream; ``None``: it gives none."""

    frame: av.VideoFrame
    time: int | None
    fault: Fault = ""


def tick(reader: VideoReader) -> Fraction:
    """Return the seconds of a tick of what :func:`play` yields: that of the stream, or a part of it."""
    base = reader.stream.time_base or 1 / reader.rate
    return base if base <= COARSE else base / FINER


def play(reader: VideoReader) -> Iterator[Shown]:
    """Yield the frames of a video as presented, each once, with rising times.

    A frame that cannot be decoded is replaced by the one before it, a frame of another size is scaled, a time that does
    not rise is set evenly between its neighbours': what players do.

    Raises:
        InputError: no frame in it can be decoded.
    """
    base = reader.stream.time_base or 1 / reader.rate
    parts = round(base / tick(reader))
    usual = max(1, round(1 / (reader.rate * tick(reader))))
    start = round(reader.start / tick(reader))
    form = None
    for item, time in _rising(_decoded(reader), parts, usual):
        form = form or item.frame.format.name
        frame, fault = item.frame, item.fault
        if fault == "retimed" and reader.container.format.name in GUESSED:
            fault = ""
        if (frame.width, frame.height) != (reader.width, reader.height):
            fault = fault or "resized"
        if (frame.width, frame.height, frame.format.name) != (reader.width, reader.height, form):
            frame = convert(frame, form, f"w={reader.width}:h={reader.height}")
        yield Shown(frame, time - start, frame.duration * parts or usual, fault)


def _decoded(reader: VideoReader) -> Iterator[_Decoded]:
    """Yield the frames that the decoder gives, and in place of those that it loses the one before.

    Lost is a frame whose packet was there, but that does not come near a fault. Elsewhere packets without a frame are
    meant so (references that are never shown).
    """
    untimed = reader.container.format.name in UNTIMED
    due: list[int] = []  # heap of the times of packets whose frames have not come
    corrupt: set[int | None] = set()
    before: _Decoded | None = None
    since_fault = RECOVERY
    for packet in _packets(reader):
        if packet and packet.size and not packet.is_discard:
            time = packet.dts if untimed else packet.pts
            if time is not None:
                heapq.heappush(due, time)
            if packet.is_corrupt:
                corrupt.add(time)
        try:
            frames = reader.stream.decode(packet)
        except av.FFmpegError:
            frames, since_fault = [], 0
            if untimed and due and before:
                yield (before := replace(before, time=heapq.heappop(due), fault="lost"))
        for frame in frames:
            time = frame.pts
            if untimed:
                time = heapq.heappop(due) if due else None
            while time is not None and due and due[0] <= time:
                lost = heapq.heappop(due)
                if lost < time and since_fault < RECOVERY and before and lost > (before.time or 0):
                    since_fault = 0
                    yield (before := replace(before, time=lost, fault="lost"))
            is_damaged = frame.is_corrupt or time in corrupt
            since_fault = 0 if is_damaged else since_fault + 1
            yield (before := _Decoded(frame, time, "damaged" if is_damaged else ""))
    if before is None:
        raise InputError(f"{reader.path}: no frame in it can be decoded")
    while due and since_fault < RECOVERY:
        yield replace(before, time=heapq.heappop(due), fault="lost")


def _packets(reader: VideoReader) -> Iterator[av.Packet | None]:
    """Yield the packets of a video up to where they can be read, and last ``None``, which empties the decoder."""
    try:
        yield from (packet for packet in reader.container.demux(reader.stream) if packet.size)
    except (av.FFmpegError, OSError):
        pass  # the survey has said so
    yield None


def _rising(items: Iterable[_Decoded], parts: int, usual: int) -> Iterator[tuple[_Decoded, int]]:
    """Give every frame a time, in ticks of a ``parts``-th of the stream's, so that times rise.

    A time is kept if it is later than the last one kept and fewer than :data:`AGAINST` of the next :data:`AHEAD` are not
    later than it. The others are set evenly between their neighbours that are kept. So neither a time that goes back
    nor one far ahead moves any other frame.
    """
    waiting: list[_Decoded] = []
    last: int | None = None
    for item, following in _with_following(items):
        time = None if item.time is None else item.time * parts
        against = sum(other.time is not None and other.time <= (item.time or 0) for other in following)
        is_too_late = 0 < min(AGAINST, len(following)) <= against
        if time is None or (last is not None and time <= last) or is_too_late:
            waiting.append(item)
            if len(waiting) == LONGEST_WAIT:  # there are no times: memory must not grow
                for held in waiting:
                    last = 0 if last is None else last + usual
                    yield _retimed(held), last
                waiting.clear()
            continue
        begin = last if last is not None else time - usual * (len(waiting) + 1)
        for number, held in enumerate(waiting, 1):
            last = max(begin + (time - begin) * number // (len(waiting) + 1), (last if last is not None else begin) + 1)
            yield _retimed(held), last
        waiting.clear()
        last = time if last is None else max(time, last + 1)
        yield item, last
    for item in waiting:
        last = 0 if last is None else last + usual
        yield _retimed(item), last


def _retimed(item: _Decoded) -> _Decoded:
    return item if item.time is None or item.fault else replace(item, fault="retimed")


def _with_following(items: Iterable[_Decoded]) -> Iterator[tuple[_Decoded, list[_Decoded]]]:
    """Yield each item with up to :data:`AHEAD` after it."""
    window: deque[_Decoded] = deque()
    for item in items:
        window.append(item)
        if len(window) > AHEAD:
            yield window.popleft(), list(window)
    while window:
        yield window.popleft(), list(window)
