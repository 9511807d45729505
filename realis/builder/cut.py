"""Cut a part out of a video: by copying its packets where that is exact, or by encoding its frames again."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, chain, islice
from pathlib import Path

import av
from av.filter import Graph

from realis.core.errors import InputError
from realis.core.files import whole_file
from realis.ops.reproducible import BITEXACT, X264, X265
from realis.video.excerpt import read_facts
from realis.video.orientation import quarter_turns
from realis.video.read import VideoReader

COPIED = {"h264": "mp4", "hevc": "mp4", "av1": "mp4", "prores": "mov", "ffv1": "matroska"}  # container by codec
ENDINGS = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv"}
ENCODERS = {
    ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"):
        ("libx264", "mp4", {"preset": "slow", "x264-params": f"open-gop=0:{X264}"}),
    ("yuv420p10le", "yuv422p10le", "yuv444p10le"):
        ("libx265", "mp4", {"preset": "medium", "x265-params": f"open-gop=0:pools=none:frame-threads=1:{X265}"}),
}  # fmt: skip
LOSSLESS = ("ffv1", "matroska", {"level": "3"})
TURNS = {1: "transpose=cclock", 2: "hflip,vflip", 3: "transpose=clock"}  # by quarter turns to the left


@dataclass(frozen=True)
class Packet:
    """A packet, as the demuxer describes it: presentation time in ticks, and whether it is a key frame."""

    time: int
    is_key: bool


@lru_cache(maxsize=2)  # asked for by every clip of a video
def read_packets(path: Path) -> list[Packet]:
    """Return the packets of a video in decoding order; none if they cannot be copied, or some are not shown."""
    with VideoReader(path, threads=1) as video:
        if video.stream.codec_context.name not in COPIED:
            return []
        found = []
        for packet in video.container.demux(video.stream):
            if packet.size and (packet.is_discard or packet.pts is None):
                return []
            if packet.size:
                found.append(Packet(packet.pts or 0, packet.is_keyframe))
        return found


def part_to_copy(path: Path, start: int, stop: int, least: int) -> tuple[int, int] | None:
    """Find the first part of frames ``start`` to ``stop`` - 1, at least ``least`` long, that can be copied: it begins with a
    key frame, and no frame that is decoded after it is shown before its end. Return its first frame and the one behind
    its last; ``None``: there is no such part."""
    number = {int(time): i for i, time in enumerate(read_facts(path).times)}
    known = read_packets(path)
    if len(number) != len(known):
        return None
    shown = [number[packet.time] for packet in known]
    suffix_minima = [*accumulate(reversed(shown), min, initial=len(shown))]  # of the frame numbers of the last packets
    later = suffix_minima[-2::-1]  # for each packet, the first frame shown of those decoded after it
    for i, packet in enumerate(known):
        if packet.is_key and start <= shown[i] <= stop - least and later[i] > shown[i]:
            so_far = accumulate(shown[i:], max)
            ends = [last + 1 for last, after in zip(so_far, later[i:], strict=True) if last < after and last < stop]
            if ends and ends[-1] - shown[i] >= least:
                return shown[i], ends[-1]
    return None


def copy_part(path: Path, stem: Path, start: int, stop: int) -> Path | None:
    """Copy the packets of frames ``start`` to ``stop`` - 1 into a file ``stem`` with the ending of its container; ``None``
    where the frames have to be rotated, or seeking does not find them."""
    times = read_facts(path).times[start:stop]
    with VideoReader(path, threads=1) as video:
        form = COPIED[video.stream.codec_context.name]
        if quarter_turns(next(video.frames())):
            return None
        final = stem.with_name(stem.name + ENDINGS[form])
        video.container.seek(int(times[0]), stream=video.stream)
        shown = range(int(times[0]), int(times[-1]) + 1)
        part = list(islice((p for p in video.container.demux(video.stream) if p.pts in shown), len(times)))
        if len(part) < len(times):
            return None
        with whole_file(final) as temporary, av.open(str(temporary), "w", format=form, options=BITEXACT) as copy:
            stream = copy.add_stream_from_template(video.stream, opaque=True)
            stream.metadata.clear()
            ahead = max(int(time) - (packet.pts or 0) for time, packet in zip(times, part, strict=True))
            for time, packet in zip(times, part, strict=True):  # Matroska does not keep times of decoding
                packet.pts, packet.dts = (packet.pts or 0) - int(times[0]), int(time - times[0]) - ahead
                packet.stream = stream
                copy.mux(packet)
    return final


def encode_part(path: Path, stem: Path, start: int, stop: int, crf: int) -> Path:
    """Encode frames ``start`` to ``stop`` - 1 again, upright, in their own pixel format, at their own times.

    Raises:
        InputError: some of them cannot be decoded.
    """
    times = read_facts(path).times[start:stop]
    for key in (key_before(path, int(times[0])), None):
        file, count = encode_frames(path, stem, {int(time) for time in times}, key, crf)
        if count == len(times):
            return file
        file.unlink()
    raise InputError(f"{path}: some of frames {start} to {stop - 1} cannot be decoded; it may be damaged")


def key_before(path: Path, time: int) -> int | None:
    """Return the time of the last key frame but one up to ``time``: frames after the last one may refer to frames before it.
    ``None``: decode from the beginning, also of MPEG-TS, where seeking is not exact to a frame."""
    with VideoReader(path, threads=1) as video:
        is_ts = video.container.format.name == "mpegts"
    keys = read_facts(path).keys
    keys = keys[keys <= time]
    return None if is_ts or len(keys) < 2 else int(keys[-2])


def encode_frames(path: Path, stem: Path, times: set[int], key: int | None, crf: int) -> tuple[Path, int]:
    """Encode the frames shown at ``times``, decoded from ``key`` on; return the file and the number of frames found.

    Raises:
        InputError: no frame is found, or there is no encoder for them.
    """
    first, count = min(times), 0
    with VideoReader(path, threads=1) as video:
        if key is not None:
            video.container.seek(key, stream=video.stream)
        wanted = (frame for frame in video.container.decode(video.stream) if frame.pts in times)
        frames = turn_upright(islice(wanted, len(times)))
        one = next(frames, None)
        if one is None:
            raise InputError(f"{path}: no frame from {first} on can be decoded; it may be damaged")
        codec, form, options = encoder_for(one)
        final = stem.with_name(stem.name + ENDINGS[form])
        base = video.time_base
        with (
            whole_file(final) as temporary,
            av.open(str(temporary), "w", format=form, options=BITEXACT) as out,
        ):
            stream = out.add_stream(codec, rate=video.rate)
            assert isinstance(stream, av.VideoStream)
            set_up_encoder(stream.codec_context, one, base, options | ({} if codec == "ffv1" else {"crf": str(crf)}))
            for frame in chain([one], frames):
                frame.pts, frame.time_base, frame.pict_type = (frame.pts or 0) - first, base, 0
                out.mux(stream.encode(frame))
                count += 1
            out.mux(stream.encode(None))
    return final, count


def encoder_for(frame: av.VideoFrame) -> tuple[str, str, dict[str, str]]:
    """Choose encoder, container and options for frames like this one.

    Raises:
        InputError: there is none for their pixel format.
    """
    name = frame.format.name
    even = frame.width % 2 == frame.height % 2 == 0
    found = next((encoder for forms, encoder in ENCODERS.items() if name in forms and even), LOSSLESS)
    known = {form.name for form in av.Codec(found[0], "w").video_formats or ()}
    if name not in known:
        raise InputError(
            f"its pixel format {name} cannot be kept; convert it to one of {', '.join(sorted(known)[:3])}, ..."
        )
    return found


def turn_upright(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield the frames rotated as the container asks for."""
    graph = None
    for frame in frames:
        if not (turns := quarter_turns(frame)):
            yield frame
            continue
        if graph is None:
            graph = Graph()
            begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                                     time_base=frame.time_base or Fraction(1))  # fmt: skip
            steps = [graph.add(*step.split("=")) for step in TURNS[turns].split(",")]
            graph.link_nodes(begin, *steps, graph.add("buffersink")).configure()
        graph.push(frame)
        yield graph.vpull()


def set_up_encoder(
    context: av.VideoCodecContext, frame: av.VideoFrame, base: Fraction, options: dict[str, str]
) -> None:
    """Set an encoder up for frames like this one: size, pixel format, colours, time base ``base``."""
    context.height, context.width, context.pix_fmt = frame.height, frame.width, frame.format.name
    context.time_base, context.options, context.thread_count = base, options, 1
    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
