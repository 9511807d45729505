"""Convert between YCbCr and RGB by a video's colour tags: matrix, primaries, transfer, range (codes of ITU-T H.273)."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.filter import Graph
from av.video.reformatter import ColorRange

from realis.core.errors import require

UNSPECIFIED = 2
RGB, BT709, BT601, BT2020 = 0, 1, 6, 9
MATRICES = {
    BT709: "bt709",
    4: "fcc",
    5: "bt470bg",
    BT601: "smpte170m",
    7: "smpte240m",
    BT2020: "bt2020",
}  # FFmpeg's names
LEFT_OPEN = (RGB, UNSPECIFIED, 3)  # 3 is reserved
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
CHROMA = "flags=bicubic+accurate_rnd+full_chroma_int"
# Where chroma samples lie in 4:2:0. PyAV does not expose what a file says, so the convention of its codec is assumed:
# centred between four pixels for these; on a line for BT.2020 ("topleft"); else between two lines ("left").
CENTRED = ("mjpeg", "webp", "mpeg1video")
HD_LINES = 720  # from here on players take an untagged video for BT.709


@dataclass(frozen=True)
class ColorTags:
    """Colour tags of a video. ``matrix`` is the one to store YCbCr with, so never RGB nor unspecified."""

    primaries: int
    transfer: int
    matrix: int

    @property
    def hdr(self) -> str:
        """``PQ``, ``HLG``, or nothing."""
        return HDR_TRANSFERS.get(self.transfer, "")


def guessed_matrix(height: int) -> int:
    """Return the matrix that players assume for a file that names none."""
    return BT709 if height >= HD_LINES else BT601


def tags_of(frame: av.VideoFrame, lines: int) -> ColorTags:
    """Return the tags of a decoded frame of a video ``lines`` high. Unspecified ones are what players assume.

    Raises:
        InputError: its colours are stored in a way that libswscale does not know, such as ICtCp or YCgCo.
    """
    primaries, transfer = (
        BT709 if int(tag) in (0, UNSPECIFIED) else int(tag) for tag in (frame.color_primaries, frame.color_trc)
    )
    matrix = int(frame.colorspace)
    known = matrix in MATRICES or matrix in LEFT_OPEN
    require(
        known, "colours", f"matrix {matrix} of ITU-T H.273", "RGB or one of BT.601, 709, 2020 (9), 240M; convert it"
    )
    return ColorTags(primaries, transfer, matrix if matrix in MATRICES else guessed_matrix(lines))


def to_rgb(frame: av.VideoFrame, pixel_format: str, lines: int, codec: str) -> av.VideoFrame:
    """Convert ``frame``, decoded by ``codec``, to a full-range RGB ``pixel_format``, by its own matrix and range."""
    matrix = tags_of(frame, lines).matrix
    full = "pc" if frame.color_range == ColorRange.JPEG else "tv"
    place = "center" if codec in CENTRED else "topleft" if matrix == BT2020 else "left"
    return convert(
        frame, pixel_format, f"in_color_matrix={MATRICES[matrix]}:in_range={full}:in_chroma_loc={place}:out_range=pc"
    )


def to_ycbcr(frame: av.VideoFrame, pixel_format: str, matrix: int) -> av.VideoFrame:
    """Convert a full-range RGB ``frame`` to a limited-range YCbCr ``pixel_format``."""
    place = "topleft" if matrix == BT2020 else "left"
    options = f"in_range=pc:out_color_matrix={MATRICES[matrix]}:out_range=tv:out_chroma_loc={place}"
    return convert(frame, pixel_format, options)


def convert(frame: av.VideoFrame, pixel_format: str, options: str) -> av.VideoFrame:
    """Convert ``frame`` to ``pixel_format`` by libavfilter's ``scale`` with ``options``.

    ``VideoFrame.reformat`` takes all chroma samples for centred, which shifts colours by a quarter of a chroma sample.
    The filter is not kept: it has threads, which a forked process would wait for forever.
    """
    graph = Graph()
    begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    graph.link_nodes(begin, graph.add("scale", f"{options}:{CHROMA}"), graph.add("format", pixel_format),
                     graph.add("buffersink")).configure()  # fmt: skip
    graph.push(frame)
    return graph.vpull()
