"""Read a video's frames with PyAV."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from realis.errors import InputError
from realis.log import logger
from realis.video.color_tags import to_rgb
from realis.workers import threads

SHORT = 0.9  # share of a file's length that a picture should reach
BACK = 0.5  # seconds that time may go back: what libavformat guesses of B-frames goes back a little
ANY_START = ("mpegts", "mpeg")  # formats of broadcasts and DVDs, whose clocks start anywhere
# Demuxers of libavformat that read one media file. Left out are those that follow what a file says to other files or
# addresses (concat, hls, dash, sdp, imf, ...), and text. "*_pipe" is one image.
MEDIA_FORMATS = (
    "3dostr apng asf av1 avi dhav dv flv gif gxf h261 h263 h264 hevc hnm image2 ivf live_flv m4v matroska mjpeg mov "
    "mpeg mpegts mpegvideo mxf nsv nut obu ogg rm vc1 vvc wtv yuv4mpegpipe aac ac3 aiff flac mp3 wav bmp_pipe "
    "jpeg_pipe png_pipe tiff_pipe webp_pipe"
).split()


def open_media(path: str | Path) -> av.container.InputContainer:
    """Open a media file with libav, as the file that ``path`` names and nothing else.

    The name is never taken for a pattern (``shot_%02d.png``) or a protocol (``a:b.mp4``), and a playlist or script that
    would read other files is refused whatever its ending.

    Raises:
        av.FFmpegError, OSError, ValueError: it cannot be opened, or is of no format in :data:`MEDIA_FORMATS`.
    """
    options = {"format_whitelist": ",".join(MEDIA_FORMATS), "pattern_type": "none"}
    return av.open(str(Path(path).absolute()), options=options)


class VideoReader:
    """The film of a file (:func:`film_stream`). A context manager; iterating gives (H, W, 3) uint8 RGB frames in order.

    Args:
        path: the file.

    Attributes:
        width, height: of the frames, in pixels.
        rate: frames a second, exact.
        start: the time, in seconds, to take for 0.
        frame_count: what the container says, or an estimate from the duration; ``None`` if neither is known.

    Raises:
        InputError: no such file, not a video, nothing in it that can be decoded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            what = "a folder" if self.path.is_dir() else "nothing there"
            raise InputError(f"{self.path}: {what}; wanted a video file")
        if not self.path.stat().st_size:
            raise InputError(f"{self.path}: the file is empty; wanted a video file")
        try:
            self.container = open_media(self.path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{self.path}: not a video that can be read ({error})") from error
        try:
            self._check()
        except BaseException:
            self.container.close()
            raise

    def _check(self) -> None:
        stream = film_stream(self.container)
        if not stream:
            raise InputError(f"{self.path}: no video stream in it (audio only?); wanted a video file")
        self.stream = stream
        if not self.stream.codec_context:
            raise InputError(f"{self.path}: its video codec is not known here; convert it to H.264 or HEVC")
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = threads()
        if not self.stream.width or not self.stream.height:
            raise InputError(f"{self.path}: its video stream has no picture size; the file may be damaged")
        self.width, self.height = self.stream.width, self.stream.height
        self.start = start_of(self.container)
        self.rate = usual_rate(Fraction(self.stream.average_rate or self.stream.guessed_rate or 25))
        self.frame_count = self.stream.frames or self._estimated_count()

    def _estimated_count(self) -> int | None:
        if self.stream.duration is not None and self.stream.time_base is not None:
            return round(self.stream.duration * self.stream.time_base * self.rate)
        if self.container.duration is not None:
            return round(Fraction(self.container.duration, av.time_base) * self.rate)
        return None

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.rgb(frame) for frame in self.frames())

    def frames(self) -> Iterator[av.VideoFrame]:
        """The decoded frames as presented.

        Raises:
            InputError: damaged, changing its size, or without any frame.
        """
        count, ends = 0, 0.0
        try:
            for frame in self.container.decode(self.stream):
                if (frame.width, frame.height) != (self.width, self.height):
                    raise InputError(
                        f"{self.path}: from frame {count} on it is {frame.width}x{frame.height} instead of "
                        f"{self.width}x{self.height}; cut it there and upscale the parts"
                    )
                yield frame
                count += 1
                shown = frame.duration * self.stream.time_base if self.stream.time_base else 0
                ends = (frame.time or 0.0) + float((shown or 1 / self.rate) - self.start)
        except av.FFmpegError as error:
            raise InputError(f"{self.path}: damaged after frame {count} ({error.strerror or error})") from error
        if not count:
            raise InputError(f"{self.path}: no frame in it can be decoded")
        if count < self.stream.frames - 1:
            logger.warning("%s: announces %d frames, but only %d are there", self.path, self.stream.frames, count)
        elif self.container.duration and ends < SHORT * self.container.duration / av.time_base:
            whole = self.container.duration / av.time_base
            logger.warning("%s: its picture ends after %.1f of %.1f s; it may be cut short", self.path, ends, whole)

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """A decoded frame of this video as (H, W, 3) uint8, by the matrix and range that it is tagged with."""
        return to_rgb(frame, "rgb24", self.height, self.stream.codec_context.name).to_ndarray()


def middle_frame(file: Path) -> tuple[np.ndarray, int]:
    """A frame (H, W, 3) uint8 from the middle of a video, and its number; what is far before it is not decoded.

    Raises:
        InputError: as :class:`VideoReader`.
    """
    with VideoReader(file) as video:
        stream = video.stream
        half = (video.frame_count or 0) // 2
        first = (stream.start_time or 0) * stream.time_base
        video.container.seek(int((first + half / video.rate) / stream.time_base), stream=stream)
        for frame in video.frames():
            number = round((frame.time - float(first)) * video.rate) if frame.time is not None else half
            if number >= half:
                break
        return video.rgb(frame), number


def film_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """Return the first video stream that is marked as the default, or the first of all; never a cover picture."""
    flags = av.stream.Disposition
    films = [stream for stream in container.streams.video if not stream.disposition & flags.attached_pic]
    return next((stream for stream in films if stream.disposition & flags.default), films[0] if films else None)


def start_of(container: av.container.InputContainer) -> Fraction:
    """The time, in seconds, to take for 0: that of the first packet where clocks start anywhere."""
    return Fraction(container.start_time or 0, av.time_base) if container.format.name in ANY_START else Fraction(0)


def check_time(path: Path) -> None:
    """Read all packets to make sure that time goes on to the end, so that picture and sound stay in step.

    Raises:
        InputError: it goes back, as where recordings were put together by ``cat``.
    """
    last: dict[int, Fraction] = {}
    with open_media(path) as container, suppress(av.FFmpegError):  # what is damaged, decoding will say
        for packet in container.demux([*container.streams.video, *container.streams.audio]):
            if packet.dts is None:
                continue
            time = packet.dts * packet.time_base
            before = last.get(packet.stream_index, time)
            if time < before - BACK:
                raise InputError(f"{path}: in stream {packet.stream_index} time goes back from {float(before):.2f} to "
                                 f"{float(time):.2f} s; put it in order first (ffmpeg -i {path.name} -c copy NEW.mkv)")  # fmt: skip
            last[packet.stream_index] = max(before, time)


def usual_rate(rate: Fraction) -> Fraction:
    """``rate``, or the whole or n x 1000 / 1001 rate that it is within 1e-5 of: some containers store it rounded.

    >>> usual_rate(Fraction(19001, 317))
    Fraction(60000, 1001)
    """
    whole = Fraction(round(rate))
    for usual in (whole, whole * 1000 / 1001):
        if usual and abs(rate / usual - 1) < 1e-5:
            return usual
    return rate
