"""Look at a source before the work: how many frames it has, what is wrong with it, what a result cannot keep of it.

All packets are read, and frames at a few places are decoded; of images, the headers are read. What makes a source unfit
is an error then, not after hours of work.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from realis.errors import InputError
from realis.video.names import IMAGES
from realis.video.playback import FAULTS, UNTIMED, play, tick
from realis.video.read import VideoReader
from realis.video.side_data import not_kept
from realis.video.source import FolderSource, image_facts, is_opaque, pixels

BACK = 0.5  # seconds that time may go back: what libavformat guesses of B-frames goes back a little
SHORT = 0.9  # share of the announced length that a file's streams should reach
GAP, RARE = 1.75, 0.05  # usual steps of time that make a gap; share of steps above which they are meant so
PLACES, FRAMES = 8, 12  # where frames are looked at, and how many there


@dataclass(frozen=True)
class Survey:
    """What is known of a source before the work.

    Args:
        frames: how many will be shown.
        remarks: what a user should know, a line each.
        damage: the same of what is damaged or missing.
        interlaced: whether a frame that was looked at is two fields.
        opaque: whether none that was looked at is transparent anywhere.
        not_kept: what frames carry that a result cannot keep, in words.
    """

    frames: int
    remarks: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    interlaced: bool = False
    opaque: bool = True
    not_kept: frozenset[str] = frozenset()


def survey(path: Path, strict: bool = False) -> Survey:
    """Look at a video, an image or a folder of images.

    Args:
        path: of the source.
        strict: decode all of it, and refuse it if anything is damaged.

    Raises:
        InputError: it cannot be upscaled as it is.
    """
    found = _survey_folder(path) if path.is_dir() else _survey_file(path)
    if strict:
        for damage in (*found.damage, *_faults(path)):
            raise InputError(f"{path}: {damage}; without --strict it is upscaled as players show it")
    return found


def _survey_folder(path: Path) -> Survey:
    source = FolderSource(path)
    facts = {file: image_facts(file) for file in source.files}
    for file, fact in facts.items():
        if fact and fact.size != source.look.size:
            got, wanted = (f"{w}x{h}" for h, w in (fact.size, source.look.size))
            raise InputError(f"{file}: is {got}, and the first image {wanted}; wanted one size")
    profiles = sum(fact.has_profile for fact in facts.values() if fact)
    return Survey(len(facts), _profile_remark(f"{profiles} of {len(facts)} images have" if profiles else ""))


def _profile_remark(having: str) -> tuple[str, ...]:
    what = f"{having} a colour profile, which is not carried over; colours will look different if it is not sRGB"
    return (what,) if having else ()


def _survey_file(path: Path) -> Survey:
    count, damage = _survey_packets(path)
    facts = image_facts(path) if path.suffix.lower() in IMAGES else None
    interlaced, opaque, lost = False, True, set()
    with VideoReader(path) as reader:
        for frame in _glances(reader, count):
            interlaced |= frame.interlaced_frame
            lost |= not_kept(frame, reader.stream.codec_context.name)
            if any(part.is_alpha for part in frame.format.components):
                opaque &= is_opaque(pixels(frame, reader)[2])
    remarks = _profile_remark("has" if facts and facts.has_profile else "")
    return Survey(count, remarks, tuple(damage), interlaced, opaque, frozenset(lost))


def _survey_packets(path: Path) -> tuple[int, list[str]]:
    """Count the frames that packets announce, and say what is wrong with the packets.

    Raises:
        InputError: time goes back, as where recordings were put together by ``cat``: picture and sound would part.
    """
    packets = corrupt = shown = 0
    times: list[int] = []  # of the frames, where the file gives them
    latest: dict[int, Fraction] = {}  # by stream, of decoding
    end, damage = Fraction(0), []
    with VideoReader(path) as reader:
        container, film = reader.container, reader.stream
        start = Fraction(container.start_time or 0, av.time_base)
        try:
            for packet in container.demux([film, *container.streams.audio]):
                if packet.stream_index == film.index and packet.size:
                    packets, corrupt = packets + 1, corrupt + packet.is_corrupt
                    shown += not packet.is_discard
                    if packet.pts is not None and not packet.is_discard:
                        times.append(packet.pts)
                if packet.dts is None:
                    continue
                time, last = packet.dts * packet.time_base, latest.get(packet.stream_index)
                if last is not None and time < last - BACK:
                    raise InputError(
                        f"{path}: in stream {packet.stream_index} time goes back from {float(last):.2f} to "
                        f"{float(time):.2f} s; put it in order first (ffmpeg -i {path.name} -c copy NEW.mkv)"
                    )
                latest[packet.stream_index] = max(time, last or time)
                ticks = max(packet.dts, packet.pts or packet.dts) + (packet.duration or 0)
                end = max(end, ticks * packet.time_base - start)
        except (av.FFmpegError, OSError) as error:
            damage.append(f"cannot be read beyond {float(end):.1f} s ({getattr(error, 'strerror', '') or error})")
        announced = Fraction(container.duration or 0, av.time_base)
        if corrupt:
            damage.append(f"{corrupt} of its {packets} packets of picture are damaged")
        if packets < film.frames - 1:
            damage.append(f"announces {film.frames} frames, but only {packets} are there; it may be cut short")
        elif end < SHORT * float(announced) and not damage:
            damage.append(f"ends after {float(end):.1f} of {float(announced):.1f} s; it may be cut short")
        if reader.container.format.name not in UNTIMED:
            damage += _gaps(times, film.time_base or 1 / reader.rate, reader.start)
    return shown, damage


def _gaps(times: list[int], tick: Fraction, start: Fraction) -> list[str]:
    """Say where a video of otherwise constant rate has no frames for a while: damage that took whole packets away."""
    at = np.sort(np.array(times, np.int64))
    steps = np.diff(at)
    if not len(steps):
        return []
    usual = np.median(steps)
    wide = np.flatnonzero(steps > GAP * usual)
    if not 0 < len(wide) <= max(3, RARE * len(steps)):
        return []
    missing = round((at[-1] - at[0]) / usual) + 1 - len(at)  # none, where only times are wrong
    if missing <= 0:
        return []
    first = float(int(at[wide[0] + 1]) * tick - start)
    return [
        f"about {missing} frames are missing in {len(wide)} places, first before {first:.2f} s; the one before is shown"
    ]


def _glances(reader: VideoReader, count: int) -> Iterator[av.VideoFrame]:
    """Yield :data:`FRAMES` frames at each of :data:`PLACES` places, or from the beginning of a short or odd file."""
    stream, places = reader.stream, PLACES if count > PLACES * FRAMES else 1
    for place in range(places):
        with suppress(av.FFmpegError, OSError):  # what is damaged is met, and counted, when it is played
            if place:
                seconds = count * place / (places * reader.rate) + reader.start
                reader.container.seek(round(seconds / stream.time_base), stream=stream)
            yield from islice(reader.container.decode(stream), FRAMES if places > 1 else PLACES * FRAMES)


def _faults(path: Path) -> Iterator[str]:
    """Decode all of a source, and say which frames have a fault."""
    if path.is_dir():
        with FolderSource(path) as source:
            for number, frame in enumerate(source.frames()):
                if frame.fault:
                    yield f"{source.files[number].name} {FAULTS[frame.fault]}"
        return
    with VideoReader(path) as reader:
        for number, shown in enumerate(play(reader)):
            if shown.fault:
                yield f"frame {number}, at {float(shown.time * tick(reader)):.2f} s, {FAULTS[shown.fault]}"
