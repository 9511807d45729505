"""Survey a source before the work: how many frames it has, what is damaged, and what a result of it cannot keep.

All packets are read, and frames at a few places are decoded; of images, the headers are read. So a source that cannot
be upscaled is refused at once, not after hours of work.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import ceil, inf
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from realis.core.errors import InputError
from realis.video.frame_samples import sample_frames
from realis.video.image_facts import image_facts
from realis.video.names import IMAGES
from realis.video.playback import FAULTS, film_packets, is_shown, is_timed
from realis.video.read import ANY_START, VideoReader
from realis.video.side_data import not_kept
from realis.video.source import FOLDER_RATE, FolderSource, VideoSource, is_opaque, no_frames_error, pixels
from realis.video.span import WHOLE, Span

BACK = 0.5  # seconds that time may go back: times that libavformat guesses for B-frames go back a little
# Packets whose median a time is compared with; packets in a row behind it that are no single wrong times
RECENT, STAYS_BACK = 9, 5
SHORT = 0.9  # share of the announced length that a file's streams should reach
GAP, RARE = 1.75, 0.05  # usual steps of time that make a gap; share of steps above which gaps are intentional


@dataclass(frozen=True)
class Survey:
    """What is known of a source before the work.

    Args:
        frames: number of frames that a player shows.
        remarks: what a user should know, a line each.
        damage: what is damaged or missing, a line each.
        interlaced: share of the sampled frames that consist of two fields.
        opaque: whether no sampled frame has a transparent pixel.
        not_kept: names of side data that a result cannot keep.
    """

    frames: int
    remarks: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    interlaced: float = 0.0
    opaque: bool = True
    not_kept: frozenset[str] = frozenset()


def survey(path: Path, strict: bool = False, span: Span = WHOLE) -> Survey:
    """Survey a video, an image or a folder of images.

    Args:
        path: of the source.
        strict: decode all of it, and refuse it if anything is damaged.
        span: the part to be upscaled; damage elsewhere is not reported.

    Raises:
        InputError: it cannot be upscaled as it is, or has no frames in ``span``.
    """
    found = _survey_folder(path, span) if path.is_dir() else _survey_file(path, span)
    if strict and (fault := next(chain(found.damage, _faults(path, span)), None)):
        raise InputError(f"{path}: {fault} (refused by --strict)")
    return found


def middle(path: Path, span: Span, frames: int) -> Span:
    """Return the span of ``frames`` frames in the middle of ``span``; ``span`` itself if it has no more.

    It begins and ends halfway between two frames, by the times of packets.

    Raises:
        InputError: the source has no frame that can be decoded.
    """
    times = _folder_times(path, span) if path.is_dir() else _file_times(path, span)
    if len(times) <= frames:
        return span
    first = (len(times) - frames) // 2
    start = (times[first - 1] + times[first]) / 2 if first else span.start
    return Span(start, (times[first + frames - 1] + times[first + frames]) / 2)


def _folder_times(path: Path, span: Span) -> list[Fraction]:
    count = len(FolderSource(path).files)
    return [time for time in (number / FOLDER_RATE for number in range(count)) if span.holds(time)]


def _file_times(path: Path, span: Span) -> list[Fraction]:
    """Return when the frames in ``span`` begin, in seconds on a player's clock, rising."""
    with VideoSource(path) as source:
        zero = source.reader.start + source.clock
    with VideoReader(path) as reader:
        tick, codec = _ticks(reader), reader.stream.codec_context.name
        ticks = {tick(packet) for packet in film_packets(reader) if is_shown(packet, codec)}
        times = sorted(tick * reader.time_base - zero for tick in ticks)
    return [time for time in times if span.holds(time)]


