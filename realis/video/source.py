"""What is to be upscaled: a video, an image or a folder of images, read as it is meant to be seen.

Frames come upright, with the time and length that the container gives them, in all bits that are stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange
from PIL import Image

from realis.errors import InputError
from realis.log import logger
from realis.video.color_tags import ColorTags, tags_of, to_rgb
from realis.video.names import IMAGES, described, files_in
from realis.video.read import VideoReader

FOLDER_RATE = Fraction(25)
ORIENTATION = 274  # of EXIF
WITH_PROFILES = ("png", "apng", "mjpeg", "webp", "tiff", "jpegxl")  # PyAV frees a colour profile's name twice


class TimedFrame(NamedTuple):
    """One frame.

    Args:
        rgb: (H, W, 3) uint8 or uint16.
        white: the level of 1.0 in ``rgb``: 255; or of 16 bits, as libswscale makes them, 65280 and near.
        alpha: (H, W) uint8 or uint16 up to 255 or 65535, where the source has it.
        time: of presentation, in ticks of the source's ``time_base``.
        duration: in ticks.
    """

    rgb: np.ndarray
    white: int
    alpha: np.ndarray | None
    time: int
    duration: int


@dataclass(frozen=True)
class Look:
    """What the frames of a source are like, known from the first one.

    Args:
        size: height and width in stored pixels, upright.
        aspect: width of a pixel over its height, upright.
        depth: bits of a component.
        alpha: whether the pixel format has transparency.
        opaque: whether the first frame shows none.
        color: tags of the colours.
        unread_alpha: whether there is transparency that is not read here.
    """

    size: tuple[int, int]
    aspect: Fraction
    depth: int
    alpha: bool
    opaque: bool
    color: ColorTags
    unread_alpha: bool = False

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width in square pixels."""
        return self.size[0], max(1, round(self.size[1] * self.aspect))


