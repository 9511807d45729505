"""Find out how much before a part of a video need not be decoded: up to a key frame at which a decoder begins anew.

The file is still read from its beginning, packet by packet: searching in it would rely on its index, and times that a
demuxer guesses would be others.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from realis.video.playback import film_packets, is_timed
from realis.video.read import VideoReader

# After so many frames nothing of what came before the key frame matters: they are more than are reordered, looked at
# ahead, within which an error counts, and which a deinterlacer sees.
LEAD = 48
# Codecs whose key frames all let go of everything before. Those of MPEG-2 and MPEG-4 may be followed by frames that lean
# on what was before, and in H.264 and HEVC only some let go.
WITH_CLEAN_KEYS = ("av1", "dnxhd", "ffv1", "mjpeg", "prores", "vp8", "vp9")
START_CODE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
# Codec: kinds of units of key frames that let go, and of the header that they need; the byte of a container's
# configuration that says how long lengths are; how the kind is read from a unit's first byte
NAL_UNITS: dict[str, tuple[set[int], int, int, Callable[[int], int]]] = {
    "h264": ({5}, 7, 4, lambda byte: byte & 31),
    "hevc": ({16, 17, 18, 19, 20, 21}, 33, 21, lambda byte: byte >> 1 & 63),
}


def first_needed(path: Path, start: Fraction) -> int:
    """Return the number of the packet of the film from which on it has to be decoded, so that the frames from ``start``
    on, in seconds of ``VideoReader.start``, are as if all had been; 0 where that is not certain."""
    keys, latest, count = [0], -1.0, 0
    with VideoReader(path) as reader:
        if not is_timed(reader):
            return 0
        stop = (reader.start + start) / reader.time_base
        for count, packet in enumerate(film_packets(reader)):
            if packet.pts is None:
                return 0
            if packet.dts is not None and packet.dts >= stop:
                break
            # a time before it that is later would move those after it
            if packet.is_keyframe and packet.pts > latest and lets_go(packet, reader.stream.codec_context):
                keys.append(count)
            latest = max(latest, packet.pts)
    return max(key for key in keys if key <= max(0, count - LEAD))


def lets_go(packet: av.Packet, codec: av.CodecContext) -> bool:
    """Whether nothing from a key frame on refers to what is before it."""
    if codec.name not in NAL_UNITS:
        return codec.name in WITH_CLEAN_KEYS
    clean, header, length_at, kind_of = NAL_UNITS[codec.name]
    data, config = bytes(packet), codec.extradata or b""
    # as in .mp4 and .mkv: each unit follows on its length, and headers are in the configuration
    if config[:1] == b"\1":
        return any(kind_of(data[place]) in clean for place in unit_places(data, 1 + (config[length_at] & 3)))
    kinds = {kind_of(match[1][0]) for match in START_CODE.finditer(data)}
    return header in kinds and not clean.isdisjoint(kinds)


def unit_places(data: bytes, width: int) -> Iterator[int]:
    """Yield where the units in a packet begin, each after its length of ``width`` bytes."""
    place = width
    while place < len(data):
        yield place
        place += int.from_bytes(data[place - width : place], "big") + width
