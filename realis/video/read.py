"""Open media files safely, find their main video stream, the film, and read its frames with PyAV."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from realis.core.errors import InputError, reason
from realis.video.color_tags import to_rgb

MOST_RATE = 1000  # frames a second; a header that announces more is damaged
ANY_START = ("mpegts", "mpeg")  # formats of broadcasts and DVDs, whose clocks start anywhere
# Demuxers without times of presentation. Those that libav guesses for B-frames in AVI are off by up to three frames.
UNTIMED = ("asf", "avi", "h261", "h263", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vc1", "vvc")
# Demuxers of libavformat that read one media file. Those that open other files or addresses named in a file (concat,
# hls, dash, sdp, imf, ...) and those of text are left out. "*_pipe" is one image.
MEDIA_FORMATS = (
    "3dostr,apng,asf,av1,avi,dhav,dv,flv,gif,gxf,h261,h263,h264,hevc,hnm,image2,ivf,live_flv,m4v,matroska,"
    "mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nsv,nut,obu,ogg,rm,vc1,vvc,wtv,yuv4mpegpipe,aac,ac3,aiff,flac,mp3,"
    "wav,bmp_pipe,jpeg_pipe,png_pipe,tiff_pipe,webp_pipe"
)


def open_media(path: str | Path) -> InputContainer:
    """Open a media file with libav, as the file that ``path`` names and nothing else.

    The name is never taken for a pattern (``shot_%02d.png``) or a protocol (``a:b.mp4``), and a playlist or script that
    would read other files is refused whatever its ending.

    Raises:
        av.FFmpegError, OSError, ValueError: it cannot be opened, or is of no format in :data:`MEDIA_FORMATS`.
    """
    options = {"format_whitelist": MEDIA_FORMATS, "pattern_type": "none"}
    return av.open(str(Path(path).absolute()), options=options)


class VideoReader:
    """The film of a file (:func:`film_stream`). A context manager; iterating gives (H, W, 3) uint8 RGB frames in order.

    Args:
        path: the file.
        threads: for decoding; 0: one per core.

    Attributes:
        width, height: of the frames, in pixels.
        rate: frames a second, exact.
        start: the time of the file, in seconds, that counts as 0.
        frame_count: as the container says, or estimated from the duration; ``None`` if neither is known.
        first_needed: number of the first packet of the film that :func:`realis.video.playback.play` decodes. It may be
            raised while playing.

    Raises:
        InputError: no such file, not a video, nothing in it that can be decoded.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            what = "a folder" if self.path.is_dir() else "nothing there"
            raise InputError(f"{self.path}: {what}; wanted a video file")
        if not self.path.stat().st_size:
            raise InputError(f"{self.path}: the file is empty; wanted a video file")
        try:
            self.container = open_media(self.path)
        except (FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{self.path}: not a video that can be read ({reason(error)})") from error
        try:
            self._check(threads)
        except BaseException:
            self.container.close()
            raise

    def _check(self, threads: int) -> None:
        stream = film_stream(self.container)
        if not stream:
            raise InputError(f"{self.path}: no video stream in it (audio only?); wanted a video file")
        self.stream = stream
        if not self.stream.codec_context:
            raise InputError(f"{self.path}: its video codec is not known here; convert it to H.264 or HEVC")
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = threads
        if not self.stream.width or not self.stream.height:
            raise InputError(f"{self.path}: its video stream has no picture size; the file may be damaged")
        self.width, self.height = self.stream.width, self.stream.height
        self.start = start_of(self.container)
        rates = [rate for rate in (self.stream.average_rate, self.stream.guessed_rate, self.stream.base_rate) if rate]
        believable = [rate for rate in rates if rate <= MOST_RATE]  # of two frames of an APNG the average is 100,000
        if rates and not believable and self.container.format.name in (*UNTIMED, "yuv4mpegpipe"):
            raise InputError(
                f"{self.path}: announces {float(rates[0]):.6g} frames a second, wanted up to {MOST_RATE}; "
                f"set its rate (ffmpeg -r 25 -i {self.path.name} NEW.mkv)"
            )
        self.rate = usual_rate(Fraction(believable[0] if believable else 25))
        self.frame_count = self.stream.frames or self._estimated_count()
        self.first_needed = 0

    @property
    def time_base(self) -> Fraction:
        """Seconds of a tick of the film's packets."""
        return self.stream.time_base or 1 / self.rate

    def _estimated_count(self) -> int | None:
        if self.stream.duration is not None and self.stream.time_base is not None:
            return round(self.stream.duration * self.stream.time_base * self.rate)
        if self.container.duration is not None:
            return round(Fraction(self.container.duration, av.time_base) * self.rate)
        return None

    def clock_start(self, first: Fraction) -> Fraction:
        """Return when a player's clock shows 0, in seconds from ``start`` on: the earlier start of picture and sound.

        Args:
            first: time of the first frame in seconds from ``start`` on; a header that announces a later start is wrong.
        """
        announced = Fraction(self.container.start_time or 0, av.time_base) - self.start
        return max(Fraction(0), min(announced, first))

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
        """Yield the decoded frames as presented. :func:`realis.video.playback.play` tolerates what raises here.

        Raises:
            InputError: the video is damaged, changes its size, or has no frames.
        """
        count = 0
        try:
            for frame in self.container.decode(self.stream):
                if (frame.width, frame.height) != (self.width, self.height):
                    raise InputError(
                        f"{self.path}: from frame {count} on it is {frame.width}x{frame.height} instead of "
                        f"{self.width}x{self.height}; cut it there"
                    )
                yield frame
                count += 1
        except FFmpegError as error:
            raise InputError(f"{self.path}: damaged after frame {count} ({error.strerror or error})") from error
        if not count:
            raise InputError(f"{self.path}: no frame in it can be decoded")

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Convert a decoded frame of this video to (H, W, 3) uint8 RGB, by the matrix and range of its tags."""
        return to_rgb(frame, "rgb24", self.height, self.stream.codec_context.name).to_ndarray()


def middle_frame(file: Path) -> tuple[np.ndarray, int]:
    """Return a frame (H, W, 3) uint8 RGB from the middle of a video, and its number. Most frames before it are skipped.

    Raises:
        InputError: as :class:`VideoReader`.
    """
    with VideoReader(file) as video:
        stream = video.stream
        half = (video.frame_count or 0) // 2
        first = (stream.start_time or 0) * video.time_base
        video.container.seek(int((first + half / video.rate) / video.time_base), stream=stream)
        for frame in video.frames():
            number = round((frame.time - float(first)) * video.rate) if frame.time is not None else half
            if number >= half:
                break
        return video.rgb(frame), number


def film_stream(container: InputContainer) -> av.VideoStream | None:
    """Return the first video stream that is marked as the default, or the first of all; never a cover picture."""
    flags = Disposition
    films = [stream for stream in container.streams.video if not stream.disposition & flags.attached_pic]
    return next((stream for stream in films if stream.disposition & flags.default), films[0] if films else None)


def start_of(container: InputContainer) -> Fraction:
    """Return the time of a file, in seconds, that counts as 0. Picture and sound are shifted together by it.

    It is that of the first packet for formats whose clocks start anywhere; else of the first frame if negative, else 0.
    """
    if container.format.name in ANY_START:
        return Fraction(container.start_time or 0, av.time_base)
    film = film_stream(container)
    return min(Fraction(0), (film.start_time or 0) * film.time_base) if film and film.time_base else Fraction(0)


def usual_rate(rate: Fraction) -> Fraction:
    """Return ``rate``, or the whole or n x 1000 / 1001 rate within 1e-5 of it: some containers store it rounded.

    >>> usual_rate(Fraction(19001, 317))
    Fraction(60000, 1001)
    """
    whole = Fraction(round(rate))
    for usual in (whole, whole * 1000 / 1001):
        if usual and abs(rate / usual - 1) < 1e-5:
            return usual
    return rate
