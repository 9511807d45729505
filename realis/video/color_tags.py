"""How a video's numbers become colours: matrix, primaries, transfer and range, by the numbers of ITU-T H.273."""

from dataclasses import dataclass

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from realis.errors import require

UNSPECIFIED = 2
RGB, BT709, BT601 = 0, 1, 6
MATRICES = {BT709: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, BT601: Colorspace.ITU601,
            7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}  # fmt: skip
LEFT_OPEN = (RGB, UNSPECIFIED, 3)  # 3 is reserved
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
CHROMA = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
HD_LINES = 720  # from here on players take an untagged video for BT.709


@dataclass(frozen=True)
class ColorTags:
    """What a video says of its colours; ``matrix`` is never RGB nor unspecified: it is the one to store YCbCr with."""

    primaries: int
    transfer: int
    matrix: int

    @property
    def hdr(self) -> str:
        """``PQ``, ``HLG``, or nothing."""
        return HDR_TRANSFERS.get(self.transfer, "")


def guessed_matrix(height: int) -> int:
    """The matrix that players take where a file names none."""
    return BT709 if height >= HD_LINES else BT601


def tags_of(frame: av.VideoFrame, lines: int) -> ColorTags:
    """The tags of a decoded frame of a video of so many ``lines``; what they leave open is taken as players guess.

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


def to_rgb(frame: av.VideoFrame, form: str, lines: int) -> av.VideoFrame:
    """``frame`` in the full-range RGB pixel format ``form``, by its own matrix and range."""
    full = frame.color_range == ColorRange.JPEG
    return frame.reformat(
        format=form,
        src_colorspace=MATRICES[tags_of(frame, lines).matrix],
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=CHROMA,
    )


def to_ycbcr(frame: av.VideoFrame, form: str, matrix: int) -> av.VideoFrame:
    """A full-range RGB ``frame`` in the limited-range YCbCr pixel format ``form``."""
    return frame.reformat(
        format=form,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=MATRICES[matrix],
        dst_color_range=ColorRange.MPEG,
        interpolation=CHROMA,
    )
