"""Frames of a file or folder, read as they are meant to be seen, or the part of them that counts."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.core.errors import InputError
from realis.core.files import fitting_name
from realis.data.lr_sets.record import content_of, facts_of
from realis.upscaling.app.frames import as_tensor
from realis.video.source import FolderSource, open_source

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Footage:
    """A video, or a folder of images, or a part of it.

    Args:
        path: the file or folder.
        start: number of the first frame that counts.
        frames: how many count at most; ``None``: all from ``start`` on.
        multiple: the sides are cut to multiples of it, at the bottom and on the right.
    """

    path: Path
    start: int = 0
    frames: int | None = None
    multiple: int = 1

    def read(self) -> "Iterator[torch.Tensor]":
        """Yield the frames, (3, H, W) float32 in [0, 1].

        Raises:
            InputError: the file cannot be read, is damaged, or has no frame in the part.
        """
        number = self.start - 1
        with open_source(self.path) as source:
            height, width = self.cut(source.format.size)
            for number, frame in enumerate(islice(source.frames(self.start), self.frames), self.start):
                if frame.fault not in ("", "retimed"):
                    raise InputError(
                        f"{self.path}: frame {number} is {frame.fault}; what is damaged cannot be measured"
                    )
                yield as_tensor(frame)[:, :height, :width].clamp_(0, 1)
        if number < self.start:
            raise InputError(f"{self.path}: has no frame {self.start}; wanted a longer video, or an earlier start")

    def cut(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of what counts of frames of ``size``."""
        return size[0] // self.multiple * self.multiple, size[1] // self.multiple * self.multiple

    def size(self) -> tuple[int, int]:
        """Return height and width of the frames.

        Raises:
            InputError: the file cannot be read.
        """
        with open_source(self.path) as source:
            return self.cut(source.format.size)

    def announced_frames(self) -> int:
        """Return the number of frames, as the file announces it; 0 if it does not.

        Raises:
            InputError: the file cannot be read.
        """
        with open_source(self.path) as source:
            count = max((source.frame_count or 0) - self.start, 0)
        return count if self.frames is None else min(count, self.frames)

    def facts(self) -> dict[str, Any]:
        """Return what tells these frames from others: content of the file, and the part."""
        files = FolderSource(self.path).files if self.path.is_dir() else [self.path]
        content = _content(tuple(files), facts_of(files))
        return {"content": content, "start": self.start, "frames": self.frames, "multiple": self.multiple}


@cache
def _content(files: tuple[Path, ...], facts: str) -> str:
    """Return a hash of names and contents of files, which are read once as long as their sizes and times stay."""
    return content_of(list(files))


def file_name(*parts: str, ending: str = "") -> str:
    """Return a name for a file or folder of what ``parts`` name (a case, a row, a clip), which every file system takes.

    Where a character had to be replaced a digest is added: ``a/b`` and ``a_b`` are two files.

    >>> file_name("mid", "000", ending=".mkv")
    'mid_000.mkv'
    """
    text = "_".join(filter(None, parts))
    safe = re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII).strip(".")
    if safe != text:
        safe += f"~{hashlib.sha256(os.fsencode(text)).hexdigest()[:8]}"
    return fitting_name(safe, ending)
