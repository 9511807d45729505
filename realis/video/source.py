"""Read what is to be upscaled, a video, an image or a folder of images, as it is meant to be seen.

Frames come upright, with the times at which a player shows them, and at their full bit depth.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import chain
from math import ceil
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange

from realis.core.errors import InputError
from realis.video.color_tags import ColorTags, tags_of, to_rgb
from realis.video.deinterlace import Deinterlace, deinterlace, has_flagged_frames
from realis.video.image_facts import image_facts
from realis.video.names import IMAGES, describe_folder, files_in
from realis.video.orientation import check_upright, quarter_turns
from realis.video.playback import Fault, PresentedFrame, play, tick
from realis.video.random_access import first_needed
from realis.video.read import VideoReader
from realis.video.side_data import not_kept
from realis.video.span import WHOLE, Span, format_seconds

FOLDER_RATE = Fraction(25)  # frames a second of a folder of images


class TimedFrame(NamedTuple):
    """A frame of a source, and when it is shown.

    Args:
        rgb: (H, W, 3) uint8 or uint16.
        white: the level of white in ``rgb``: 255 for uint8; for uint16 what libswscale makes of it, 65280 to 65535.
        alpha: (H, W) uint8 or uint16 up to 255 or 65535; ``None`` if the source has none.
        time: of presentation, in ticks of the source's ``time_base``.
        duration: in ticks.
        fault: of the frame, one of :data:`realis.video.playback.FAULTS`; empty: none.
    """

    rgb: np.ndarray
    white: int
    alpha: np.ndarray | None
    time: int
    duration: int
    fault: Fault = ""


@dataclass(frozen=True)
class VideoFormat:
    """Format of the frames of a source, known from the first one.

    Args:
        size: height and width in stored pixels, upright.
        aspect: width of a pixel over its height, upright.
        depth: bits of a component.
        alpha: whether the pixel format has transparency.
        opaque: whether the first frame has no transparent pixel.
        color: tags of the colours.
        unread_alpha: whether there is transparency that cannot be read.
    """

    size: tuple[int, int]
    aspect: Fraction
    depth: int
    alpha: bool
    opaque: bool
    color: ColorTags
    unread_alpha: bool = False

    @property
    def display_size(self) -> tuple[int, int]:
        """Height and width in square pixels."""
        return self.size[0], max(1, round(self.size[1] * self.aspect))


class VideoSource:
    """The frames of a video, or of a part of it, or of one image. A context manager.

    Frames of a part are numbered from its first one, which is at time 0. Opening decodes only the first frame of the
    file; the part is searched when its frames are read.

    Args:
        path: the file.
        mode: whether interlaced frames become one frame each, or one for each field.
        span: the part.

    Attributes:
        path: the file.
        rate: frames a second.
        time_base: seconds of a tick.
        frame_count: as announced, or ``None``.
        clock: seconds on the clock of ``reader`` at which a player's clock shows 0.
        span: the part, on the clock of ``reader``.
        format: of the frames.
        interlaced: whether the first frame of the file, or one that was read so far, consists of two fields.
        not_kept: names of the side data of the frames read so far that a result cannot keep.

    Raises:
        InputError: no such file, not a video, nothing in it that can be decoded; a part of an image.
    """

    def __init__(self, path: str | Path, mode: Deinterlace = "no", span: Span = WHOLE) -> None:
        self.path = Path(path)
        self._mode: Deinterlace = mode
        if self.path.suffix.lower() in IMAGES:
            facts = image_facts(self.path)
            if span != WHOLE and not (facts and facts.is_animated):
                raise InputError(
                    f"{self.path}: is an image; --start and --duration are of videos and folders of images"
                )
        self.reader = VideoReader(path)
        try:
            self.rate, self.frame_count = self.reader.rate, self.reader.frame_count
            self.time_base = tick(self.reader)
            shown = self._played()
            if mode == "field":
                self.rate, self.time_base = self.rate * 2, self.time_base / 2
                self.frame_count = self.frame_count and self.frame_count * 2
            self.frame_count = self.frame_count and span.count(self.rate, self.frame_count)
            first = next(shown)
            self._presented = chain([first], shown)
            self.clock = self.reader.clock_start(first.time * self.time_base)
            self.span = span.shifted(self.clock)
            self.format = read_format(first.frame, self.reader)
            self.interlaced, self.not_kept = first.frame.interlaced_frame, set[str]()
        except BaseException:
            self.reader.close()
            raise

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def _played(self) -> Iterator[PresentedFrame]:
        """Play the whole file, deinterlaced if asked for."""
        shown = play(self.reader)
        if self._mode == "no":
            return shown
        return deinterlace(shown, tick(self.reader), self._mode, has_flagged_frames(self.path))

    @cached_property
    def _first(self) -> PresentedFrame:
        """The first frame of the part.

        Raises:
            InputError: there is none.
        """
        self.reader.first_needed = first_needed(self.path, self.span.start)
        found = self._search()
        if found is None:
            self.reader.close()
            self.reader = VideoReader(self.path)
            self._presented = self._played()
            found = self._search()
        assert found is not None  # as no packet is skipped now
        return found

    def _search(self) -> PresentedFrame | None:
        """Play up to the first frame of the part.

        Return ``None`` if packets were skipped and there is damage after them: decoding from the beginning might give
        other frames.

        Raises:
            InputError: there is none.
        """
        last = None
        for last in self._presented:
            time = last.time * self.time_base
            if self.span.holds(time):
                return last
            if last.fault and self.reader.first_needed:
                return None
            if self.span.is_over(time):
                break
        assert last is not None  # as every source has a frame
        length = (last.time + last.duration) * self.time_base - self.clock
        raise no_frames_error(self.path, self.span.shifted(-self.clock), length)

    def presented_frames(self) -> Iterator[PresentedFrame]:
        """Yield the frames of the part as decoded. Can be iterated once.

        Raises:
            InputError: there are none.
        """
        if self.span == WHOLE:
            yield from self._presented
            return
        for item in chain([self._first], self._presented):
            time, duration = item.time * self.time_base, item.duration
            if self.span.is_over(time):
                return
            if self.span.stop is not None:  # one frame may be shown for minutes
                duration = max(1, min(duration, round((self.span.stop - time) / self.time_base)))
            yield item._replace(time=item.time - self._first.time, duration=duration)

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """Yield the frames from number ``first`` on. Can be iterated once.

        Raises:
            InputError: there are none in the part.
        """
        codec = self.reader.stream.codec_context.name
        for number, (frame, time, duration, fault) in enumerate(self.presented_frames()):
            self.interlaced |= frame.interlaced_frame
            self.not_kept |= not_kept(frame, codec)
            if number >= first:
                yield TimedFrame(*pixels(frame, self.reader), time, duration, fault)

    def excerpt(self) -> Span | None:
        """Return the part, from its first frame on, on the clock of the file's packets; ``None`` for the whole file.

        Raises:
            InputError: there is no frame in it.
        """
        if self.span == WHOLE:
            return None
        from_first = replace(self.span, start=self._first.time * self.time_base)
        return from_first.shifted(self.reader.start)


def no_frames_error(path: Path, span: Span, length: Fraction) -> InputError:
    """Return the error for a part without frames of a source that is ``length`` seconds long."""
    if span.start >= length:
        return InputError(f"{path}: --start: got {format_seconds(span.start)} s, but it is {float(length):.3f} s long")
    return InputError(
        f"{path}: no frame begins between {format_seconds(span.start)} and {format_seconds(span.stop or length)} s; "
        "choose a longer --duration, or another --start"
    )


def read_format(frame: av.VideoFrame, reader: VideoReader) -> VideoFormat:
    """Read the format of a video from its first frame.

    Raises:
        InputError: it is to be shown mirrored, or turned by no multiple of 90 degrees; its colour tags are unknown.
    """
    check_upright(frame, reader)
    aspect = Fraction(reader.stream.sample_aspect_ratio or 1)
    rgb, _, alpha = pixels(frame, reader)
    depth = min(16, max(part.bits for part in frame.format.components))
    color = tags_of(frame, reader.height)
    if reader.path.suffix.lower() in IMAGES:  # untagged images are sRGB, for which no tag is better than a tag of video
        color = replace(color, primaries=int(frame.color_primaries), transfer=int(frame.color_trc))
    return VideoFormat(
        rgb.shape[:2],
        1 / aspect if quarter_turns(frame) % 2 else aspect,
        depth,
        alpha is not None,
        is_opaque(alpha),
        color,
        # VP8 and VP9 code it beside the frames, and announce it by a tag
        unread_alpha=any((key.lower(), value) == ("alpha_mode", "1") for key, value in reader.stream.metadata.items()),
    )


def pixels(frame: av.VideoFrame, reader: VideoReader) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Return the RGB levels of a decoded frame (H, W, 3), upright; the level of white; alpha (H, W), if it has any."""
    form, parts = frame.format, frame.format.components
    alpha = form.has_palette or any(part.is_alpha for part in parts)
    bits = max(part.bits for part in parts)
    wide = {(8, False): "rgb24", (8, True): "rgba", (16, False): "rgb48le", (16, True): "rgba64le"}
    codec = reader.stream.codec_context.name
    image = to_rgb(frame, wide[8 if bits <= 8 else 16, alpha], reader.height, codec).to_ndarray()
    image = np.ascontiguousarray(np.rot90(image, quarter_turns(frame)))
    return image[..., :3], white_level(frame, bits), image[..., 3] if alpha else None


