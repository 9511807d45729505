"""Frame sequences of a data set: folders of images, and videos, read the same way and written back in the same form."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from realis.core.errors import InputError, reason
from realis.core.files import fitting_name, whole_file, whole_folder
from realis.ops.reproducible import BITEXACT
from realis.video.names import IMAGES, VIDEOS, describe_folder, files_in
from realis.video.read import VideoReader


@dataclass(frozen=True)
class FrameSequence:
    """A folder of frames, or a video; ``name`` is its path below the folder of the data set, without an ending."""

    name: str
    path: Path

    @property
    def images(self) -> list[Path]:
        """The frames of a folder, in the order of the numbers in their names; empty for a video."""
        return frame_files(self.path) if self.path.is_dir() else []

    def announced_frames(self) -> int:
        """Return the number of frames: exact for a folder, as announced for a video, 0 if that is unknown."""
        if self.path.is_dir():
            return len(self.images)
        try:
            with VideoReader(self.path) as video:
                return video.frame_count or 0
        except InputError:
            return 0

    def frames(self, threads: int = 0) -> Iterator[np.ndarray]:
        """Yield frames (H, W, 3) uint8 RGB, in order.

        Args:
            threads: for decoding a video; 0: one per core.

        Raises:
            InputError: a file that cannot be read, or is no 8-bit picture of the size of the first.
        """
        if self.path.is_dir():
            yield from read_frames(self.images)
        else:
            with VideoReader(self.path, threads) as video:
                yield from video


def frame_files(folder: Path) -> list[Path]:
    """Return the frames in a folder, in the order of the numbers in their names.

    Raises:
        InputError: it cannot be listed, or two differ in their ending only.
    """
    files = files_in(folder, IMAGES)
    stems = Counter(file.stem for file in files)
    for stem in (stem for stem, count in stems.items() if count > 1):
        raise InputError(f"{folder}: two pictures are called {stem}; wanted one a frame")
    return files


def read_frames(files: Iterable[Path], size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
    """Yield the frames (H, W, 3) uint8 RGB of image files.

    Args:
        size: height and width that all must have; ``None``: those of the first.

    Raises:
        InputError: a file that cannot be read, or is no 8-bit picture of that size.
    """
    for file in files:
        try:
            data = np.fromfile(file, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({reason(error)})") from error
        except cv2.error:  # its header tells of more pixels than OpenCV takes
            image = None
        if image is None or image.dtype != np.uint8:
            raise InputError(f"{file}: {'not a picture' if image is None else image.dtype}; wanted an 8-bit picture")
        height, width = size = size or image.shape[:2]
        if image.shape[:2] != size:
            raise InputError(f"{file}: got {image.shape[1]}x{image.shape[0]}, wanted {width}x{height} as before it")
        yield _rgb(image)


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def find_sequences(folder: Path, results: bool = False) -> list[FrameSequence]:
    """Find all clips in ``folder`` and below, sorted by name: each folder with pictures in it, and each video.

    Args:
        folder: where to look.
        results: whether results of earlier runs of ``upscale`` count.

    Raises:
        InputError: no such folder, no clips in it, or clips that could not be told apart when written back.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'a file' if folder.exists() else 'nothing there'}; wanted a folder of clips")
    videos = set(files_in(folder, VIDEOS, below=True, results=results))
    folders = sorted({file.parent for file in files_in(folder, IMAGES, below=True, results=results)})
    clips: dict[str, FrameSequence] = {}
    for path in [*folders, *sorted(videos)]:
        name = path.relative_to(folder).with_suffix("") if path in videos else path.relative_to(folder)
        clip = FrameSequence(name.as_posix() if name.parts else folder.resolve().name, path)
        if clip.name in clips:
            other = clips[clip.name].path.name
            raise InputError(f"{folder}: {path.name} and {other} would have the same name {clip.name}; rename one")
        clips[clip.name] = clip
    if not clips:
        held = describe_folder(folder, VIDEOS + IMAGES, below=True)
        raise InputError(f"{folder}: no clips in it: videos, or folders of frames such as 000/00000000.png; {held}")
    _check_apart(folder, clips, set(folders))
    return [clips[name] for name in sorted(clips)]


def _check_apart(folder: Path, clips: dict[str, FrameSequence], folders: set[Path]) -> None:
    """Refuse a clip inside a folder of frames, and two frames of one name: writing one would replace the other.

    Raises:
        InputError: there are some.
    """
    for clip in clips.values():
        for above in clip.path.parents:
            if above in folders:
                where = above.relative_to(folder).as_posix()
                raise InputError(f"{folder}: {where} holds frames and the clip {clip.name} as well; move one of them")
        if clip.path in folders:
            frame_files(clip.path)


def written_path(clip: FrameSequence, output: Path) -> Path:
    """Return the path at which :func:`write_like` writes a clip."""
    return output if clip.path.is_dir() else output.with_name(fitting_name(output.name, ".mkv"))


def write_like(clip: FrameSequence, frames: Iterable[np.ndarray], output: Path) -> Path:
    """Write ``frames`` (H, W, 3) uint8 RGB without loss, in the form of ``clip``: complete or not at all.

    A folder of frames becomes a folder ``output`` of PNG files of the same names, a video ``output``.mkv (FFV1, RGB).

    Raises:
        InputError: it cannot be written there.
        RunError: the disk is full or fails.
    """
    final = written_path(clip, output)
    if clip.path.is_dir():
        with whole_folder(final) as temporary:
            for file, frame in zip(clip.images, frames, strict=True):
                _, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
                data.tofile(temporary / f"{file.stem}.png")
    else:
        with VideoReader(clip.path) as video:
            rate = video.rate
        with whole_file(final) as temporary:
            _write_ffv1(temporary, frames, rate)
    return final


def _write_ffv1(file: Path, frames: Iterable[np.ndarray], rate: Fraction) -> None:
    with av.open(str(file), "w", format="matroska", container_options=BITEXACT) as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.pix_fmt = "bgr0"
        for i, frame in enumerate(frames):
            if i == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        container.mux(stream.encode(None))
