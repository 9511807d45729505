"""Encode frames: the codecs, and the choice of codec, bit depth, quality and pixel format for a result."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.reformatter import ColorRange

from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.ops.reproducible import BITEXACT, X264, X265
from realis.video.color_tags import BT709, RGB, ColorTags, to_ycbcr
from realis.video.source import VideoFormat

CodecName = Literal["h264", "h265", "av1", "ffv1", "prores", "png"]
SDR = ColorTags(BT709, BT709, BT709)
IN_MP4 = (65534, 65534)  # .mp4 and .mov store height and width as 16-bit numbers, and they must be even
# Of (height + 128) x (width + 128): Pillow opens no larger image, and libavcodec decodes up to 2**28
MOST_PIXELS = 178_956_970
H264_SIDE, H264_PIXELS = 4096, 4096 * 2304  # of level 5.2: few phones, televisions and browsers decode more
RGB_PREFIXES = ("bgr", "gbr", "rgb")  # of the names of pixel formats that hold RGB


@dataclass(frozen=True)
class Codec:
    """One way to store frames.

    Args:
        encoder: libavcodec's name.
        bits: about how many a pixel takes at the default quality and 8 bits per component.
        pixel_formats: (bits per component, with alpha) -> pixel format.
        endings: of files that can hold it; an empty one is a folder of images.
        crf: the default quality; ``None``: the codec has no such setting.
        worst: the highest ``crf``.
        options: for the encoder; they ask for closed GOPs, so that segments can be joined.
        tag: the FourCC in .mp4 and .mov, if players do not accept libavformat's.
        largest: most height and width of the encoder, or of its container; ``None``: only :data:`MOST_PIXELS`.
        smallest: least height and width.
    """

    encoder: str
    bits: float
    pixel_formats: dict[tuple[int, bool], str]
    endings: tuple[str, ...]
    crf: int | None = None
    worst: int = 51
    options: dict[str, str] = field(default_factory=dict)
    tag: str = ""
    largest: tuple[int, int] | None = None
    smallest: int = 1

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether frames of ``size`` (height, width) can be encoded."""
        return all(self.smallest <= side <= most for side, most in zip(size, self.largest or size, strict=True))


