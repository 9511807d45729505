"""Which way up a frame is shown: cameras that were turned store it as the sensor saw it, with a display matrix."""

import av
import numpy as np

from realis.core.errors import InputError
from realis.video.read import VideoReader
from realis.video.side_data import WITH_PROFILES

Window = tuple[int, int, int, int]  # top, left, height, width


def quarter_turns(frame: av.VideoFrame) -> int:
    """Quarter turns to the left by which the container wants a frame shown (0 to 3)."""
    return round(frame.rotation / 90) % 4


def check_upright(frame: av.VideoFrame, reader: VideoReader) -> None:
    """Make sure that :func:`quarter_turns` are all that the container wants done to a frame.

    Raises:
        InputError: it wants it mirrored, or turned by another angle.
    """
    if reader.stream.codec_context.name in WITH_PROFILES:
        return
    try:
        matrix = frame.side_data["DISPLAYMATRIX"]  # pyright: ignore[reportGeneralTypeIssues] - PyAV's stub
    except (KeyError, ValueError):  # none, or one kind of side data that PyAV does not know hides all
        return
    (a, b, _), (c, d, _), _ = np.frombuffer(matrix, "<i4").reshape(3, 3).astype(float)
    if a * d < b * c or frame.rotation % 90:
        how = "mirrored" if a * d < b * c else f"turned by {frame.rotation} degrees"
        raise InputError(f"{reader.path}: is to be shown {how}; encode it as it should look")


def stored_window(shown: Window, size: tuple[int, int], turns: int) -> Window:
    """Where a window of an upright picture lies in the stored one.

    Args:
        shown: the window.
        size: height and width of the upright picture.
        turns: quarter turns to the left from stored to upright (:func:`quarter_turns`).

    >>> stored_window((0, 0, 10, 20), (160, 90), turns=1)  # the top of the upright picture was stored on the right
    (0, 150, 20, 10)
    """
    top, left, height, width = shown
    for _ in range(turns):  # one turn back to the right at a time
        top, left, height, width = left, size[0] - top - height, width, height
        size = size[1], size[0]
    return top, left, height, width
