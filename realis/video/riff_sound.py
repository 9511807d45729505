"""Copy sound that has a RIFF tag (WMA, mu-law, ADPCM, ...) into Matroska.

Matroska stores it as ``A_MS/ACM``, and libav can write that; but PyAV first asks libav whether the container takes the
codec, at a strictness that admits only codecs with a name of their own in Matroska. In .mka it admits these, so that
libav writes the track's header there. That header, renamed to TrueHD, a name of the same length, gives a stand-in
stream, whose packets libav copies as they are. In the finished file the name is corrected.
"""

import io
from pathlib import Path

import av

NAME, STAND_IN = b"\x86\x88A_MS/ACM", b"\x86\x88A_TRUEHD"  # elements CodecID, 8 characters long
STAND_IN_CODEC = "truehd"
HEADERS = 2**24  # bytes at the beginning of a file that hold the headers of its tracks
NO_CHECKSUMS = {"write_crc32": "0"}  # of the headers: renaming would make them wrong


class _MatroskaSound(io.BytesIO):
    name = "sound.mka"  # PyAV takes the format from its ending


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
    """Give the stand-ins among the TrueHD tracks of a Matroska file their true name.

    Args:
        file: written with :data:`NO_CHECKSUMS`.
        are_stand_ins: for each TrueHD track whether it came from :func:`stand_in`.
    """
    with file.open("r+b") as opened:
        start, place = opened.read(HEADERS), -1
        for is_stand_in in are_stand_ins:
            place = start.index(STAND_IN, place + 1)
            if is_stand_in:
                opened.seek(place)
                opened.write(NAME)
