"""Lossy video compression in memory, as a degradation, by the encoders that PyAV brings."""

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal, NamedTuple

import av
import numpy as np

from realis.ops.reproducible import BITEXACT, X264

Codec = Literal["libx264", "mpeg4"]
FRAME_RATE = 25  # at RealBasicVSR's one frame a second libx264 misses its bit rate by far, and takes whole kbit only
# veryfast: as good as the default preset, medium, at the same bit rate, and faster. ratetol: short clips come closer to
# their bit rate.
OPTIONS = {"libx264": {"preset": "veryfast", "x264-params": f"ratetol=0.1:{X264}"}, "mpeg4": {}}
LEAST_RATE = 1000  # bits a second; libx264 takes less as if no rate were given


class CompressedVideo(NamedTuple):
    """A Matroska file in memory, and the size of the pictures that went into it."""

    data: bytes
    height: int
    width: int


def encode(images: Iterable[np.ndarray], codec: Codec, bits_per_pixel: float) -> CompressedVideo:
    """Encode ``images`` (H, W, 3) uint8 RGB, at least one, as 4:2:0 video; only the result is held in memory.

    Images of another size than the first one's are resized to it; an odd size is extended by a row or a column, which
    :func:`decode` takes off again. On one thread, so that the result does not depend on how many there are. Encoders
    need time to find a low rate: the shorter and smaller a clip, the further off they are.
    """
    images = iter(images)
    first = next(images)
    height, width = first.shape[:2]
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", container_options=BITEXACT) as container:
        stream = container.add_stream(codec, rate=FRAME_RATE, options=OPTIONS[codec])
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        rate = max(round(bits_per_pixel * height * width * FRAME_RATE), LEAST_RATE)
        stream.bit_rate, stream.codec_context.bit_rate_tolerance = rate, rate // FRAME_RATE  # the latter for mpeg4
        stream.codec_context.thread_count = 1
        for image in chain([first], images):
            container.mux(stream.encode(_frame(image, height, width)))
        container.mux(stream.encode(None))
    return CompressedVideo(file.getvalue(), height, width)


def decode(video: CompressedVideo) -> Iterator[np.ndarray]:
    """Yield the images of an encoded video, (H, W, 3) uint8 RGB, as many as went in."""
    with av.open(io.BytesIO(video.data)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")[: video.height, : video.width]


def _frame(image: np.ndarray, height: int, width: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    if image.shape[:2] != (height, width):
        frame = frame.reformat(width=width, height=height)
    if height % 2 or width % 2:
        padded = np.pad(frame.to_ndarray(), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
    return frame.reformat(format="yuv420p")
