"""Decode a video as a player shows it: every frame at its time, whatever of the file is damaged.

A chain of generators: what the decoder gives (:func:`_decoded`), in the order of presentation (:func:`_in_order`), with
lost frames replaced (:func:`_complete`), with times that rise (:func:`_settled`), in one size and pixel format
(:func:`play`). Decoding takes one thread: errors come with the packet that they are of, and the same file gives the same
frames on any machine.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import Literal, NamedTuple

import av

from realis.core.errors import InputError
from realis.video.color_tags import convert
from realis.video.packet_order import settled
from realis.video.read import UNTIMED, VideoReader

Fault = Literal["", "lost", "damaged", "converted", "retimed"]
FAULTS: dict[Fault, tuple[str, str]] = {  # what is wrong, and what is done about it
    "lost": ("cannot be decoded", "the frame before it is held, or at the beginning the first one"),
    "damaged": ("is damaged", "it is shown as the decoder patched it"),
    "converted": ("differs from the first frame in size or pixel format", "it is converted"),
    "retimed": ("has a time that does not rise", "it is shown between its neighbours"),
}

# DVDs have times of some frames only. Where libav's guess of the others does not rise, nothing is wrong with the file.
GUESSED = ("mpeg",)
AHEAD = 8  # frames that are looked at before one is shown
REORDERED = 16  # frames by which H.264 and HEVC reorder at most
RECOVERY = 16  # frames after an error within which a packet without a frame is a loss; elsewhere it is intentional
# A tick longer than COARSE seconds is divided by FINER, so that a frame fits between two others
COARSE, FINER = Fraction(1, 1000), 64


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
    """A frame, and the time of its packet in ticks of the stream; ``None``: it has none."""

    frame: av.VideoFrame
    time: int | None
    fault: Fault = ""
    after_error: bool = False


def tick(reader: VideoReader) -> Fraction:
    """Return the seconds of a tick of what :func:`play` yields: that of the stream, or a part of it."""
    base = reader.time_base
    return base if base <= COARSE else base / FINER


def play(reader: VideoReader) -> Iterator[Shown]:
    """Yield the frames of a video as presented, each once, with rising times.

    A frame that cannot be decoded is replaced by the one before it, a frame of another size is scaled, a time that does
    not rise is set between its neighbours': what players do.

    Raises:
        InputError: no frame in it can be decoded.
    """
    base = reader.time_base
    per_base = round(base / tick(reader))
    usual = max(1, round(1 / (reader.rate * tick(reader))))
    start = round(reader.start / tick(reader))
    expected: list[int] = []
    frames = _in_order(_decoded(reader, expected), is_timed(reader))
    first: av.VideoFrame | None = None
    for item, time in _settled(_complete(frames, expected, usual / per_base), per_base, usual, start):
        first = first or item.frame
        frame, fault = item.frame, item.fault
        if fault == "retimed" and reader.container.format.name in GUESSED:
            fault = ""
        if (frame.width, frame.height, frame.format.name) != (reader.width, reader.height, first.format.name):
            frame = convert(frame, first.format.name, f"w={reader.width}:h={reader.height}")
            fault = fault or "converted"
        yield Shown(frame, time - start, frame.duration * per_base or usual, fault)
    if first is None:
        raise InputError(f"{reader.path}: no frame in it can be decoded")


def is_timed(reader: VideoReader) -> bool:
    """Whether the file gives its frames times of presentation."""
    return reader.container.format.name not in UNTIMED


def is_shown(packet: av.Packet, codec: str) -> bool:
    """Whether the frame of a packet is to be shown: not those that an edit list hides, nor VP8's alternate references,
    which bit 4 of their first byte tells."""
    return packet.size > 0 and not packet.is_discard and (codec != "vp8" or bool(bytes(packet)[0] & 0x10))


def film_packets(reader: VideoReader) -> Iterator[av.Packet]:
    """Yield the packets of a video up to where they can be read."""
    with suppress(av.FFmpegError, OSError):  # the survey tells of it
        yield from (packet for packet in reader.container.demux(reader.stream) if packet.size)


def _decoded(reader: VideoReader, expected: list[int]) -> Iterator[_Decoded]:
    """Yield the frames in the order in which the decoder gives them, and put the times of all packets to be shown into
    the heap ``expected``.

    Where the file has no times of presentation, a frame comes with that of decoding.
    """
    stream, has_times = reader.stream, is_timed(reader)
    stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
    codec, corrupt, since_error = stream.codec_context.name, set(), RECOVERY
    for number, packet in enumerate(chain(film_packets(reader), [None])):  # the last empties the decoder
        if packet and number < reader.first_needed:
            continue
        if packet:
            if not has_times:
                packet.pts = packet.dts
            if packet.pts is not None and is_shown(packet, codec):
                heapq.heappush(expected, packet.pts)
                corrupt |= {packet.pts} if packet.is_corrupt else set()
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            frames, since_error = [], 0
        for frame in frames:
            is_damaged = frame.is_corrupt or frame.pts in corrupt
            corrupt.discard(frame.pts)
            since_error = 0 if is_damaged else since_error + 1
            yield _Decoded(frame, frame.pts, "damaged" if is_damaged else "", since_error < RECOVERY)


def _in_order(frames: Iterable[_Decoded], has_times: bool) -> Iterator[_Decoded]:
    """Put the frames into the order of their times after an error, where a decoder may give one late; elsewhere its order
    is right. Without times of presentation, give the frames, in their order, the times of decoding in theirs."""
    waiting: deque[_Decoded] = deque()
    times: list[int] = []
    for item in frames:
        waiting.append(item)
        if not has_times and item.time is not None:
            heapq.heappush(times, item.time)
        elif item.after_error and all(other.time is not None for other in waiting):
            one_each = {other.time: other for other in waiting}  # MPEG-4's decoder may give a grey one first
            waiting = deque(sorted(one_each.values(), key=lambda other: other.time or 0))
        if len(waiting) > (AHEAD if has_times else REORDERED):
            yield _with_next(waiting.popleft(), times)
    for item in waiting:
        yield _with_next(item, times)


def _with_next(item: _Decoded, times: list[int]) -> _Decoded:
    return replace(item, time=heapq.heappop(times)) if times else item


def _complete(frames: Iterable[_Decoded], expected: list[int], usual: float) -> Iterator[_Decoded]:
    """Yield in place of each lost frame the one before it, or at the beginning the first that comes.

    Lost is a frame that is ``expected`` and does not come, after an error or at the end; one that does not come elsewhere
    is a reference that is never shown, and one within half of the usual duration the second field of a frame.
    """
    before: _Decoded | None = None
    for item in frames:
        while item.time is not None and expected and expected[0] <= item.time:
            time = heapq.heappop(expected)
            last = (before.time or 0) if before else time - usual
            if item.after_error and last + usual / 2 < time < item.time:
                yield (before := replace(before or item, time=time, fault="lost"))
        yield (before := item)
    while before and before.time is not None and expected:
        time = heapq.heappop(expected)
        if time > before.time + usual / 2:
            yield (before := replace(before, time=time, fault="lost"))


def _settled(frames: Iterable[_Decoded], per_base: int, usual: int, start: int) -> Iterator[tuple[_Decoded, int]]:
    """Give every frame a time from ``start`` on, in ticks of :func:`tick`, so that times rise. See
    :func:`realis.video.packet_order.settled`: a few wrong times move no other frame."""
    last = None
    for item, following in _with_following(frames):
        given = [None if one.time is None else one.time * per_base for one in (item, *following)]
        times = [time if time is None or time >= start else None for time in given]
        last = max(settled(times, last, 1, usual), start)
        is_wrong = given[0] not in (None, last)
        yield replace(item, fault=item.fault or "retimed") if is_wrong else item, last


def _with_following(frames: Iterable[_Decoded]) -> Iterator[tuple[_Decoded, list[_Decoded]]]:
    """Yield each frame with up to :data:`AHEAD` after it."""
    window: deque[_Decoded] = deque()
    for item in frames:
        window.append(item)
        if len(window) > AHEAD:
            yield window.popleft(), list(window)
    while window:
        yield window.popleft(), list(window)
