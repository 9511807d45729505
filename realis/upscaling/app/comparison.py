"""Comparisons of a result with bicubic: a before/after sheet of one frame, and a split-screen video (``--compare``)."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.core.errors import InputError
from realis.core.records import digest
from realis.pictures.sheet import before_after_sheet, read_subject, save_sheet
from realis.upscaler import Needs
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.frames import as_tensor, quantize
from realis.video.color_tags import ColorTags
from realis.video.encoding import Encoding
from realis.video.finished import note_result
from realis.video.results import sheet_file
from realis.video.source import TimedFrame, open_source
from realis.video.write import SegmentWriter

if TYPE_CHECKING:
    import torch

CHUNK = 16  # frames of the comparison that are encoded at a time


def check_sheet(output: Path) -> None:
    """Make sure that the sheet beside ``output`` may be overwritten: there is none, or an earlier run made it.

    Raises:
        InputError: the file there is not from this command.
    """
    sheet = sheet_file(output)
    if sheet.exists() and read_subject(sheet) is None:
        raise InputError(f"--output {output}: the picture beside it would take the place of {sheet}, which no run of this "
                         "command made; move it, or choose another name")  # fmt: skip


def has_sheet(output: Path, key: dict[str, Any]) -> bool:
    """Return whether there is a sheet beside a result that shows the one made from ``key``, or is a file of the user's."""
    sheet = sheet_file(output)
    return sheet.exists() and read_subject(sheet) in (None, digest(key))


def save_before_after(
    config: UpscaleConfig, needs: Needs, path: Path, output: Path, key: dict[str, Any], number: int
) -> None:
    """Save the sheet beside a result made from ``key``: frame ``number``, or the last one of a shorter video, resized
    bicubically and as it is in the result, headed by the method, its weights, and the strength where it is not 1."""
    from realis.ops.pixels import planes_to_image, to_uint8

    (pair,) = deque(islice(frame_pairs(config, path, output), number + 1), maxlen=1)
    before, after = (planes_to_image(to_uint8(image)) for image in same_size_pair(*pair))
    strength = config.strength_for(needs)
    blended = f", strength {strength:g}" * (strength != 1)
    labels = ("before: bicubic", f"after: {config.method} {needs.label}".rstrip() + blended)
    # only a digest of the key: the sheet may be passed on, and the key holds prompts and names of folders
    save_sheet(before_after_sheet(before, after, labels), sheet_file(output), digest(key))


def save_comparison(config: UpscaleConfig, path: Path, output: Path, key: dict[str, Any]) -> None:
    """Write a video of the result's size with the input's times and sound: bicubic on the left half, the result on the
    right, a white line between them. Its notes say that it shows the result made from ``key``."""
    with open_source(output) as result:
        video_format = result.format
    encoding, size = comparison_encoding(video_format.size, video_format.color)
    with (
        open_source(path, config.deinterlace, config.span) as timed,
        SegmentWriter(Path(config.compare), size, timed.rate, encoding, timed, video_format.aspect) as sink,
    ):
        both = compared_frames(config, path, output, size)
        for number, chunk in enumerate(iter(lambda: list(islice(both, CHUNK)), [])):
            images = [quantize(frame, None, encoding) for frame, _ in chunk]
            times, durations = [about.time for _, about in chunk], [about.duration for _, about in chunk]
            sink.write(number * CHUNK, images, times, durations)
    note_result(Path(config.compare), comparison_key(key))


def comparison_encoding(size: tuple[int, int], color: ColorTags) -> tuple[Encoding, tuple[int, int]]:
    """Choose the encoding of a comparison with a result of ``size`` (height, width), and its size.

    Raises:
        InputError: too large or too small for a video.
    """
    encoding = Encoding("h265", 10, color=color) if color.hdr else Encoding(color=color)
    even = (size[0] // 2 * 2, size[1] // 2 * 2)
    encoding.check_size(even)
    return encoding, even


def comparison_key(key: dict[str, Any]) -> dict[str, Any]:
    """Return the key of the comparison with the result made from ``key``."""
    return {"beside bicubic": "the result", **key}


def compared_frames(
    config: UpscaleConfig, path: Path, output: Path, size: tuple[int, int]
) -> "Iterator[tuple[torch.Tensor, TimedFrame]]":
    """Yield the frames of the comparison, (3, H, W) float32 in [0, 1], each with the input frame that it shows."""
    middle = size[1] // 2
    for small, large in frame_pairs(config, path, output):
        before, both = (image[:, : size[0], : size[1]] for image in same_size_pair(small, large))
        both[:, :, :middle] = before[:, :, :middle]
        both[:, :, middle - 1 : middle + 1] = 1
        yield both, small


def frame_pairs(config: UpscaleConfig, path: Path, output: Path) -> Iterator[tuple[TimedFrame, TimedFrame]]:
    """Yield each frame of the input with its frame of the result."""
    with open_source(path, config.deinterlace, config.span) as before, open_source(output) as after:
        yield from zip(before.frames(), after.frames(), strict=False)


def same_size_pair(small: TimedFrame, large: TimedFrame) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return an input frame resized bicubically to the result's size, and the frame of the result, (3, H, W) float32 in
    [0, 1]."""
    from realis.ops.resize import resize

    return resize(as_tensor(small), large.rgb.shape[:2]).clamp(0, 1), as_tensor(large).clamp(0, 1)
