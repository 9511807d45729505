"""Pictures beside a result: a sheet of one frame, a video of both halves."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from realis.video.encoding import Encoding
from realis.video.sheet import before_after_sheet, save_sheet
from realis.video.source import TimedFrame, open_source
from realis.video.write import SegmentWriter

if TYPE_CHECKING:
    import numpy as np
    import torch

AT_A_TIME = 16  # frames of the video


def save_before_after(source: Path, output: Path, number: int, picture: Path) -> None:
    """A sheet of frame ``number`` (or the last one before it), resized bicubically and as it is in the result."""
    (pair,) = deque(islice(pairs(source, output), number + 1), maxlen=1)
    save_sheet(before_after_sheet(*alike(*pair), ("bicubic", "realis")), picture)


def save_comparison(source: Path, output: Path, file: Path) -> None:
    """A video of the result's size: bicubic on the left half, the result on the right, a white line between them."""
    with open_source(output) as result:
        (height, width), rate = result.look.size, result.rate
    size = (height // 2 * 2, width // 2 * 2)
    with SegmentWriter(file, size, Fraction(rate), Encoding(color=result.look.color)) as sink:
        images = halves(source, output, size)
        for number, chunk in enumerate(iter(lambda: list(islice(images, AT_A_TIME)), [])):
            sink.write(number * AT_A_TIME, chunk)


def halves(source: Path, output: Path, size: tuple[int, int]) -> "Iterator[np.ndarray]":
    """The frames of the comparison, (H, W, 3) uint8."""
    middle = size[1] // 2
    for pair in pairs(source, output):
        before, after = alike(*pair)
        both = after[: size[0], : size[1]].copy()
        both[:, :middle] = before[: size[0], :middle]
        both[:, middle - 1 : middle + 1] = 255
        yield both


def pairs(source: Path, output: Path) -> Iterator[tuple[TimedFrame, TimedFrame]]:
    """Each frame, and the same one in the result."""
    with open_source(source) as before, open_source(output) as after:
        yield from zip(before.frames(), after.frames(), strict=False)


def alike(small: TimedFrame, large: TimedFrame) -> "tuple[np.ndarray, np.ndarray]":
    """A frame resized bicubically to the result's size, and as it is in the result, (H, W, 3) uint8."""
    from realis.ops.resize import resize

    bicubic = resize(as_tensor(small), large.rgb.shape[:2]).clamp(0, 1)
    return to_uint8(bicubic), to_uint8(as_tensor(large).clamp(0, 1))


def as_tensor(frame: TimedFrame) -> "torch.Tensor":
    """The colours of a frame, (3, H, W) float32; 1 is white."""
    import torch

    return torch.from_numpy(frame.rgb).permute(2, 0, 1).float() / frame.white


def to_uint8(frame: "torch.Tensor") -> "np.ndarray":
    """(3, H, W) float in [0, 1] -> (H, W, 3) uint8, rounded."""
    return (frame * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
