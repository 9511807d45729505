"""Decode a video as a player shows it: every frame at its time, even if parts of the file are damaged.

A chain of generators: frames as the decoder returns them (:func:`_decoded`), in order of presentation
(:func:`_in_order`), with lost frames replaced (:func:`_complete`), with times that rise (:func:`_with_rising_times`),
in one size and pixel format (:func:`play`). Decoding takes one thread, so that an error comes with its packet, and the
same file gives the same frames on any machine.
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
from av.error import FFmpegError

from realis.core.errors import InputError
from realis.video.color_tags import convert
from realis.video.packet_order import repaired_time
from realis.video.read import UNTIMED, VideoReader

Fault = Literal["", "lost", "damaged", "converted", "retimed"]
FAULTS: dict[Fault, tuple[str, str]] = {  # what is wrong with a frame, and what is done about it
    "lost": ("cannot be decoded", "the frame before it is held, or at the beginning the first one"),
    "damaged": ("is damaged", "it is shown as the decoder patched it"),
    "converted": ("differs from the first frame in size or pixel format", "it is converted"),
    "retimed": ("has a time that does not rise", "it is shown between its neighbours"),
}

# Demuxers of DVDs, which store the times of some frames only. If libav's guess of the others does not rise, that is no
# fault of the file.
GUESSED = ("mpeg",)
AHEAD = 8  # later frames by which the time of one is judged
REORDERED = 16  # frames by which H.264 and HEVC reorder at most
RECOVERY = 16  # frames after an error within which a packet without a frame is a loss; elsewhere it is intentional
# A tick longer than COARSE seconds is divided by FINER, so that a frame fits between two others
COARSE, FINER = Fraction(1, 1000), 64


class PresentedFrame(NamedTuple):
    """A decoded frame as a player presents it.

    Args:
        frame: of the size of the reader's video.
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
    """Return the seconds of a tick of the times from :func:`play`: the stream's time base, or a fraction of it."""
    base = reader.time_base
    return base if base <= COARSE else base / FINER


def play(reader: VideoReader) -> Iterator[PresentedFrame]:
    """Yield the frames of a video as presented, each once, with rising times.

    As in players, a frame that cannot be decoded is replaced by the one before it, a frame of another size is scaled,
    and a time that does not rise is moved between its neighbours'.

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
    for item, time in _with_rising_times(_complete(frames, expected, usual / per_base), per_base, usual, start):
        first = first or item.frame
        frame, fault = item.frame, item.fault
        if fault == "retimed" and reader.container.format.name in GUESSED:
            fault = ""
        if (frame.width, frame.height, frame.format.name) != (reader.width, reader.height, first.format.name):
            frame = convert(frame, first.format.name, f"w={reader.width}:h={reader.height}")
            fault = fault or "converted"
        yield PresentedFrame(frame, time - start, frame.duration * per_base or usual, fault)
    if first is None:
        raise InputError(f"{reader.path}: no frame in it can be decoded")


def is_timed(reader: VideoReader) -> bool:
    """Whether the file gives its frames times of presentation."""
    return reader.container.format.name not in UNTIMED


def is_shown(packet: av.Packet, codec: str) -> bool:
    """Whether the frame of a packet is to be shown: not if an edit list hides it, or if it is an alternate reference of
    VP8, whose show_frame flag, bit 4 of the first byte, is 0."""
    return packet.size > 0 and not packet.is_discard and (codec != "vp8" or bool(bytes(packet)[0] & 0x10))


def film_packets(reader: VideoReader) -> Iterator[av.Packet]:
    """Yield the packets of a video, up to the first that cannot be read."""
    with suppress(FFmpegError, OSError):  # the survey reports it
        yield from (packet for packet in reader.container.demux(reader.stream) if packet.size)


def _decoded(reader: VideoReader, expected: list[int]) -> Iterator[_Decoded]:
    """Yield frames in the order of the decoder, and push the times of all packets to be shown to the heap ``expected``.

    If the file has no times of presentation, those of decoding are taken.
    """
    stream, has_times = reader.stream, is_timed(reader)
    stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
    codec, corrupt, since_error = stream.codec_context.name, set(), RECOVERY
    for number, packet in enumerate(chain(film_packets(reader), [None])):  # None flushes the decoder
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
        except FFmpegError:
            frames, since_error = [], 0
        for frame in frames:
            is_damaged = frame.is_corrupt or frame.pts in corrupt
            corrupt.discard(frame.pts)
            since_error = 0 if is_damaged else since_error + 1
            yield _Decoded(frame, frame.pts, "damaged" if is_damaged else "", since_error < RECOVERY)


def _in_order(frames: Iterable[_Decoded], has_times: bool) -> Iterator[_Decoded]:
    """Sort frames by their times after an error, when a decoder may return one late; elsewhere its order is right.

    Without times of presentation, assign the times of decoding, sorted, to the frames in the order of the decoder.
    """
    waiting: deque[_Decoded] = deque()
    times: list[int] = []
    for item in frames:
        waiting.append(item)
        if not has_times and item.time is not None:
            heapq.heappush(times, item.time)
        elif item.after_error and all(other.time is not None for other in waiting):
            one_each = {other.time: other for other in waiting}  # MPEG-4's decoder may return a grey frame first
            waiting = deque(sorted(one_each.values(), key=lambda other: other.time or 0))
        if len(waiting) > (AHEAD if has_times else REORDERED):
            yield _with_least_time(waiting.popleft(), times)
    for item in waiting:
        yield _with_least_time(item, times)


def _with_least_time(item: _Decoded, times: list[int]) -> _Decoded:
    return replace(item, time=heapq.heappop(times)) if times else item


def _complete(frames: Iterable[_Decoded], expected: list[int], usual: float) -> Iterator[_Decoded]:
    """Replace each lost frame by the one before it, or at the beginning by the first that comes.

    A frame is lost if its time is ``expected`` and it does not come after an error or at the end. Elsewhere, a frame
    that does not come is a reference that is never shown; within half the usual duration, the second field of a frame.
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


def _with_rising_times(
    frames: Iterable[_Decoded], per_base: int, usual: int, start: int
) -> Iterator[tuple[_Decoded, int]]:
    """Yield each frame with its time in ticks of :func:`tick`, from ``start`` on and rising.

    Times are repaired by :func:`realis.video.packet_order.repaired_time`.
    """
    last = None
    for item, following in _with_following(frames):
        given = [None if one.time is None else one.time * per_base for one in (item, *following)]
        times = [time if time is None or time >= start else None for time in given]
        last = max(repaired_time(times, last, 1, usual), start)
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