def _survey_folder(path: Path, span: Span) -> Survey:
    source = FolderSource(path, span)
    facts = {file: image_facts(file) for file in source.files}
    opaque = source.format.opaque
    for file, fact in facts.items():
        if fact and fact.is_animated:
            raise InputError(f"{file}: is animated; wanted images, or the animation alone as --input")
        if fact and fact.size != source.format.size:
            got, wanted = (f"{w}x{h}" for h, w in (fact.size, source.format.size))
            raise InputError(
                f"{file}: is {got}, and the first image {wanted}; wanted one size; a pattern such as {path}/*{file.suffix} takes each image for itself"
            )
        if fact and fact.has_alpha and opaque:
            with VideoSource(file) as image:
                opaque = image.format.opaque
    profiles = sum(fact.has_profile for fact in facts.values() if fact)
    unknown = [file.name for file, fact in facts.items() if not fact and not _is_readable(file)]
    remarks = _profile_remark(f"{profiles} of {len(facts)} images have" if profiles else "")
    damage = (f"{len(unknown)} of {len(facts)} images cannot be read, first {unknown[0]}",) if unknown else ()
    return Survey(len(facts), remarks, damage, opaque=opaque)


def _is_readable(file: Path) -> bool:
    """Whether libav reads an image that Pillow does not know."""
    try:
        with VideoSource(file):
            return True
    except InputError:
        return False


def _profile_remark(having: str) -> tuple[str, ...]:
    what = f"{having} a colour profile, which is not carried over; colours will look different if it is not sRGB"
    return (what,) if having else ()


def _survey_file(path: Path, span: Span) -> Survey:
    part = span
    if span != WHOLE:
        with VideoSource(path, span=span) as source:
            part = source.span
    count, damage, length = _survey_packets(path, part)
    if not count and span != WHOLE:
        raise no_frames_error(path, span, length)
    facts = image_facts(path) if path.suffix.lower() in IMAGES else None
    fields, opaque, beside, sizes = [], True, set(), []
    with VideoReader(path) as reader:
        for frame in sample_frames(reader, count, part):
            fields.append(frame.interlaced_frame)
            beside |= not_kept(frame, reader.stream.codec_context.name)
            sizes += [(frame.width, frame.height)] if (frame.width, frame.height) not in sizes else []
            if any(part.is_alpha for part in frame.format.components):
                opaque &= is_opaque(pixels(frame, reader)[2])
    if len(sizes) > 1:
        damage.append(f"changes its size: {', '.join(f'{w}x{h}' for w, h in sizes)}")
    remarks = _profile_remark("has" if facts and facts.has_profile else "")
    share = sum(fields) / max(1, len(fields))
    return Survey(count, remarks, tuple(damage), share, opaque, frozenset(beside))


def _survey_packets(path: Path, span: Span) -> tuple[int, list[str], Fraction]:
    """Read all packets; return the number of frames in ``span``, what is damaged, and the length of all in seconds.

    Raises:
        InputError: time goes back, as if recordings were joined by ``cat``: picture and sound would lose sync.
    """
    packets = inside = corrupt = 0
    times: list[int | None] = []  # of the frames to be shown
    clocks: defaultdict[int, _Clock] = defaultdict(_Clock)  # by stream
    end, damage = Fraction(0), []
    with VideoReader(path) as reader:
        container, film = reader.container, reader.stream
        codec, start = film.codec_context.name, Fraction(container.start_time or 0, av.time_base)
        tick, has_times = _ticks(reader), is_timed(reader)
        first = ceil((reader.start + span.start) / reader.time_base)
        stop = inf if span.stop is None else ceil((reader.start + span.stop) / reader.time_base)
        try:
            for packet in container.demux():
                if packet.stream_index == film.index and packet.size:
                    packets += 1
                    if first <= tick(packet) < stop or span == WHOLE:
                        inside, corrupt = inside + 1, corrupt + packet.is_corrupt
                        times += [packet.pts] if is_shown(packet, codec) else []
                known = [time + (packet.duration or 0) for time in (packet.dts, packet.pts) if time is not None]
                end = max([end, *(time * packet.time_base - start for time in known)])
                if packet.dts is None:
                    continue
                time, is_checked = packet.dts * packet.time_base, packet.stream is film or packet.stream.type == "audio"
                if is_checked and (before := clocks[packet.stream_index].went_back(time)) is not None:
                    raise InputError(
                        f"{path}: in stream {packet.stream_index} time goes back from {float(before):.2f} to "
                        f"{float(time):.2f} s; put it in order first (ffmpeg -i {path.name} -c copy NEW.mkv)"
                    )
        except (FFmpegError, OSError) as error:
            damage.append(f"cannot be read beyond {float(end):.1f} s ({getattr(error, 'strerror', '') or error})")
        announced = Fraction(container.duration or 0, av.time_base)
        if packets < film.frames - 1 and has_times:  # AVI counts frames without bytes too
            damage.append(f"announces {film.frames} frames, but only {packets} are there; it may be cut short")
        elif end + 1 / reader.rate < SHORT * float(announced):  # Matroska does not say how long the last frame lasts
            damage.append(f"ends after {float(end):.1f} of {float(announced):.1f} s; it may be cut short")
        if span.is_over(start + end - reader.start):
            damage.clear()  # it is after the part
        if corrupt:
            damage.append(f"{corrupt} of its {inside} packets of picture are damaged")
        if container.format.name in ANY_START:
            damage += _gaps(times, reader.time_base, start)
    return len(times), damage, end