CODECS: dict[str, Codec] = {
    "h264": Codec(
        "libx264", 0.3, {(8, False): "yuv420p"}, (".mp4", ".mkv", ".mov"), 16,
        options={"preset": "medium", "x264-params": f"open-gop=0:{X264}"}, largest=(16384, 16384), smallest=2,
    ),
    "h265": Codec(
        "libx265", 0.2, {(8, False): "yuv420p", (10, False): "yuv420p10le"}, (".mp4", ".mkv", ".mov"), 18,
        options={"preset": "medium", "x265-params": f"open-gop=0:{X265}"}, tag="hvc1",
        largest=IN_MP4, smallest=32,  # x265 refuses long frames of less
    ),
    "av1": Codec(
        "libsvtav1", 0.15, {(8, False): "yuv420p", (10, False): "yuv420p10le"}, (".mp4", ".mkv"), 24, 63, {"preset": "7"},
        largest=(8704, 16384), smallest=32,  # with less SVT-AV1 hangs if frames are long: 128x16
    ),
    "ffv1": Codec(
        "ffv1", 12,
        {(8, False): "bgr0", (8, True): "bgra", (10, False): "gbrp10le", (12, False): "gbrp12le",
         (16, False): "gbrp16le", (16, True): "gbrap16le"},
        (".mkv",), options={"level": "3", "g": "1"}, smallest=2,
    ),
    "prores": Codec("prores_ks", 3, {(10, False): "yuv422p10le", (10, True): "yuva444p10le"}, (".mov",), largest=IN_MP4, smallest=2),
    "png": Codec(
        "png", 14, {(8, False): "rgb24", (8, True): "rgba", (16, False): "rgb48be", (16, True): "rgba64be"}, (".png", "")
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """A codec and how it is used.

    Args:
        codec: one of :data:`CODECS`.
        depth: bits of a component, one that the codec has.
        alpha: whether frames have a fourth channel.
        color: what the colours mean.
        crf: quality; lower is better; -1: the codec's usual one.
    """

    codec: CodecName = "h264"
    depth: int = 8
    alpha: bool = False
    color: ColorTags = SDR
    crf: int = -1

    @property
    def pixel_format(self) -> str:
        """The pixel format, by libavutil's name."""
        return CODECS[self.codec].pixel_formats[self.depth, self.alpha]

    @property
    def bits_per_pixel(self) -> float:
        """About how many bits typical footage takes: twice as many for every 6 below the default ``crf``."""
        codec = CODECS[self.codec]
        better = codec.crf - self.crf if codec.crf is not None and self.crf >= 0 else 0
        return codec.bits * self.depth / 8 * 2 ** (better / 6)

    @property
    def is_rgb(self) -> bool:
        """Whether it is stored as RGB: a change to YCbCr loses some."""
        return self.pixel_format.startswith(RGB_PREFIXES)

    @property
    def white(self) -> int:
        """The level of white in the arrays that :meth:`frame` takes, as libswscale has it for 8 bits, RGB and YCbCr."""
        return 255 if self.depth == 8 else 65535 if self.is_rgb else 255 << 8

    def check_size(self, size: tuple[int, int]) -> None:
        """Make sure that frames of ``size`` (height, width) can be encoded; warn if few devices can play them.

        Raises:
            InputError: too large or too small for the codec.
        """
        (height, width), codec = size, CODECS[self.codec]
        if (height + 128) * (width + 128) > MOST_PIXELS:
            raise InputError(
                f"--target: {width}x{height} is too large; wanted up to about {MOST_PIXELS / 1e6:.0f} million pixels"
            )
        if not codec.takes(size):
            most = f"{codec.largest[1]}x{codec.largest[0]}" if codec.largest else "any size"
            others = " or ".join(name for name, other in CODECS.items() if other.takes(size))
            raise InputError(f"--target: {width}x{height} is too {'small' if min(size) < codec.smallest else 'large'} for "
                             f"{self.codec}, wanted {codec.smallest}x{codec.smallest} to {most}, or --codec {others}")  # fmt: skip
        if self.codec == "h264" and (height * width > H264_PIXELS or max(size) > H264_SIDE):
            logger.warning("%dx%d is above level 5.2 of H.264: VLC, mpv and ffmpeg play that, most browsers, televisions and "
                           "phones do not; --codec h265 or av1 makes files for these", width, height)  # fmt: skip

    def frame(self, image: np.ndarray) -> av.VideoFrame:
        """Convert an RGB(A) image (H, W, 3 or 4), uint8 or uint16 up to :attr:`white`, to a frame for the encoder."""
        wide = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}
        frame = av.VideoFrame.from_ndarray(image, format=wide[image.itemsize, image.shape[2]])
        pixel_format = self.pixel_format
        frame = frame.reformat(format=pixel_format) if self.is_rgb else to_ycbcr(frame, pixel_format, self.color.matrix)
        frame.color_primaries, frame.color_trc = self.color.primaries, self.color.transfer
        frame.colorspace = RGB if self.is_rgb else self.color.matrix
        frame.color_range = ColorRange.JPEG if self.is_rgb else ColorRange.MPEG
        return frame

    def set_up(self, context: av.VideoCodecContext, size: tuple[int, int], rate: Fraction) -> None:
        """Prepare an encoder for frames of ``size`` (height, width)."""
        codec = CODECS[self.codec]
        context.height, context.width = size
        context.pix_fmt, context.time_base, context.framerate = self.pixel_format, 1 / rate, rate
        context.options = codec.options | (
            {} if codec.crf is None else {"crf": str(codec.crf if self.crf < 0 else self.crf)}
        )
        if codec.encoder == "prores_ks":
            context.options = {"profile": "4444" if self.alpha else "hq", "vendor": "apl0"}
        context.color_primaries, context.color_trc = self.color.primaries, self.color.transfer
        context.colorspace = RGB if self.is_rgb else self.color.matrix
        context.color_range = ColorRange.JPEG if self.is_rgb else ColorRange.MPEG

    def write_video(self, file: Path, size: tuple[int, int], rate: Fraction, images: Iterable[np.ndarray]) -> None:
        """Encode ``images`` into a file of their own, frame i at time i / ``rate``."""
        codec = CODECS[self.codec]
        container_format = {"ffv1": "matroska", "prores": "mov"}.get(self.codec, "mp4")
        with av.open(str(file), "w", format=container_format, options=BITEXACT) as container:
            stream = container.add_stream(codec.encoder, rate=rate)
            assert isinstance(stream, av.VideoStream)
            self.set_up(stream.codec_context, size, rate)
            if codec.tag:
                stream.codec_context.codec_tag = codec.tag
            for i, image in enumerate(images):
                frame = self.frame(image)
                frame.pts, frame.time_base = i, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def images(self, size: tuple[int, int], images: Iterable[np.ndarray]) -> Iterator[bytes]:
        """Yield each of ``images`` encoded, as the bytes of a file."""
        for image in images:
            context = av.CodecContext.create(CODECS[self.codec].encoder, "w")
            assert isinstance(context, av.VideoCodecContext)
            self.set_up(context, size, Fraction(25))
            yield b"".join(bytes(packet) for packet in (*context.encode(self.frame(image)), *context.encode(None)))


def choose_encoding(
    output: Path, codec: str, depth: int, crf: int, video_format: VideoFormat, drop_alpha: bool
) -> Encoding:
    """Choose the encoding of ``output`` for a source of this format.

    Args:
        output: its ending limits the codecs.
        codec: a name of :data:`CODECS`; or ``auto``: PNG for images, H.264, and H.265 for more than 8 bits.
        depth: bits; 0: those of the source, or the nearest that the codec has.
        crf: quality, or -1.
        video_format: of the source.
        drop_alpha: discard transparency.

    Raises:
        InputError: ending and codec, or codec and depth, do not go together; transparency or HDR would be lost.
    """
    ending = output.suffix.lower()
    if codec == "auto":
        deep = (depth or video_format.depth) > 8
        codec = "png" if ending in CODECS["png"].endings else "h265" if deep else "h264"
    chosen = CODECS[codec]
    if ending not in chosen.endings:
        fitting = ", ".join(end or "a folder" for end in chosen.endings)
        raise InputError(f"--output {output}: got the ending {ending!r} for {codec}, wanted {fitting}")
    if crf >= 0 and chosen.crf is None:
        raise InputError(f"--crf: got {crf}, but {codec} has no such setting; leave it out")
    require(crf <= chosen.worst, "--crf", crf, f"0 to {chosen.worst} with {codec}")
    keeps = any(alpha for _, alpha in chosen.pixel_formats)
    alpha = video_format.alpha and keeps and not drop_alpha
    if video_format.alpha and not video_format.opaque and not keeps and not drop_alpha:
        raise InputError(f"--output {output}: the input is transparent in places, and {codec} has no transparency; choose "
                         "--codec prores (.mov) or ffv1 (.mkv), PNG images, or --drop-alpha")  # fmt: skip
    if video_format.unread_alpha and not drop_alpha:
        raise InputError(f"--output {output}: the input has the transparency of VP8 or VP9, which is not read here; convert it "
                         "to ProRes 4444 or PNG images, or give --drop-alpha")  # fmt: skip
    depths = sorted({bits for bits, with_alpha in chosen.pixel_formats if with_alpha == alpha})
    if depth and depth not in depths:
        raise InputError(f"--depth: got {depth}, wanted {' or '.join(map(str, depths))} with {codec}")
    depth = depth or next((bits for bits in depths if bits >= video_format.depth), depths[-1])
    if video_format.color.hdr and depth == 8:
        raise InputError(f"--codec {codec}: the input is HDR ({video_format.color.hdr}), which 8 bits cannot show without bands; "
                         "choose --codec h265, av1, prores or ffv1 with 10 bits")  # fmt: skip
    return Encoding(codec, depth, alpha, video_format.color, crf)  # pyright: ignore[reportArgumentType]
