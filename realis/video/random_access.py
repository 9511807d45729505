"""Find the random access point from which a part of a video can be decoded, so that what is before it is skipped.

The file is still read from its beginning, packet by packet: a seek would rely on its index, and would change the times
that a demuxer guesses.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from realis.video.playback import film_packets, is_timed
from realis.video.read import VideoReader

# Frames after a random access point before the part begins. They are more than a decoder reorders, than playback looks
# ahead and counts after an error, and than a deinterlacer looks back.
LEAD = 48
# Codecs whose key frames all are random access points. After those of MPEG-2 and MPEG-4 may come frames that refer to
# earlier ones (open GOPs), and in H.264 and HEVC only some are (IDR; BLA, IDR and CRA).
ALWAYS_RANDOM_ACCESS = ("av1", "dnxhd", "ffv1", "mjpeg", "prores", "vp8", "vp9")
START_CODE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
# Codec: types of NAL units that are random access points, and of the parameter set that they need; the byte of the
# container's configuration that says how long lengths are; how the type is read from the first byte of a unit
NAL_UNITS: dict[str, tuple[set[int], int, int, Callable[[int], int]]] = {
    "h264": ({5}, 7, 4, lambda byte: byte & 31),
    "hevc": ({16, 17, 18, 19, 20, 21}, 33, 21, lambda byte: byte >> 1 & 63),
}


def first_needed(path: Path, start: Fraction) -> int:
    """Return the number of the first packet to decode for the frames from ``start`` on, in seconds from
    ``VideoReader.start``, to be as if all packets were decoded; 0 if that is not certain."""
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
            # a later time before the key frame would move those after it
            is_candidate = packet.is_keyframe and packet.pts > latest
            if is_candidate and is_random_access_point(packet, reader.stream.codec_context):
                keys.append(count)
            latest = max(latest, packet.pts)
    return max(key for key in keys if key <= max(0, count - LEAD))


def is_random_access_point(packet: av.Packet, codec: av.CodecContext) -> bool:
    """Whether a key frame and all frames after it refer to nothing before it."""
    if codec.name not in NAL_UNITS:
        return codec.name in ALWAYS_RANDOM_ACCESS
    random_access, header, length_at, type_of = NAL_UNITS[codec.name]
    data, config = bytes(packet), codec.extradata or b""
    # in .mp4 and .mkv, units are preceded by their lengths, and parameter sets are in the configuration
    if config[:1] == b"\1":
        return any(type_of(data[place]) in random_access for place in unit_places(data, 1 + (config[length_at] & 3)))
    types = {type_of(match[1][0]) for match in START_CODE.finditer(data)}
    return header in types and not random_access.isdisjoint(types)


def unit_places(data: bytes, width: int) -> Iterator[int]:
    """Yield the offsets of the NAL units in a packet, each after its length of ``width`` bytes."""
    place = width
    while place < len(data):
        yield place
        place += int.from_bytes(data[place - width : place], "big") + width
