"""Look at frames at a few places of a video, for what its first frame alone does not tell."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import av

from realis.video.read import VideoReader

PLACES, FRAMES = 8, 12  # where frames are looked at, and how many there


def glances(reader: VideoReader, count: int) -> Iterator[av.VideoFrame]:
    """Yield :data:`FRAMES` frames at each of :data:`PLACES` places of a video of about ``count`` frames; the first frames
    of a short one."""
    stream, places = reader.stream, PLACES if count > PLACES * FRAMES else 1
    for place in range(places):
        with suppress(av.FFmpegError, OSError):  # what is damaged is met, and counted, when it is played
            if place:
                seconds = count * place / (places * reader.rate) + reader.start
                reader.container.seek(round(seconds / (stream.time_base or 1 / reader.rate)), stream=stream)
            yield from islice(reader.container.decode(stream), FRAMES if places > 1 else PLACES * FRAMES)
