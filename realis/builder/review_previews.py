"""Previews of a clip for the review page: a small video, and crops of one frame at full resolution."""

import re
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from av.video.reformatter import Interpolation

from realis.builder.clip import Clip
from realis.core.errors import InputError, RunError
from realis.core.files import whole_file
from realis.core.log import logger
from realis.pictures.sheet import detailed_places
from realis.video.encoding import Encoding
from realis.video.read import VideoReader, middle_frame

PLACES = 4  # number of most detailed crops that are offered
FRAMES = 4  # whole frames that are kept in memory; 25 MB each at 4K


@dataclass(frozen=True)
class Still:
    """One frame of a clip, (H, W, 3) uint8, its number, and the top left corners of its most detailed crops."""

    image: np.ndarray
    number: int
    places: list[tuple[int, int]]


class Previews:
    """Previews of ``clips``, made when they are first asked for. A context manager; safe to use from several threads.

    Previews are identified by the digest of the clip, never by a path, so that no other file can be reached.

    Args:
        folder: where the preview videos are kept.
        build: folder of the build.
        clips: clips with digests.
        longer: longer side of the preview videos, in pixels; smaller clips keep their size.
        crop: side of the crops, in pixels.
    """

    def __init__(self, folder: Path, build: Path, clips: list[Clip], longer: int, crop: int) -> None:
        assert all(re.fullmatch(r"[0-9a-f-]+", clip.digest) for clip in clips)
        self.folder, self.build, self.longer, self.crop = folder, build, longer, crop
        self.clips = {clip.digest: clip for clip in clips}
        self._stills: OrderedDict[str, Still] = OrderedDict()
        self._film_lock, self._still_lock = threading.Lock(), threading.Lock()  # one at a time: decoders use all cores
        self._ahead = ThreadPoolExecutor(1)

    def __enter__(self) -> "Previews":
        return self

    def __exit__(self, *_: object) -> None:
        self._ahead.shutdown(cancel_futures=True)

    def prepare(self, clip: Clip) -> None:
        """Make the previews of the clip that will be looked at next, in the background."""
        self._ahead.submit(self._prepare, clip.digest)

    def _prepare(self, digest: str) -> None:
        try:
            self.still(digest)
            self.film(digest)
        except (InputError, RunError) as error:
            logger.warning("review: no preview: %s", error)

    def film(self, digest: str) -> Path:
        """Return the preview video, made if it is not there.

        Raises:
            KeyError: no such clip.
            InputError: the clip cannot be read.
        """
        clip = self.clips[digest]
        file = self.folder / f"{digest}-{self.longer}.mp4"
        with self._film_lock:
            if file.is_symlink() or not file.is_file():  # a link could lead anywhere: it is replaced
                with VideoReader(clip.path(self.build)) as video, whole_file(file) as temporary:
                    size = preview_size(video.height, video.width, self.longer)
                    # Resized in their own pixel format: five times as fast as after conversion to RGB
                    small = (
                        video.rgb(frame.reformat(width=size[1], height=size[0], interpolation=Interpolation.AREA))
                        for frame in video.frames()
                    )
                    Encoding("h264", crf=23).write_video(temporary, size, video.rate, small)
        return file

    def still(self, digest: str) -> Still:
        """Return the frame in the middle of the clip.

        Raises:
            KeyError: no such clip.
            InputError: the clip cannot be read.
        """
        clip = self.clips[digest]
        with self._still_lock:
            if digest not in self._stills:
                image, number = middle_frame(clip.path(self.build))
                places = detailed_places(image, min(self.crop, *image.shape[:2]), PLACES)
                self._stills[digest] = Still(image, number, places)
            self._stills.move_to_end(digest)
            while len(self._stills) > FRAMES:
                self._stills.popitem(last=False)
            return self._stills[digest]

    def part(self, digest: str, top: int, left: int, side: int) -> bytes:
        """Return a crop of the still at ``top``, ``left`` as PNG, without scaling; its side is ``side`` or less, and it is moved
        to lie within the frame."""
        image = self.still(digest).image
        height, width = (min(max(side, 1), self.crop, edge) for edge in image.shape[:2])
        top = min(max(top, 0), image.shape[0] - height)
        left = min(max(left, 0), image.shape[1] - width)
        cut = cv2.cvtColor(image[top : top + height, left : left + width], cv2.COLOR_RGB2BGR)
        return cv2.imencode(".png", cut, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def preview_size(height: int, width: int, longer: int) -> tuple[int, int]:
    """Return height and width of a preview: even, of the same aspect ratio, the longer side at most ``longer``.

    >>> preview_size(3840, 2160, 960)
    (960, 540)
    """
    scale = min(1.0, longer / max(height, width))
    return max(round(height * scale / 2) * 2, 2), max(round(width * scale / 2) * 2, 2)