class VideoSource:
    """The frames of a video or of one image. A context manager.

    Attributes:
        path: the file.
        rate: frames a second.
        time_base: seconds of a tick.
        frame_count: as announced, or ``None``.
        look: what the frames are like.
        interlaced: whether the first one is two fields.

    Raises:
        InputError: no such file, not a video, damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.reader = VideoReader(path)
        try:
            if self.path.suffix.lower() in IMAGES:
                check_image(self.path)
            self.rate, self.frame_count = self.reader.rate, self.reader.frame_count
            self.time_base = self.reader.stream.time_base or 1 / self.rate
            frames = self.reader.frames()
            first = next(frames)
            self._frames = chain([first], frames)
            self.look = look_of(first, self.reader)
            self.interlaced = first.interlaced_frame
        except BaseException:
            self.reader.close()
            raise

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """The frames from number ``first`` on; once."""
        usual = max(1, round(1 / (self.rate * self.time_base)))
        start, last, due, moved = round(self.reader.start / self.time_base), None, 0, False
        for number, frame in enumerate(self._frames):
            time = due if frame.pts is None else frame.pts - start
            if last is not None and time <= last:
                if not moved:
                    logger.warning("%s: frame %d does not come after the one before it; it is moved by a tick, as are any "
                                   "others like it", self.path, number)  # fmt: skip
                time, moved = last + 1, True
            duration = frame.duration or usual
            last, due = time, time + duration
            if number >= first:
                yield TimedFrame(*pixels(frame, self.reader), time, duration)


def check_image(file: Path) -> None:
    """Say what of an image is not carried over.

    Raises:
        InputError: it is to be shown mirrored, which is not known here; is a TIFF of several pages, of which libav
            sees the first; is larger than Pillow opens.
    """
    try:
        with Image.open(file) as image:
            orientation, profile = image.getexif().get(ORIENTATION, 1), image.info.get("icc_profile")
            pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    except Image.DecompressionBombError as error:
        raise InputError(f"{file}: is too large ({error}); cut it into parts") from error
    except (OSError, ValueError):
        return  # Pillow does not know it; libav may
    if pages > 1:
        raise InputError(f"{file}: has {pages} pages; save each as an image of its own")
    if orientation in (2, 4, 5, 7):
        raise InputError(f"{file}: is to be shown mirrored (EXIF orientation {orientation}); save it as it should look")
    if profile:
        logger.warning(
            "%s: its colour profile is not carried over; colours will look different if it is not sRGB", file
        )


def look_of(frame: av.VideoFrame, reader: VideoReader) -> Look:
    """What the frames of a video are like, from its first one.

    Raises:
        InputError: it is to be shown in a way that is not known here.
    """
    check_upright(frame, reader)
    if frame.interlaced_frame:
        logger.warning("%s: is interlaced, and is not deinterlaced: combs will be upscaled with it", reader.path)
    aspect = Fraction(reader.stream.sample_aspect_ratio or 1)
    rgb, _, alpha = pixels(frame, reader)
    depth = min(16, max(part.bits for part in frame.format.components))
    color = tags_of(frame, reader.height)
    if reader.path.suffix.lower() in IMAGES:  # sRGB, if they do not say: no tag is better than that of video
        color = replace(color, primaries=int(frame.color_primaries), transfer=int(frame.color_trc))
    return Look(
        rgb.shape[:2],
        1 / aspect if quarter_turns(frame) % 2 else aspect,
        depth,
        alpha is not None,
        is_opaque(alpha),
        color,
        # of VP8 and VP9: coded beside the frames, and told by a field or a tag
        unread_alpha=any((key.lower(), value) == ("alpha_mode", "1") for key, value in reader.stream.metadata.items()),
    )


def pixels(frame: av.VideoFrame, reader: VideoReader) -> tuple[np.ndarray, int, np.ndarray | None]:
    """RGB levels of a decoded frame, upright; the level of white; alpha, if the pixel format has it."""
    form, parts = frame.format, frame.format.components
    alpha = form.has_palette or any(part.is_alpha for part in parts)
    bits = max(part.bits for part in parts)
    wide = {(8, False): "rgb24", (8, True): "rgba", (16, False): "rgb48le", (16, True): "rgba64le"}
    codec = reader.stream.codec_context.name
    image = to_rgb(frame, wide[8 if bits <= 8 else 16, alpha], reader.height, codec).to_ndarray()
    image = np.ascontiguousarray(np.rot90(image, quarter_turns(frame)))
    return image[..., :3], white_level(frame, bits), image[..., 3] if alpha else None


def white_level(frame: av.VideoFrame, bits: int) -> int:
    """What libswscale makes of white: it widens RGB to all 16 bits, and shifts YCbCr up by 8 bits from 255."""
    if bits <= 8:
        return 255
    grey = frame.format.name.startswith(("gray", "ya"))
    if frame.format.is_rgb or (bits >= 16 and (grey or frame.color_range == ColorRange.JPEG)):
        return 65535
    return (2**bits - 1) << (16 - bits) if frame.color_range == ColorRange.JPEG else 255 << 8


def is_opaque(alpha: np.ndarray | None) -> bool:
    """Whether there is nothing to see through."""
    if alpha is None:
        return True
    most = np.iinfo(alpha.dtype).max
    return bool(alpha.min() >= most - (most >> 8))  # libswscale widens 10 bits by zeros


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
    except (
        KeyError,
        ValueError,
    ):  # none; or PyAV meets a kind of side data that it does not know, and shows none at all
        return
    (a, b, _), (c, d, _), _ = np.frombuffer(matrix, "<i4").reshape(3, 3).astype(float)
    if a * d < b * c or frame.rotation % 90:
        how = "mirrored" if a * d < b * c else f"turned by {frame.rotation} degrees"
        raise InputError(f"{reader.path}: is to be shown {how}; encode it as it should look")


class FolderSource:
    """A folder of images in natural order, as a video of :data:`FOLDER_RATE`. Like :class:`VideoSource`.

    Raises:
        InputError: no images in it, or of different sizes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.files = files_in(self.path, IMAGES)
        if not self.files:
            raise InputError(f"{self.path}: no images in it; {described(self.path, IMAGES)}")
        if len({file.stem for file in self.files}) < len(self.files):
            raise InputError(f"{self.path}: has images that differ in their ending only; results would have one name")
        self.rate, self.time_base, self.frame_count = FOLDER_RATE, 1 / FOLDER_RATE, len(self.files)
        with VideoSource(self.files[0]) as first:
            self.look = first.look

    def __enter__(self) -> "FolderSource":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """The frames from number ``first`` on."""
        for number, file in enumerate(self.files[first:], first):
            with VideoSource(file) as image:
                frame, *more = islice(image.frames(), 2)
                if more:
                    raise InputError(f"{file}: is animated; wanted images, or the animation alone as --input")
                if image.look.size != self.look.size:
                    got, wanted = (f"{w}x{h}" for h, w in (image.look.size, self.look.size))
                    raise InputError(f"{file}: is {got}, and the images before it {wanted}; wanted one size")
                yield frame._replace(time=number, duration=1)


Source = VideoSource | FolderSource


def open_source(path: str | Path) -> Source:
    """Open a video, an image, or a folder of images."""
    return FolderSource(path) if Path(path).is_dir() else VideoSource(path)
