"""Join encoded segments, and copy the other streams of the source: sound, subtitles, chapters, metadata."""

import heapq
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from realis.ops.reproducible import BITEXACT
from realis.video.other_streams import OtherStream, copy_tags, copyable_streams
from realis.video.packet_order import with_rising_times
from realis.video.read import film_stream, open_media, start_of
from realis.video.riff_sound import NO_CHECKSUMS, name_riff_sound
from realis.video.span import Span
from realis.video.timecode import advance_timecode

FINEST = 10**8  # ticks per second that every container can hold
FINE = 90000  # ticks per second in which times are precise enough to be shifted
REORDER = 2  # most frames by which x264's B-frames delay presentation after decoding
NOT_METADATA = ("major_brand", "minor_version", "compatible_brands", "encoder", "rotate")  # of the file, not the film
# Beginnings of tags of the film's stream that are no longer true when it is encoded anew, such as Matroska's statistics
NOT_OF_THE_FILM = (*NOT_METADATA, "alpha_mode", "bps", "duration", "number_of_", "_statistics_")


@dataclass(frozen=True)
class Timeline:
    """When each frame is shown.

    Args:
        times: of the frames, in ticks, rising.
        last: how long the last frame is shown, in ticks.
        time_base: seconds of a tick.
    """

    times: list[int]
    last: int
    time_base: Fraction

    def regular(self, rate: Fraction) -> "Timeline":
        """Return the timeline in exact frames of ``rate``, if every time is less than a tick from it.

        Containers such as Matroska round times to milliseconds.
        """
        start, base = self.times[0] * self.time_base, Fraction(1, math.lcm(rate.numerator, self.time_base.denominator))
        due = (abs(t * self.time_base - start - i / rate) < self.time_base for i, t in enumerate(self.times))
        if base.denominator > FINEST or not all(due):
            return self
        first, step = round(start / base), round(1 / (rate * base))
        return Timeline([first + i * step for i in range(len(self.times))], step, base)


def join_segments(
    output: Path,
    parts: list[Path],
    rate: Fraction,
    timeline: Timeline,
    pixel_aspect: Fraction,
    source: Path | None,
    span: Span | None = None,
) -> None:
    """Copy the packets of ``parts`` into ``output``, and all other streams of ``source`` that it can hold.

    Frame i of a part is at i / ``rate`` in it; of all parts together it is shown at ``timeline.times[i]``. Nothing is
    encoded again. Of ``source``, what begins in ``span`` is copied, earlier by its start: seconds on the clock of its
    packets; ``None``: all.
    """
    if source is None:
        with _new_file(output, parts[0], timeline, pixel_aspect, {}) as (joined, video):
            for packet in _video_packets(parts, rate, timeline, video):
                joined.mux(packet)
        return
    with open_media(source) as tried, open_media(source) as container:
        others = copyable_streams(tried, output.suffix.lower())
        are_stand_ins = [other.is_stand_in for other in others if other.says_truehd]
        options = NO_CHECKSUMS if any(are_stand_ins) else {}
        with _new_file(output, parts[0], timeline, pixel_aspect, options) as (joined, video):
            _describe(container, joined, video, span)
            copies = {other.stream.index: other.add_to(joined) for other in others}
            joined.start_encoding()  # from here on the copies know their ticks
            packets = _video_packets(parts, rate, timeline, video)
            beside = _other_packets(container, others, copies, span)
            for packet in heapq.merge(packets, beside, key=lambda p: (p.dts or 0) * p.time_base):
                joined.mux(packet)
    if any(are_stand_ins):
        name_riff_sound(output, are_stand_ins)


@contextmanager
def _new_file(
    output: Path, part: Path, timeline: Timeline, pixel_aspect: Fraction, options: dict[str, str]
) -> Iterator[tuple[OutputContainer, av.VideoStream]]:
    """Open ``output`` with a stream for packets such as those of ``part``."""
    options = BITEXACT | options
    is_matroska = output.suffix.lower() == ".mkv"
    # streams begin at edit lists, by default rounded to milliseconds
    options |= {} if is_matroska else {"movflags": "+faststart", "movie_timescale": "90000"}
    with av.open(str(output), "w", options=options) as joined, av.open(str(part)) as first:
        template = first.streams.video[0]
        video = joined.add_stream_from_template(template, opaque=True)
        if not is_matroska:
            video.codec_context.codec_tag = template.codec_context.codec_tag
        video.codec_context.sample_aspect_ratio = pixel_aspect
        video.time_base = timeline.time_base
        yield joined, video


