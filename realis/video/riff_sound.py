"""Copy sound that has a RIFF tag (WMA, mu-law, ADPCM, ...) into Matroska.

Matroska holds it as ``A_MS/ACM``, and libav writes that; but PyAV asks libav for permission first, at a strictness that
admits only codecs with a name of their own in Matroska, and offers no other. It permits them in .mka, so that libav
writes the track's header there. From that header comes a stream that says TrueHD, a name of the same length, whose packets
libav copies as they are; in the finished file the name is put right.
"""

import io
from pathlib import Path

import av

NAME, STAND_IN = b"\x86\x88A_MS/ACM", b"\x86\x88A_TRUEHD"  # elements CodecID, 8 characters long
STAND_IN_CODEC = "truehd"
HEADERS = 2**24  # bytes, within which a file's tracks are described
NO_CHECKSUMS = {"write_crc32": "0"}  # of the headers: they would be wrong afterwards


class _MatroskaSound(io.BytesIO):
    name = "sound.mka"  # from which PyAV takes the format


def stand_in(stream: av.AudioStream, first: bytes) -> av.AudioStream:
    """Return the template of a Matroska track that holds ``stream`` once :func:`name_riff_sound` has named it.

    Args:
        stream: sound of any codec.
        first: content of a packet of it.

    Raises:
        av.FFmpegError, ValueError: it has no RIFF tag.
    """
    file, packet = _MatroskaSound(), av.Packet(first)
    with av.open(file, "w", options=NO_CHECKSUMS) as container:
        packet.stream, packet.pts, packet.dts = container.add_stream_from_template(stream, opaque=True), 0, 0
        container.mux(packet)
    content = file.getvalue()
    if NAME not in content[:HEADERS]:
        raise ValueError(f"{stream.codec_context.name} has no RIFF tag")
    return av.open(io.BytesIO(content.replace(NAME, STAND_IN, 1))).streams.audio[0]


def name_riff_sound(file: Path, are_stand_ins: list[bool]) -> None:
    """Give the tracks of a Matroska file that say TrueHD, and are not, their true name.

    Args:
        file: written with :data:`NO_CHECKSUMS`.
        are_stand_ins: for each track that says TrueHD whether it is one of :func:`stand_in`.
    """
    with file.open("r+b") as opened:
        start, place = opened.read(HEADERS), -1
        for is_stand_in in are_stand_ins:
            place = start.index(STAND_IN, place + 1)
            if is_stand_in:
                opened.seek(place)
                opened.write(NAME)
