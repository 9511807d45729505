"""Random access: a window of consecutive frames of a clip, without decoding or converting much beyond it.

A clip is a folder of frames, of which those asked for are read, or a video. Frames of a video are identified by their
presentation times, which are in the packets, so no frame is decoded to be counted. The planes are cropped before they
are converted to RGB, which is most of the work for a 4K frame.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.filter import Graph

from realis.core.errors import InputError, reason, require
from realis.video.orientation import Window, check_upright, quarter_turns, stored_window
from realis.video.read import VideoReader
from realis.video.sequences import frame_files, read_frames

# Of a crop of the planes, so that it starts on a whole chroma sample in any format, and at an aligned address.
ALIGNMENT = 16
CHROMA_REACH = 8  # pixels around a window that make the interpolation of its chroma the same as in the whole frame


@dataclass(frozen=True, eq=False)
class VideoFacts:
    """Upright size in pixels, and presentation ``times`` of the frames, (frames,) int64 rising, in ticks of the stream.

    ``keys`` are the times of the key frames, some of which may not be presented. ``turns`` are the quarter turns to the
    left from the stored picture to the upright one. A folder of frames has ``files``, and their numbers for times.
    """

    height: int
    width: int
    turns: int
    times: np.ndarray
    keys: np.ndarray
    files: tuple[Path, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames :class:`VideoReader` would give."""
        return len(self.times)


@lru_cache(maxsize=4096)
def read_facts(path: str | Path) -> VideoFacts:
    """Read the facts of a folder of frames from its first one, of a video from all its packets; hardly more than its
    first frame is decoded. The result is cached.

    Raises:
        InputError: a folder without frames, or one whose first frame cannot be read; or it is not a video, is damaged, is to
            be shown mirrored or turned by other than quarter turns, or its frames have no presentation times of their own.
    """
    if Path(path).is_dir():
        return _facts_of_folder(Path(path))
    times, keys, frame = [], [], None
    with VideoReader(path, threads=1) as video:
        try:
            for packet in video.container.demux(video.stream):
                if not packet.size or not (keys or packet.is_keyframe):
                    continue  # flushes, and what comes before the first key frame
                if packet.is_keyframe:
                    keys.append(packet.pts)
                    frame = frame or _decoded_alone(packet)
                if not packet.is_discard:
                    times.append(packet.pts)
        except (FFmpegError, OSError) as error:
            raise InputError(f"{path}: damaged ({error.strerror or error})") from error
        if not times:
            raise InputError(f"{path}: no frames in it")
        # AVI holds one time a frame, that of decoding.
        guessed = video.container.format.name == "avi" and video.stream.codec_context.has_b_frames
        if guessed or None in times or None in keys or len(set(times)) < len(times):
            raise InputError(f"{path}: its frames have no presentation times of their own; convert it to .mp4 or .mkv")
        times, keys = np.sort(np.array(times, np.int64)), np.sort(np.array(keys, np.int64))
        if times[0] < keys[0]:  # they refer to frames that were cut off before them; a decoder may drop them
            times = times[times >= _first_time(path)]
        if frame is None:
            raise InputError(f"{path}: no frame in it can be decoded")
        check_upright(frame, video)
        turns = quarter_turns(frame)
        height, width = (video.width, video.height) if turns % 2 else (video.height, video.width)
        return VideoFacts(height, width, turns, times, keys)


def _facts_of_folder(folder: Path) -> VideoFacts:
    files = frame_files(folder)
    if not files:
        raise InputError(f"{folder}: no frames in it")
    height, width = next(read_frames(files[:1])).shape[:2]
    times = np.arange(len(files))
    return VideoFacts(height, width, 0, times, times, tuple(files))


def _decoded_alone(packet: av.Packet) -> av.VideoFrame | None:
    """The frame of a key packet, or ``None`` if it is damaged. Any frame has the container's display matrix, which PyAV does
    not tell otherwise."""
    context = packet.stream.codec_context
    with suppress(FFmpegError, OSError, ValueError):
        # ended here, or the decoder would wait for frames that may be shown earlier
        if frames := [*packet.decode(), *context.decode(None)]:
            return frames[0]
    context.flush_buffers()
    return None


def _first_time(path: str | Path) -> int:
    with VideoReader(path, threads=1) as video:
        try:
            time = next(video.container.decode(video.stream)).pts
        except (FFmpegError, StopIteration) as error:
            raise InputError(f"{path}: no frame in it can be decoded") from error
    assert time is not None  # as its packet has one
    return time