def _video_packets(
    parts: Iterable[Path], rate: Fraction, timeline: Timeline, stream: av.VideoStream
) -> Iterator[av.Packet]:
    times, start, number = timeline.times, 0, 0
    steps = [b - a for a, b in zip(times, times[1:], strict=False)] + [timeline.last]
    for part in parts:
        with av.open(str(part)) as container:
            encoded, count = container.streams.video[0], 0
            reorder = REORDER if encoded.codec_context.name == "h264" else 0
            for packet in (packet for packet in container.demux(encoded) if packet.size):
                assert packet.pts is not None and encoded.time_base is not None  # realis wrote it
                shown = start + round(packet.pts * encoded.time_base * rate)
                early = number - reorder
                packet.time_base = timeline.time_base
                packet.dts = times[early] if early >= 0 else times[0] + early * steps[0]
                packet.pts, packet.duration, packet.stream = times[shown], steps[shown], stream
                yield packet
                number, count = number + 1, count + 1
        start += count


def _describe(
    source: InputContainer,
    joined: OutputContainer,
    video: av.VideoStream,
    span: Span | None,
) -> None:
    """Copy chapters, metadata, and what players need to know of the film: language, title, timecode, flags."""
    joined.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in NOT_METADATA})
    chapters = []
    for chapter in source.chapters():
        base = chapter["time_base"]
        assert base is not None
        if span is None:
            shift = round(start_of(source) / base)
            begin, end = chapter["start"] - shift, chapter["end"] - shift
        else:
            begin, end = (round(time / base) for time in span.clipped(chapter["start"] * base, chapter["end"] * base))
        if span is None or begin < end:
            chapters.append({**chapter, "start": begin, "end": end})
    joined.set_chapters(chapters)
    if film := film_stream(source):
        copy_tags(film, video, NOT_OF_THE_FILM)
        video.disposition = film.disposition
        if span:
            _move_timecodes(film, (joined, video), span.start)


def _move_timecodes(film: av.VideoStream, copies: tuple[OutputContainer, av.VideoStream], start: Fraction) -> None:
    """Make the timecodes in tags, which are of the first frame of ``film``, those of its frame at ``start`` seconds."""
    rate = film.average_rate or film.guessed_rate
    if rate and film.time_base:
        frames = round((start - (film.start_time or 0) * film.time_base) * rate)
        for copy in copies:
            copy.metadata.update(
                {k: advance_timecode(v, frames, rate) for k, v in copy.metadata.items() if k.lower() == "timecode"}
            )


def _other_packets(
    source: InputContainer,
    others: list[OtherStream],
    copies: dict[int, Stream],
    span: Span | None,
) -> Iterator[av.Packet]:
    """Give the packets of all streams but the film, with the copies that they go to: ``start_of(source)`` earlier, or
    those in ``span`` earlier by its start."""
    for other in others:
        if other.is_cover:
            yield from other.first_packets(copies[other.stream.index])
    streams = [source.streams[other.stream.index] for other in others if other.stream.type in ("audio", "subtitle")]
    if not streams:
        return
    start = span.start if span else start_of(source)
    steps = {stream.index: _least_step(stream, copies[stream.index]) for stream in streams}
    for packet in with_rising_times((packet for packet in source.demux(streams) if packet.size), steps):
        assert packet.pts is not None and packet.dts is not None  # as with_rising_times sets both
        if span and not _cut(packet, span):
            continue
        shift = round(start / packet.time_base)
        packet.stream = copies[packet.stream_index]
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        yield packet


def _cut(packet: av.Packet, span: Span) -> bool:
    """Whether a packet is copied of a part: sound that begins in it, and subtitles that are shown in it, which then
    begin and end with it. Its times are then in ticks in which it can be moved by any time."""
    assert packet.pts is not None and packet.dts is not None
    finer = math.ceil(packet.time_base * FINE)  # a tick of sound in AVI may be as long as a packet
    packet.pts, packet.dts, packet.duration = packet.pts * finer, packet.dts * finer, (packet.duration or 0) * finer
    packet.time_base /= finer
    begin = packet.pts * packet.time_base
    if packet.stream.type != "subtitle" or not packet.duration:  # some say when they end by another packet
        return span.holds(begin)
    first, last = span.clipped(begin, begin + packet.duration * packet.time_base)
    packet.pts = packet.dts = round((first + span.start) / packet.time_base)
    packet.duration = round((last - first) / packet.time_base)
    return packet.duration > 0


def _least_step(stream: Stream, copy: Stream) -> int:
    """Return by how many ticks of ``stream`` the times of its packets must rise: equal times of sound fail in .mp4."""
    if stream.type != "audio" or copy.container.format.name == "matroska":
        return 0
    assert copy.time_base is not None and stream.time_base is not None  # since start_encoding
    return max(1, math.ceil(copy.time_base / stream.time_base))
