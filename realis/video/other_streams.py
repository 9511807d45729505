"""Find the streams that can be copied from a source beside its film: sound, subtitles, attachments, cover pictures.

The film is the video stream that is upscaled (:func:`realis.video.read.film_stream`).
"""

import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream

from realis.video.read import film_stream, open_media
from realis.video.riff_sound import STAND_IN_CODEC, stand_in

FORMATS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}
# Attachments that Matroska players show as cover pictures, by codec: ending, media type
COVERS = {
    "mjpeg": ("jpg", "image/jpeg"),
    "png": ("png", "image/png"),
    "gif": ("gif", "image/gif"),
    "tiff": ("tif", "image/tiff"),
}
# Languages with two codes in ISO 639-2, of which libav's .mov muxer knows only the other
QUICKTIME_LANGUAGES = {
    "bod": "tib", "cym": "wel", "cze": "ces", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per", "fre": "fra",
    "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac", "msa": "may", "mya": "bur", "nld": "dut", "rum": "ron",
    "slo": "slk", "sqi": "alb", "zho": "chi",
}  # fmt: skip


@dataclass(frozen=True)
class OtherStream:
    """A stream of a source, and how it is copied into one kind of file.

    Args:
        stream: of the source.
        first: content of its first packet if it is sound or a cover picture; else empty.
        template: of the copy: ``stream``, or its stand-in of :mod:`~realis.video.riff_sound`.
    """

    stream: Stream
    first: bytes
    template: Stream

    @property
    def is_cover(self) -> bool:
        """Whether it is a cover picture."""
        return is_cover(self.stream)

    @property
    def is_stand_in(self) -> bool:
        """Whether :func:`~realis.video.riff_sound.name_riff_sound` has to name the copy."""
        return self.template is not self.stream

    @property
    def says_truehd(self) -> bool:
        """Whether the copy is named TrueHD, as stand-ins are too."""
        return self.template.type == "audio" and name_of(self.template) == STAND_IN_CODEC

    def add_to(self, joined: OutputContainer) -> Stream:
        """Add a copy of the stream, still without packets, to ``joined``.

        Raises:
            av.FFmpegError, KeyError, ValueError: the container cannot hold it.
        """
        if self.is_cover:
            return self._add_cover(joined)
        copy = joined.add_stream_from_template(self.template, opaque=True)
        copy_tags(self.stream, copy)
        copy.disposition = self.stream.disposition
        if isinstance(copy, av.AudioStream) and copy.codec_context.channels in (1, 2):
            # the layout: some containers do not store it, and others require it
            copy.codec_context.layout = ("mono", "stereo")[copy.codec_context.channels - 1]
        return copy

    def _add_cover(self, joined: OutputContainer) -> Stream:
        if joined.format.name == FORMATS[".mkv"]:
            ending, media_type = COVERS[name_of(self.stream)]
            return joined.add_attachment(
                self.stream.metadata.get("filename", f"cover.{ending}"), media_type, self.first
            )
        if joined.format.name == FORMATS[".mov"]:
            raise ValueError("libav takes cover pictures for .mov, but does not write them")
        copy = joined.add_stream_from_template(self.stream, opaque=True)
        copy_tags(self.stream, copy)
        copy.disposition = Disposition.attached_pic  # and no other flag: libav compares for equality
        return copy

    def first_packets(self, copy: Stream) -> list[av.Packet]:
        """Return the first packet for ``copy``, at time 0, if there is one: attachments are part of the header."""
        if not self.first or copy.type == "attachment":
            return []
        packet = av.Packet(self.first)
        packet.stream, packet.is_keyframe = copy, True
        packet.pts, packet.dts, packet.time_base = 0, 0, Fraction(1, 1000)
        return [packet]

    def is_written(self, ending: str) -> bool:
        """Whether libav writes a trial file with ``ending`` that holds only this stream and its first packet."""
        try:
            with av.open(io.BytesIO(), "w", format=FORMATS[ending]) as trial:
                copy = self.add_to(trial)
                trial.start_encoding()
                trial.mux(self.first_packets(copy))
            return True
        except (FFmpegError, KeyError, ValueError):
            return False