def _ticks(reader: VideoReader) -> Callable[[av.Packet], int]:
    """Return a function that gives the time of a film's packet, in ticks; call it for all packets in order.

    A packet without a time gets the time at which the one before it ends.
    """
    usual, expected = max(1, round(1 / (reader.rate * reader.time_base))), round(reader.start / reader.time_base)
    has_times = is_timed(reader)

    def tick(packet: av.Packet) -> int:
        nonlocal expected
        time = packet.pts if has_times else packet.dts
        time = expected if time is None else time
        expected = time + usual
        return time

    return tick


class _Clock:
    """The times of one stream's packets, some of which may be wrong."""

    def __init__(self) -> None:
        self._recent: deque[Fraction] = deque(maxlen=RECENT)
        self._behind = 0

    def went_back(self, time: Fraction) -> Fraction | None:
        """Add the next time; once time has gone back and stays back, return the time before it, else ``None``."""
        usual = sorted(self._recent)[len(self._recent) // 2] if self._recent else time
        if time >= usual - Fraction(BACK):
            self._recent.append(time)
            self._behind = 0
            return None
        self._behind += 1
        return usual if self._behind == STAYS_BACK else None


def _gaps(times: list[int | None], tick: Fraction, start: Fraction) -> list[str]:
    """Report gaps in a broadcast or DVD, whose rate is constant, so that packets must be missing there. In other
    containers, gaps are intentional."""
    rising = np.sort(np.array([time for time in times if time is not None], np.int64))
    steps = np.diff(rising)
    usual = float(np.median(steps)) if len(steps) else 0.0
    wide = np.flatnonzero(steps > GAP * usual)
    missing = round((rising[-1] - rising[0]) / usual) + 1 - len(times) if usual else 0  # negative if times are wrong
    if missing <= 0 or not 0 < len(wide) <= max(3, RARE * len(steps)):
        return []
    first = float(int(rising[wide[0] + 1]) * tick - start)
    return [f"frames are missing, first before {first:.2f} s, {missing} or so in all"]


def _faults(path: Path, span: Span) -> Iterator[str]:
    """Decode all of a source, or of a part of it, and say which frames have a fault."""
    if path.is_dir():
        with FolderSource(path, span) as source:
            for number, frame in enumerate(source.frames()):
                if frame.fault:
                    yield f"{source.files[number].name} {FAULTS[frame.fault][0]}"
        return
    with VideoSource(path, span=span) as source:
        for number, shown in enumerate(source.presented_frames()):
            if shown.fault:
                yield f"frame {number}, at {float(shown.time * source.time_base):.2f} s, {FAULTS[shown.fault][0]}"