def read_excerpt(path: str | Path, start: int, count: int, window: Window) -> np.ndarray:
    """Decode ``count`` frames from ``start`` on as presented, cut to ``window``: (count, height, width, 3) uint8 RGB.

    The pixels are those that :class:`VideoReader` gives, turned upright, or those of the images. Decodes on one thread.

    Raises:
        InputError: it is no clip, the excerpt is not inside of it, or it is damaged there.
    """
    facts = read_facts(path)
    top, left, height, width = window
    inside = min(start, top, left) >= 0 and min(count, height, width) >= 1 and start + count <= facts.frames
    inside = inside and top + height <= facts.height and left + width <= facts.width
    require(inside, f"{path}: excerpt", f"{count} frames from {start} on, window {window}",
            f"a part of {facts.frames} frames of {facts.height}x{facts.width}")  # fmt: skip
    if facts.files:
        images = read_frames(facts.files[start : start + count], (facts.height, facts.width))
        return np.stack([image[top : top + height, left : left + width] for image in images])
    times, stored = facts.times[start : start + count], stored_window(window, (facts.height, facts.width), facts.turns)
    keys = facts.keys[facts.keys <= times[0]]
    # Try the last key frame; then an earlier one, as the last may only begin a gradual refresh; then the start, as no
    # frame can be sought in MPEG-TS.
    attempts = [keys[-1], keys[-min(4, len(keys))]] if len(keys) else []
    for key in [*dict.fromkeys(map(int, attempts)), None]:
        frames = _decode(path, key, times, stored)
        if frames is not None:
            return np.ascontiguousarray(np.rot90(frames, facts.turns, axes=(1, 2)))
    raise InputError(f"{path}: some of frames {start} to {start + count - 1} cannot be decoded; it may be damaged")


def _decode(path: str | Path, key: int | None, times: np.ndarray, window: Window) -> np.ndarray | None:
    """Decode the frames presented at ``times``, as stored, from the key frame at ``key`` on; ``None`` if some do not come.

    On the way, non-reference frames are skipped in H.264, which marks them reliably; in HEVC, a frame of another
    temporal layer may still refer to one.
    """
    slots = {int(time): i for i, time in enumerate(times)}
    frames = np.empty((len(times), *window[2:], 3), np.uint8)
    with VideoReader(path, threads=1) as video:
        context = video.stream.codec_context
        may_skip = context.name == "h264"
        try:
            cropped = _cropper(video, window)
            if key is not None:
                video.container.seek(key, stream=video.stream)
            begun = key is None
            for packet in video.container.demux(video.stream):
                if key is not None and not begun and packet.size:
                    if not packet.is_keyframe:
                        continue
                    if packet.pts is None or packet.pts > key:
                        return None
                    begun = True
                early = packet.pts is not None and packet.pts < times[0]
                if may_skip:
                    context.skip_frame = "NONREF" if early else "DEFAULT"
                for frame in packet.decode():
                    if frame.pts in slots and not frame.is_corrupt:
                        _check_size(frame, video)
                        frames[slots.pop(frame.pts)] = cropped(frame)
                    if not slots:
                        return frames
                    if frame.pts is not None and frame.pts >= times[-1]:
                        return None
        except (FFmpegError, ValueError) as error:  # ValueError: no pixel format is known
            raise InputError(f"{path}: damaged ({reason(error)})") from error
    return None


def _check_size(frame: av.VideoFrame, video: VideoReader) -> None:
    if (frame.width, frame.height) != (video.width, video.height):
        raise InputError(
            f"{video.path}: at {frame.time:.3f} s it is {frame.width}x{frame.height} instead of "
            f"{video.width}x{video.height}; cut it there"
        )


def _cropper(video: VideoReader, window: Window) -> Callable[[av.VideoFrame], np.ndarray]:
    """Return a function that converts the ``window`` of a frame to an RGB image (height, width, 3) uint8.

    libavfilter's crop moves pointers and copies nothing, in any pixel format.
    """
    (top, height), (left, width) = window[::2], window[1::2]
    (y0, y1), (x0, x1) = _around(top, height, video.height), _around(left, width, video.width)
    graph = Graph()
    source = graph.add_buffer(template=video.stream)
    crop = graph.add("crop", f"{x1 - x0}:{y1 - y0}:{x0}:{y0}:exact=1")
    graph.link_nodes(source, crop, graph.add("buffersink")).configure()

    def cropped(frame: av.VideoFrame) -> np.ndarray:
        graph.push(frame)
        return video.rgb(graph.vpull())[top - y0 :, left - x0 :][:height, :width]

    return cropped


def _around(start: int, length: int, whole: int) -> tuple[int, int]:
    """Return the smallest aligned interval of 0..``whole`` that holds the given one and :data:`CHROMA_REACH` around it.

    It is all of 0..``whole`` if chroma does not divide that evenly: cropping would then shift the chroma a little.
    """
    if whole % 4:
        return 0, whole
    first = max(start - CHROMA_REACH, 0) // ALIGNMENT * ALIGNMENT
    stop = -(-(start + length + CHROMA_REACH) // ALIGNMENT) * ALIGNMENT
    return first, min(stop, whole)
