"""Join encoded segments, and copy beside them what else the source has: sound, subtitles, chapters, metadata."""

import heapq
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from realis.log import logger
from realis.video.read import film_stream, open_media, start_of

FINEST = 10**8  # ticks a second that a container surely can hold
REORDER = 2  # frames by which x264's B-frames are decoded ahead at most
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
NOT_METADATA = ("major_brand", "minor_version", "compatible_brands", "encoder", "rotate")  # of the file, not the film


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
        """The same in exact frames of ``rate``, if every time is less than a tick from that: containers such as Matroska
        round to milliseconds."""
        start, base = self.times[0] * self.time_base, Fraction(1, math.lcm(rate.numerator, self.time_base.denominator))
        due = (abs(t * self.time_base - start - i / rate) < self.time_base for i, t in enumerate(self.times))
        if base.denominator > FINEST or not all(due):
            return self
        first, step = round(start / base), round(1 / (rate * base))
        return Timeline([first + i * step for i in range(len(self.times))], step, base)


def join_segments(
    output: Path, parts: list[Path], rate: Fraction, timeline: Timeline, pixel_aspect: Fraction, source: Path | None
) -> None:
    """Copy the packets of ``parts`` into ``output``, and all other streams of ``source`` that it can hold.

    Frame i of a part is at i / ``rate`` in it; of all parts together it is shown at ``timeline.times[i]``. Nothing is
    encoded again.
    """
    options = {"fflags": "+bitexact"}  # no random identifiers: the same segments make the same bytes
    is_matroska = output.suffix.lower() == ".mkv"
    # streams begin at edit lists, by default rounded to milliseconds
    options |= {} if is_matroska else {"movflags": "+faststart", "movie_timescale": "90000"}
    with av.open(str(output), "w", options=options) as joined, av.open(str(parts[0])) as first:
        template = first.streams.video[0]
        video = joined.add_stream_from_template(template, opaque=True)
        if not is_matroska:
            video.codec_context.codec_tag = template.codec_context.codec_tag
        video.codec_context.sample_aspect_ratio = pixel_aspect
        video.time_base = timeline.time_base
        packets = _video_packets(parts, rate, timeline, video)
        if source is None:
            joined.mux(packets)
            return
        with open_media(source) as container:
            others = _others(container, joined, output)
            for packet in heapq.merge(packets, others, key=lambda p: (p.dts or 0) * p.time_base):
                joined.mux(packet)


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
                shown = start + round(packet.pts * encoded.time_base * rate)
                early = number - reorder
                packet.time_base = timeline.time_base
                packet.dts = times[early] if early >= 0 else times[0] + early * steps[0]
                packet.pts, packet.duration, packet.stream = times[shown], steps[shown], stream
                yield packet
                number, count = number + 1, count + 1
        start += count


def _others(
    source: av.container.InputContainer, joined: av.container.OutputContainer, output: Path
) -> Iterator[av.Packet]:
    """Add the streams of ``source`` other than its video to ``joined``, and give their packets in order."""
    joined.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in NOT_METADATA})
    joined.set_chapters(source.chapters())
    wanted = [stream for stream in source.streams if is_held(stream, output)]
    copies = {stream.index: _copy(stream, joined) for stream in wanted}
    return _copied(source.demux(wanted), copies, start_of(source)) if wanted else iter(())


def _copy(stream: av.stream.Stream, joined: av.container.OutputContainer) -> av.stream.Stream:
    copy = joined.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    if isinstance(copy, av.AudioStream) and copy.codec_context.channels in (1, 2):
        copy.codec_context.layout = ("mono", "stereo")[copy.codec_context.channels - 1]  # some containers leave it open
    return copy


def is_held(stream: av.stream.Stream, output: Path) -> bool:
    """Whether a file such as ``output`` can hold a stream of sound or subtitles: a header with it is tried."""
    if stream.type not in ("audio", "subtitle"):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=FORMATS[output.suffix.lower()]) as trial:
            _copy(stream, trial)
            trial.start_encoding()
        return True
    except (av.FFmpegError, ValueError):
        return False


def say_what_is_left_out(source: Path, output: Path) -> None:
    """Log which streams of ``source`` the result cannot have."""
    with open_media(source) as container:
        film, chapters = film_stream(container), bool(container.chapters())
        for stream in container.streams:
            if stream is not film and not is_held(stream, output) and not (chapters and stream.type == "data"):
                name = stream.codec_context.name if stream.codec_context else "unknown"
                logger.warning("%s cannot hold stream %d of the input (%s, %s): it is left out", output.suffix,
                               stream.index, stream.type, name)  # fmt: skip


def _copied(
    packets: Iterable[av.Packet], copies: dict[int, av.stream.Stream], start: Fraction
) -> Iterator[av.Packet]:  # fmt: skip
    """The packets with the streams that they go to, ``start`` seconds earlier. Time that stands still, which .mp4 does not take of sound, or goes
    back, which nothing takes, goes on by a tick."""
    last: dict[int, int] = {}
    moved: set[int] = set()
    for packet in packets:
        if packet.dts is None:
            continue
        index, shift = packet.stream_index, round(start / packet.time_base)
        packet.stream, packet.dts = copies[index], packet.dts - shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        least = last.get(index, packet.dts) + (index in last and packet.stream.type == "audio")
        if packet.dts < least:
            if index not in moved:
                logger.warning("stream %d of the input has timestamps that do not rise: moved by a tick each", index)
            moved.add(index)
            coarse = packet.stream.time_base or packet.time_base  # a tick of the source may be none of the result
            packet.dts = last[index] + max(1, math.ceil(coarse / packet.time_base))
            packet.pts = max(packet.dts, packet.pts)
        last[index] = packet.dts
        yield packet