def copy_tags(stream: Stream, copy: Stream, untrue: tuple[str, ...] = ()) -> None:
    """Copy the metadata of ``stream``, except tags whose name, in lower case, begins with one of ``untrue``."""
    tags = {key: value for key, value in stream.metadata.items() if not key.lower().startswith(untrue)}
    if copy.container.format.name == FORMATS[".mov"] and "language" in tags:
        tags["language"] = QUICKTIME_LANGUAGES.get(tags["language"], tags["language"])
    copy.metadata.update(tags)


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a cover picture, and not the film."""
    return bool(stream.disposition & Disposition.attached_pic)


def name_of(stream: Stream) -> str:
    """Return the name of the codec, of an attached file, or of the handler of a data track."""
    if stream.codec_context:
        return stream.codec_context.name
    return getattr(stream, "name", None) or stream.metadata.get("handler_name", "unknown").strip()


def first_contents(container: InputContainer) -> dict[int, bytes]:
    """Return the contents of the first packets of sound and cover pictures, by stream."""
    streams = [stream for stream in container.streams if stream.type == "audio" or is_cover(stream)]
    found: dict[int, bytes] = {}
    with suppress(FFmpegError):  # damage is reported when the file is decoded
        for packet in container.demux(streams) if streams else ():
            if packet.size and packet.stream_index not in found:
                found[packet.stream_index] = bytes(packet)
            if len(found) == len(streams):
                break
    return found


def copyable_stream(stream: Stream, first: bytes, ending: str) -> OtherStream | None:
    """Find by trial how ``stream`` is copied into a file with ``ending``; ``None`` if that cannot hold it."""
    if stream.type not in ("audio", "subtitle", "attachment") and not is_cover(stream):
        return None
    plain = OtherStream(stream, first, stream)
    if plain.is_written(ending):
        return plain
    if ending == ".mkv" and isinstance(stream, av.AudioStream) and first:
        with suppress(FFmpegError, ValueError):
            renamed = OtherStream(stream, first, stand_in(stream, first))
            return renamed if renamed.is_written(ending) else None
    return None


def copyable_streams(container: InputContainer, ending: str) -> list[OtherStream]:
    """Return all streams beside the film that a file with ``ending`` can hold. Reads packets of ``container``."""
    firsts = first_contents(container)
    found = (copyable_stream(stream, firsts.get(stream.index, b""), ending) for stream in container.streams)
    return [other for other in found if other]


def dropped_streams(source: Path, output: Path, endings: Iterable[str]) -> list[str]:
    """Say which streams of ``source`` the result cannot have, why, and what would keep them: a line for each reason.

    Args:
        source: a video.
        output: the result.
        endings: those that its codec allows.
    """
    with open_media(source) as container:
        firsts, film, ending = first_contents(container), film_stream(container), output.suffix.lower()
        lost: dict[str, list[Stream]] = {}
        for stream in container.streams:
            first = firsts.get(stream.index, b"")
            if stream is film or copyable_stream(stream, first, ending) or is_copied_otherwise(stream, film, container):
                continue
            keep = [output.with_suffix(e).name for e in FORMATS if e in endings and copyable_stream(stream, first, e)]
            lost.setdefault(why_lost(stream, ending, keep), []).append(stream)
        sound = {*container.streams.audio}
        silent = bool(sound) and sound <= {*chain(*lost.values())}
        lines = []
        for why, streams in lost.items():
            named = ", ".join(f"stream {stream.index} ({stream.type}, {name_of(stream)})" for stream in streams)
            alone = "; the result will have no sound" if silent and sound & {*streams} else ""
            lines.append(f"left out: {named}: {why}{alone}")
        return lines


def is_copied_otherwise(stream: Stream, film: av.VideoStream | None, container: InputContainer) -> bool:
    """Whether it is a data track whose content is copied in another way: titles of chapters, timecode of the film."""
    has_timecode = film is not None and "timecode" in stream.metadata and "timecode" in film.metadata
    return stream.type == "data" and (has_timecode or bool(container.chapters()))


def why_lost(stream: Stream, ending: str, keep: list[str]) -> str:
    """Say why a result with ``ending`` lacks ``stream``, and name the first of the files that would ``keep`` it."""
    if stream.type == "video" and not is_cover(stream):
        return "only one video stream is upscaled"
    if stream.type == "data":
        return "data tracks are not copied"
    return f"{ending} cannot hold this" + (f", --output {keep[0]} would" if keep else "")
