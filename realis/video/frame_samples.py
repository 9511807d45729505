"""Decode sample frames at a few places of a video, for what its first frame alone does not tell."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import dropwhile, islice, takewhile

import av
from av.error import FFmpegError

from realis.video.read import VideoReader
from realis.video.span import WHOLE, Span

PLACES, FRAMES = 8, 12  # where frames are looked at, and how many there


def sample_frames(reader: VideoReader, count: int, span: Span = WHOLE) -> Iterator[av.VideoFrame]:
    """Yield :data:`FRAMES` frames at each of :data:`PLACES` places of a video, or the first frames of a short one.

    Args:
        reader: of the video.
        count: of its frames, or of those in ``span``, about.
        span: the part to look at, in seconds from the reader's ``start`` on.
    """
    stream, places = reader.stream, PLACES if count > PLACES * FRAMES else 1
    begin, end = float(reader.start + span.start), span.stop and float(reader.start + span.stop)
    for place in range(places):
        with suppress(FFmpegError, OSError):  # what is damaged is met, and counted, when it is played
            if place or span.start:
                seconds = count * place / (places * reader.rate) + reader.start + span.start
                reader.container.seek(round(seconds / reader.time_base), stream=stream)
            frames = reader.container.decode(stream)
            if span != WHOLE:  # a key frame may lie far before it
                frames = dropwhile(lambda frame: frame.time is not None and frame.time < begin, frames)
                frames = takewhile(lambda frame: end is None or frame.time is None or frame.time < end, frames)
            yield from islice(frames, FRAMES if places > 1 else PLACES * FRAMES)