def white_level(frame: av.VideoFrame, bits: int) -> int:
    """Return the level that libswscale makes of white: RGB is scaled to the full 16 bits, YCbCr only shifted up."""
    if bits <= 8:
        return 255
    grey = frame.format.name.startswith(("gray", "ya"))
    if frame.format.is_rgb or (bits >= 16 and (grey or frame.color_range == ColorRange.JPEG)):
        return 65535
    return (2**bits - 1) << (16 - bits) if frame.color_range == ColorRange.JPEG else 255 << 8


def is_opaque(alpha: np.ndarray | None) -> bool:
    """Whether no pixel is transparent."""
    if alpha is None:
        return True
    most = np.iinfo(alpha.dtype).max
    return bool(alpha.min() >= most - (most >> 8))  # libswscale pads 10 bits with zeros


class FolderSource:
    """A folder of images in natural order, as a video of :data:`FOLDER_RATE`. Like :class:`VideoSource`.

    Attributes:
        files: the images of the part.

    Raises:
        InputError: no images in it, or none in the part.
    """

    def __init__(self, path: str | Path, span: Span = WHOLE) -> None:
        self.path = Path(path)
        self._all = files_in(self.path, IMAGES)
        if not self._all:
            raise InputError(f"{self.path}: no images in it; {describe_folder(self.path, IMAGES)}")
        if len({file.stem for file in self._all}) < len(self._all):
            raise InputError(f"{self.path}: has images that differ in their ending only; results would have one name")
        self._before = ceil(span.start * FOLDER_RATE)
        self.files = self._all[self._before :][: span.count(FOLDER_RATE, len(self._all))]
        if not self.files:
            raise no_frames_error(self.path, span, len(self._all) / FOLDER_RATE)
        self.rate, self.time_base, self.frame_count = FOLDER_RATE, 1 / FOLDER_RATE, len(self.files)
        with VideoSource(self._all[0]) as first:
            self.format = first.format

    def __enter__(self) -> "FolderSource":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """Yield the frames from number ``first`` on.

        An image that cannot be read is replaced by the one before it, be it one before the part.

        Raises:
            InputError: the first image of the folder cannot be read.
        """
        before = None
        for number in range(first, len(self.files)):
            try:
                before = self._read(self._before + number)
            except InputError:
                before = (before or self._last_readable(self._before + number))._replace(fault="lost")
            yield before._replace(time=number, duration=1)

    def _read(self, number: int) -> TimedFrame:
        file = self._all[number]
        with VideoSource(file) as image:
            if image.format.size != self.format.size:
                raise InputError(f"{file}: has another size than the first image")
            return next(image.frames())

    def _last_readable(self, number: int) -> TimedFrame:
        for earlier in range(number - 1, 0, -1):
            with suppress(InputError):
                return self._read(earlier)
        return self._read(0)


Source = VideoSource | FolderSource


def open_source(path: str | Path, mode: Deinterlace = "no", span: Span = WHOLE) -> Source:
    """Open a video, an image, or a folder of images, or a part of it.

    Raises:
        InputError: as :class:`VideoSource` and :class:`FolderSource`.
    """
    return FolderSource(path, span) if Path(path).is_dir() else VideoSource(path, mode, span)
