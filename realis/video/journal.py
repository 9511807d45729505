"""What of a result is already there: segments on disk, and what a run goes on from. Survives kill -9 at any moment.

In a hidden folder beside the result, for segment n: ``n.json`` (its frames, their times, its size), ``n.safetensors``
(what the next segment depends on; of the last two) and last the segment itself, whose appearance makes it count.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from realis.core.errors import InputError, RunError, file_error, reason
from realis.core.files import read_json, remove_folder, sync, whole_file
from realis.core.log import logger
from realis.core.records import build_record
from realis.core.system import HAS_LOCKS, lock
from realis.video.results import differences, parts_folder

Tensors = dict[str, Any]


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else (path,)))


@dataclass(frozen=True)
class Segment:
    """A finished segment: its first frame, for all its frames the time and length in ticks, whether it is the last, the
    numbers of frames with a fault of the source by its name, and how many bytes its encoded file or files have."""

    start: int
    times: tuple[int, ...]
    durations: tuple[int, ...]
    last: bool
    faults: dict[str, tuple[int, ...]] = field(default_factory=dict)
    size: int = 0

    @property
    def stop(self) -> int:
        """The first frame after it."""
        return self.start + len(self.times)


class Journal:
    """The segments of one result.

    Args:
        output: the result; the journal is the hidden folder ``.NAME.parts`` beside it.
        key: all that the result depends on, as plain values; ``None``: nothing is kept for another run.
        suffix: of a segment's file or folder.
        anew: forget what is finished.

    Attributes:
        segments: what is finished, in order.
    """

    def __init__(self, output: Path, key: Mapping[str, Any] | None, suffix: str, anew: bool) -> None:
        self.output, self.key, self.suffix, self.anew = output, key, suffix, anew
        self.folder = parts_folder(output)
        self.segments: list[Segment] = []

    def open(self) -> None:
        """Take the folder for this process alone, and find what is finished.

        Raises:
            InputError: another process is at it; or a run that differs in something left it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        if not lock(self._lock, wait=False):
            self._lock.close()
            raise InputError(f"--output {self.output}: another process is writing it; wait, or choose another name")
        try:
            self._read()
        except BaseException:
            self._lock.close()
            raise

    def _read(self) -> None:
        file = self.folder / "key.json"
        if self.anew or self.key is None or not (file.exists() and self.part(0).exists()):
            self._clear()
            self._write_key()
            return
        before = read_json(file)
        if before is None:  # as where a disk fails: nothing is deleted for that
            raise InputError(
                f"--output {self.output}: an unfinished run is there, but {file} cannot be read; --restart begins anew"
            )
        now = json.loads(json.dumps(self.key))
        if what := differences(before, now):
            raise InputError(f"--output {self.output}: an unfinished run is there that differs ({what}); give what it was "
                             "given to finish it, or --restart to begin anew")  # fmt: skip
        while self.part(len(self.segments)).exists():
            segment = self._whole_segment(read_json(self.path(".json")))
            if segment is None:
                break
            self.segments.append(segment)
        while self.segments and not self.complete and not self.path(".safetensors", back=1).exists():
            self.segments.pop()
        if self.part(len(self.segments)).exists():
            logger.warning("%s: what is finished is damaged from segment %d on, which is made again", self.output,
                           len(self.segments) + 1)  # fmt: skip
        self._remove_from(len(self.segments))

    def _whole_segment(self, facts: dict[str, Any] | None) -> Segment | None:
        """The next segment, if what is known of it can be read, follows on the one before, and it is as long as noted."""
        try:
            segment = build_record(Segment, facts)
        except (ValueError, TypeError):
            return None
        follows = segment.start == (self.segments[-1].stop if self.segments else 0)
        follows = follows and len(segment.times) == len(segment.durations) > 0
        return segment if follows and segment.size == size_of(self.path(self.suffix)) else None

    def _remove_from(self, number: int) -> None:
        """Remove what is there of segment ``number`` and those after it."""
        for path in self.folder.iterdir():
            if path.stem.isdigit() and int(path.stem) >= number:
                remove_folder(path) if path.is_dir() else path.unlink()

    def _write_key(self) -> None:
        with whole_file(self.folder / "key.json") as temporary:
            temporary.write_text(json.dumps(self.key))

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                remove_folder(path)
            elif path.name != "lock":
                path.unlink()

    @property
    def complete(self) -> bool:
        """Whether all segments are there."""
        return bool(self.segments) and self.segments[-1].last

    def path(self, suffix: str, back: int = 0) -> Path:
        """A file of the segment to come; ``back`` = 1: of the last finished one."""
        return self.folder / f"{len(self.segments) - back:06d}{suffix}"

    def part(self, number: int) -> Path:
        """The encoded segment ``number``."""
        return self.folder / f"{number:06d}{self.suffix}"

    def carry(self) -> Tensors:
        """What the segment to come depends on.

        Raises:
            InputError: it cannot be read.
        """
        from safetensors.torch import load_file

        file = self.path(".safetensors", back=1)
        try:
            return load_file(file) if self.segments else {}
        except (OSError, SafetensorError) as error:
            raise file_error(f"{file}: cannot be read ({reason(error)}); begin anew with --restart", error) from error

    def add(self, segment: Segment, carry: Tensors, encode: Callable[[Path], None]) -> None:
        """Encode a segment and make it durable, with what comes after it depends on.

        Raises:
            OSError: it cannot be written.
        """
        stale = self.path(".safetensors", back=2)  # that of the last is kept, should this one be damaged
        temporary = self.path(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        encode(temporary)
        segment = replace(segment, size=size_of(temporary))
        if self.key is not None:
            self._write_facts(segment, carry)
        for path in (*(temporary.iterdir() if temporary.is_dir() else ()), temporary):
            sync(path)
        temporary.replace(self.path(self.suffix))
        sync(self.folder)
        self.segments.append(segment)
        stale.unlink(missing_ok=True)

    def _write_facts(self, segment: Segment, carry: Tensors) -> None:
        from safetensors.torch import save_file

        facts, tensors = self.path(".json"), self.path(".safetensors")
        facts.write_text(json.dumps(asdict(segment)))
        save_file({name: x.contiguous() for name, x in carry.items()}, tensors)
        sync(facts)
        sync(tensors)

    def settle_tile(self, tile: tuple[int, int], multiple: int) -> tuple[int, int]:
        """The smaller of ``tile`` and the one that a run before had to take, sides of which are multiples of ``multiple``; it
        is kept for the next run."""
        file = self.folder / "tile.json"
        before = read_json(file) or {}
        smaller = dict(zip(("height", "width"), tile, strict=True))
        for name, side in smaller.items():
            known = before.get(name)
            smaller[name] = known if type(known) is int and 0 < known < side and known % multiple == 0 else side
        with whole_file(file) as temporary:
            temporary.write_text(json.dumps(smaller))
        return smaller["height"], smaller["width"]

    def times(self) -> tuple[list[int], int]:
        """The times of all frames, and the length of the last one, in ticks."""
        return [t for segment in self.segments for t in segment.times], self.segments[-1].durations[-1]

    def faults(self) -> dict[str, list[int]]:
        """The numbers of all frames with a fault of the source, by its name."""
        found: dict[str, list[int]] = {}
        for segment in self.segments:
            for name, numbers in segment.faults.items():
                found.setdefault(name, []).extend(numbers)
        return found

    def close(self, finished: bool) -> None:
        """Let go of the folder; remove it unless another run can go on from it."""
        if not HAS_LOCKS:
            self._lock.close()  # first, for Windows removes no folder in which a file is open
        if finished or self.key is None or not self.segments:
            remove_folder(self.folder)
        self._lock.close()


def was_ready(output: Path) -> bool:
    """Whether a run that was killed has left the last segment of a result, and so may have joined them."""
    return any((read_json(file) or {}).get("last") is True for file in parts_folder(output).glob("[0-9]*.json"))


def tidy_up(output: Path) -> None:
    """Remove what a run left that was killed after its result was there, unless another process is at it."""
    if parts_folder(output).exists():
        try:
            journal = Journal(output, None, "", anew=True)
            journal.open()
            journal.close(finished=True)
        except (InputError, RunError):
            return
    remove_folder(parts_folder(output))
