"""Write a result in segments that survive a crash, and join them, without encoding again, when all are finished.

Every segment is a file of its own with closed GOPs, or a folder of images. The result appears under its
final name complete or not at all.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError
from safetensors import SafetensorError

from realis.core.errors import InputError, file_error
from realis.core.files import fitting_name, link_or_copy, replace_folder, sync, temporary_name
from realis.video.encoding import CODECS, Encoding
from realis.video.finished import forget_result, note_result
from realis.video.journal import Journal, Segment
from realis.video.mux import Timeline, join_segments
from realis.video.results import notes_file, parts_folder
from realis.video.source import Source, VideoSource

ENDINGS = sorted({ending for codec in CODECS.values() for ending in codec.endings if ending})


def check_output(output: Path, others: tuple[Path, ...] = (), flag: str = "--output") -> None:
    """Check before any work that ``output`` can be written: that its names are not taken, and can be created.

    Args:
        output: file, or folder of images.
        others: files that are written with it.
        flag: that gave it, for messages.

    Raises:
        InputError: its ending is unknown, something else has its name, or its folder cannot be made or written to.
    """
    check_ending(output)
    is_folder, files = not output.suffix, (notes_file(output), *others)
    for path in (output, parts_folder(output), *files):
        wanted = "a folder" if path == parts_folder(output) or (is_folder and path == output) else "a file"
        if kind_of(path) not in ("", wanted):
            raise InputError(
                f"{flag} {output}: {path} is {kind_of(path)}, wanted {wanted}; move it, or choose another name"
            )
    if is_folder and os.path.ismount(output):  # it cannot be renamed, and so not be replaced
        raise InputError(f"{flag} {output}: is where a disk is mounted; wanted a folder on it")
    check_folder(output.parent, flag)
    try:
        for path in (output, *files):  # not by their own names: no empty file may be seen there, even for a moment
            temporary_name(path).touch()
            temporary_name(path).unlink()
    except OSError as error:
        raise file_error(f"{flag} {output}: {path.name} cannot be written there ({error.strerror})", error) from error


def kind_of(path: Path) -> str:
    """Say in words what kind of thing is at ``path``; empty if nothing is."""
    if path.is_dir():
        return "a folder"
    if path.exists():
        return "a file" if path.is_file() else "a pipe or device"
    return "a link to nothing" if path.is_symlink() else ""


def check_ending(output: Path) -> None:
    """Make sure that ``output`` has the ending of a file that some codec is stored in, or none: a folder of images.

    Raises:
        InputError: it has another ending.
    """
    if output.suffix and output.suffix.lower() not in ENDINGS:
        raise InputError(
            f"--output {output}: got the ending {output.suffix!r}, wanted {', '.join(ENDINGS)}, or none for a folder of images"
        )


def check_folder(folder: Path, flag: str = "--output") -> None:
    """Make ``folder``, and make sure that files can be written in it.

    Raises:
        InputError: it cannot be made, as where a file has its name, or nothing can be written in it.
    """
    for path in (folder, *folder.parents):
        if kind_of(path) not in ("", "a folder"):
            raise InputError(f"{flag}: {path} is {kind_of(path)}, wanted a folder; move it, or choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise file_error(f"{flag} {folder}: cannot be written there ({error.strerror})", error) from error


def unfinished_name(output: Path) -> Path:
    """Return the hidden name under which a result is joined from its segments."""
    return output.with_name(fitting_name(f".{output.name}", f".tmp{output.suffix}"))


def as_ranges(numbers: list[int]) -> str:
    """Format rising numbers as ranges.

    >>> as_ranges([3, 4, 5, 9])
    '3-5, 9'
    """
    known = set(numbers)
    firsts = [n for n in numbers if n - 1 not in known]
    lasts = [n for n in numbers if n + 1 not in known]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(firsts, lasts, strict=True))


class SegmentWriter:
    """Encode segments and join them. A context manager: leaving it without an error finishes the result.

    Args:
        output: final file, or folder of images.
        size: height and width; even where colours are stored at half the size.
        rate: frames a second.
        encoding: codec, bits, quality.
        source: where time base, sound and all other streams come from.
        pixel_aspect: width of a pixel over its height.
        key: all that the result depends on: finished segments then stay after an error, and a writer with the same key
            resumes from them. ``None``: nothing stays.
        restart: delete finished segments, and begin at the first frame.
        damage: known damage of the source, a line each, for the notes beside the result.

    Raises:
        InputError: the result cannot be written, or another process is writing it.
    """

    def __init__(
        self,
        output: Path,
        size: tuple[int, int],
        rate: Fraction,
        encoding: Encoding = Encoding(),  # noqa: B008 - frozen
        source: Source | None = None,
        pixel_aspect: Fraction = Fraction(1),
        key: Mapping[str, Any] | None = None,
        restart: bool = False,
        damage: Sequence[str] = (),
    ) -> None:
        self.output, self.size, self.rate, self.encoding = Path(output).absolute(), size, rate, encoding
        self.source, self.pixel_aspect, self.damage = source, pixel_aspect, damage
        self.are_images = "" in CODECS[encoding.codec].endings
        self.journal = Journal(self.output, key, ".images" if self.are_images else ".video", restart)

    def __enter__(self) -> "SegmentWriter":
        with self._errors_in_one_line():
            self.journal.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        finished = False
        try:
            if kind is None:
                with self._errors_in_one_line():
                    self._finish()
                finished = True
        finally:
            self.journal.close(finished)

    def write(
        self,
        start: int,
        images: Iterable[np.ndarray],
        times: list[int] | None = None,
        durations: list[int] | None = None,
        faults: dict[str, list[int]] | None = None,
        carry: dict[str, Any] | None = None,
        last: bool = False,
        measured: dict[str, dict[str, str | float]] | None = None,
    ) -> None:
        """Encode frames as the next segment, and sync it to disk.

        Args:
            start: number of the first frame.
            images: (H, W, 3 or 4) each, as ``encoding`` takes them.
            times: of presentation, in ticks of the source; without a source, in frames.
            durations: in the same unit.
            faults: numbers of the frames that have a fault of the source, by its name.
            carry: tensors that the next segment depends on.
            last: whether this is the last segment.
            measured: of the last one, what was measured of the whole result, for the notes beside it.
        """
        images = list(images)
        numbers = list(range(start, start + len(images)))
        found = {name: tuple(frames) for name, frames in (faults or {}).items()}
        segment = Segment(start, tuple(times or numbers), tuple(durations or [1] * len(images)), last, found,
                          measured=measured or {})  # fmt: skip
        with self._errors_in_one_line():
            self.journal.add(segment, carry or {}, lambda file: self._encode(file, images))

    def _encode(self, file: Path, images: list[np.ndarray]) -> None:
        if self.are_images:
            file.mkdir()
            for number, content in enumerate(self.encoding.images(self.size, images)):
                (file / f"{number:06d}.png").write_bytes(content)
        else:
            self.encoding.write_video(file, self.size, self.rate, images)

    def _finish(self) -> None:
        temporary = unfinished_name(self.output)
        parts = [self.journal.segment_path(n) for n in range(len(self.journal.segments))]
        forget_result(self.output)
        try:
            (self._collect if self.are_images else self._join)(temporary, parts)
            if temporary.is_dir():
                replace_folder(temporary, self.output)
            else:
                sync(temporary)
                temporary.replace(self.output)
                sync(self.output.parent)
        finally:
            temporary.unlink(missing_ok=True) if not temporary.is_dir() else shutil.rmtree(temporary)
        if self.journal.key is not None:
            faults = {name: as_ranges(numbers) for name, numbers in self.journal.faults().items()}
            notes = {"damage of the input": list(self.damage), "faults of the input, by frames": faults,
                     **self.journal.segments[-1].measured}  # fmt: skip
            note_result(self.output, self.journal.key, {name: found for name, found in notes.items() if found})

    def _join(self, temporary: Path, parts: list[Path]) -> None:
        times, last = self.journal.times()
        timeline = Timeline(times, last, self.source.time_base if self.source else 1 / self.rate).regular(self.rate)
        film = self.source if isinstance(self.source, VideoSource) else None
        file, span = (film.path.absolute(), film.excerpt()) if film else (None, None)
        join_segments(temporary, parts, self.rate, timeline, self.pixel_aspect, file, span)

    def _collect(self, temporary: Path, parts: list[Path]) -> None:
        """Collect the images of all segments under their final names: those of the source, or numbers."""
        images = [image for part in parts for image in sorted(part.iterdir())]
        if self.output.suffix:
            temporary.unlink(missing_ok=True)
            link_or_copy(images[0], temporary)
            return
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for number, image in enumerate(images):
            link_or_copy(image, temporary / f"{self._image_name(number)}.png")

    def _image_name(self, number: int) -> str:
        """Return the name of image ``number`` of a folder, without its ending."""
        files = getattr(self.source, "files", None)
        return files[number].stem if files else f"{number:06d}"

    @contextmanager
    def _errors_in_one_line(self):
        """Turn errors of the disk and of the encoder into one line for the user."""
        try:
            yield
        except (OSError, FFmpegError, SafetensorError) as error:
            what = getattr(error, "strerror", None) or error
            stays = self.journal.segments and self.journal.key and self.journal.folder.exists()
            kept = (
                "; what is finished stays, and the same command (without --restart) goes on from there" if stays else ""
            )
            raise file_error(f"--output {self.output}: writing failed ({what}){kept}", error) from error
