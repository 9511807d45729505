"""Join encoded segments, and copy beside them what else the source has: sound, subtitles, chapters, metadata."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from realis.log import logger
from realis.video.read import film_stream

REORDER = 2  # frames by which the encoders' B-frames are decoded ahead at most
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
        """The same in exact frames of ``rate``, if no time is further from that than the rounding to ticks: containers
        such as Matroska hold milliseconds."""
        start = self.times[0] * self.time_base
        due = (abs(t * self.time_base - start - i / rate) <= self.time_base for i, t in enumerate(self.times))
        if (start * rate).denominator != 1 or not all(due):
            return self
        first = round(start * rate)
        return Timeline([first + i for i in range(len(self.times))], 1, 1 / rate)


def join_segments(
    output: Path, parts: list[Path], rate: Fraction, timeline: Timeline, pixel_aspect: Fraction, source: Path | None
) -> None:
    """Copy the packets of ``parts`` into ``output``, and all other streams of ``source`` that it can hold.

    Frame i of a part is at i / ``rate`` in it; of all parts together it is shown at ``timeline.times[i]``. Nothing is
    encoded again.
    """
    options = {"fflags": "+bitexact"}  # no random identifiers: the same segments make the same bytes
    options |= {} if output.suffix == ".mkv" else {"movflags": "+faststart"}
    with av.open(str(output), "w", options=options) as joined, av.open(str(parts[0])) as first:
        template = first.streams.video[0]
        video = joined.add_stream_from_template(template, opaque=True)
        if output.suffix != ".mkv":
            video.codec_context.codec_tag = template.codec_context.codec_tag
        video.codec_context.sample_aspect_ratio = pixel_aspect
        video.time_base = timeline.time_base
        packets = _video_packets(parts, rate, timeline, video)
        if source is None:
            joined.mux(packets)
            return
        with av.open(str(source)) as container:
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
            reorder = REORDER if encoded.codec_context.name in ("h264", "hevc") else 0
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
    picture, copies = film_stream(source), {}
    for stream in source.streams:
        if stream is picture:
            continue
        name = stream.codec_context.name if stream.codec_context else stream.type
        if stream.type not in ("audio", "subtitle") or name not in joined.supported_codecs:
            logger.warning("%s cannot hold stream %d of the input (%s, %s): it is left out", output.suffix, stream.index,
                           stream.type, name)  # fmt: skip
            continue
        copy = joined.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        copies[stream.index] = copy
    if not copies:
        return iter(())
    wanted = [stream for stream in source.streams if stream.index in copies]
    return _copied(source.demux(wanted), copies)


def _copied(packets: Iterable[av.Packet], copies: dict[int, av.stream.Stream]) -> Iterator[av.Packet]:
    for packet in packets:
        if packet.dts is not None:
            packet.stream = copies[packet.stream_index]
            yield packet
