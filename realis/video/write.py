"""Write a video as durable segments that are joined, without encoding again, when the last one is there.

Every segment is a file of its own with a closed group of pictures, written under a temporary name, synced and
renamed. The result appears under its final name complete or not at all.
"""

import shutil
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from realis.errors import InputError
from realis.files import sync

CONTAINERS = (".mp4", ".mkv", ".mov")
REORDER = 2  # frames by which x264 decodes ahead at most (B-frames as references, one level)
BT709 = 1  # ITU-T H.273: primaries, transfer and matrix


def check_output(output: Path) -> None:
    """Find out before any work whether ``output`` can be written.

    Raises:
        InputError: a container that is not known, or a folder that cannot be made or written to.
    """
    if output.suffix.lower() not in CONTAINERS:
        raise InputError(f"--output {output}: got the ending {output.suffix!r}, wanted {', '.join(CONTAINERS)}")
    if output.is_dir():
        raise InputError(f"--output {output}: is a folder; wanted a file name")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        probe = output.parent / f".{output.name}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written there ({error.strerror})") from error


class SegmentWriter:
    """Encode segments as H.264 and join them. A context manager: leaving it without an error finishes the video.

    Args:
        output: final file, ``.mp4``, ``.mkv`` or ``.mov``.
        size: height and width, even.
        rate: frames a second.
        crf: quality of the encoder; 0 is lossless, 18 looks so.
        preset: speed of the encoder.
    """

    def __init__(
        self, output: Path, size: tuple[int, int], rate: Fraction, crf: int = 16, preset: str = "medium"
    ) -> None:
        self.output, self.size, self.rate = Path(output), size, rate
        self.options = {"crf": str(crf), "preset": preset, "x264-params": "open-gop=0:cpu-independent=1"}
        self.parts = self.output.parent / f".{self.output.name}.parts"
        self.starts: list[tuple[Path, int]] = []

    def __enter__(self) -> "SegmentWriter":
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._join()
        finally:
            shutil.rmtree(self.parts, ignore_errors=True)

    def write(self, start: int, frames: Iterable[np.ndarray]) -> None:
        """Encode the frames from number ``start`` on, (H, W, 3) uint8 RGB each, and make them durable."""
        part = self.parts / f"{len(self.starts):06d}.mp4"
        temporary = part.with_suffix(".tmp")
        try:
            self._encode(temporary, frames)
            sync(temporary)
            temporary.rename(part)
        except (OSError, av.FFmpegError) as error:
            raise InputError(f"--output {self.output}: writing failed ({error.strerror or error})") from error
        self.starts.append((part, start))

    def _encode(self, file: Path, frames: Iterable[np.ndarray]) -> None:
        with av.open(str(file), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=self.rate, options=self.options)
            stream.height, stream.width = self.size
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = 1 / self.rate
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = ColorRange.MPEG
            for i, image in enumerate(frames):
                frame = yuv(image)
                frame.pts, frame.time_base = i, 1 / self.rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def _join(self) -> None:
        temporary = self.output.with_name(f".{self.output.name}.tmp{self.output.suffix}")
        try:
            join_segments(temporary, self.starts, self.rate)
            sync(temporary)
            temporary.rename(self.output)
        except (OSError, av.FFmpegError) as error:
            raise InputError(f"--output {self.output}: writing failed ({error.strerror or error})") from error
        finally:
            temporary.unlink(missing_ok=True)


def yuv(image: np.ndarray) -> av.VideoFrame:
    """BT.709 limited-range 4:2:0 frame of an (H, W, 3) uint8 RGB image."""
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p", src_color_range=ColorRange.JPEG, dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG, interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
    )  # fmt: skip


def join_segments(output: Path, starts: list[tuple[Path, int]], rate: Fraction) -> None:
    """Copy the packets of all segments into ``output``, each shifted to its first frame's time."""
    options = {} if output.suffix == ".mkv" else {"movflags": "+faststart"}
    with av.open(str(output), "w", options=options) as joined:
        target = None
        for part, start in starts:
            with av.open(str(part)) as container:
                source = container.streams.video[0]
                target = target or joined.add_stream_from_template(source)
                packets = (packet for packet in container.demux(source) if packet.size)
                for i, packet in enumerate(packets):
                    shown = round(packet.pts * source.time_base * rate)
                    packet.time_base = 1 / rate
                    packet.pts, packet.dts, packet.duration = start + shown, start + i - REORDER, 1
                    packet.stream = target
                    joined.mux(packet)
