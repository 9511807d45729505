"""The journal of finished segments from which an interrupted run resumes. It survives kill -9 at any moment.

It is a hidden folder beside the result. Segment n has ``n.json`` (its frames, their times, its size), ``n.safetensors``
(the tensors that the next segment depends on; kept for the last two segments), and, written last, the encoded segment
itself: only when that is there does the segment count.
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
    """Return the bytes of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else (path,)))


@dataclass(frozen=True)
class Segment:
    """A finished segment.

    Args:
        start: number of its first frame.
        times: of presentation of its frames, in ticks.
        durations: of its frames, in ticks.
        last: whether it is the last of the result.
        faults: numbers of the frames that have a fault of the source, by its name.
        size: bytes of its encoded file or files.
        measured: of the last one, what was measured of the whole result: by the name of the meter, plain values.
    """

    start: int
    times: tuple[int, ...]
    durations: tuple[int, ...]
    last: bool
    faults: dict[str, tuple[int, ...]] = field(default_factory=dict)
    size: int = 0
    measured: dict[str, dict[str, str | float]] = field(default_factory=dict)

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
        restart: delete the finished segments.

    Attributes:
        segments: the finished ones, in order.
    """

    def __init__(self, output: Path, key: Mapping[str, Any] | None, suffix: str, restart: bool) -> None:
        self.output, self.key, self.suffix, self.restart = output, key, suffix, restart
        self.folder = parts_folder(output)
        self.segments: list[Segment] = []

    def open(self) -> None:
        """Lock the folder for this process, and read the finished segments.

        Raises:
            InputError: another process is writing the result, or an unfinished run had another key.
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
        if self.restart or self.key is None or not (file.exists() and self.segment_path(0).exists()):
            self._clear()
            with whole_file(file) as temporary:
                temporary.write_text(json.dumps(self.key))
            return
        before = read_json(file)
        if before is None:  # the disk may fail: that is no reason to delete anything
            raise InputError(
                f"--output {self.output}: an unfinished run is there, but {file} cannot be read; --restart begins anew"
            )
        now = json.loads(json.dumps(self.key))
        if what := differences(before, now):
            raise InputError(f"--output {self.output}: an unfinished run is there that differs ({what}); give what it was "
                             "given to finish it, or --restart to begin anew")  # fmt: skip
        while self.segment_path(len(self.segments)).exists():
            segment = self._whole_segment(read_json(self.path(".json")))
            if segment is None:
                break
            self.segments.append(segment)
        while self.segments and not self.complete and not self.path(".safetensors", back=1).exists():
            self.segments.pop()
        if self.segment_path(len(self.segments)).exists():
            logger.warning("%s: what is finished is damaged from segment %d on, which is made again", self.output,
                           len(self.segments) + 1)  # fmt: skip
        self._remove_from(len(self.segments))

    def _whole_segment(self, facts: dict[str, Any] | None) -> Segment | None:
        """Return the next segment; ``None`` if ``facts`` are damaged, or do not fit the segment before or its file."""
        try:
            segment = build_record(Segment, facts)
        except (ValueError, TypeError):
            return None
        follows = segment.start == (self.segments[-1].stop if self.segments else 0)
        follows = follows and len(segment.times) == len(segment.durations) > 0
        return segment if follows and segment.size == size_of(self.path(self.suffix)) else None

    def _remove_from(self, number: int) -> None:
        """Remove all files of segment ``number`` and of those after it."""
        for path in self.folder.iterdir():
            if path.stem.isdigit() and int(path.stem) >= number:
                remove_folder(path) if path.is_dir() else path.unlink()

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                remove_folder(path)
            elif path.name != "lock":
                path.unlink()

    @property
    def complete(self) -> bool:
        """Whether the last segment is finished."""
        return bool(self.segments) and self.segments[-1].last

    def path(self, suffix: str, back: int = 0) -> Path:
        """Return the path of a file of the next segment; ``back`` = 1: of the last finished one."""
        return self.folder / f"{len(self.segments) - back:06d}{suffix}"

    def segment_path(self, number: int) -> Path:
        """Return the path of the encoded segment ``number``, a file or a folder of images."""
        return self.folder / f"{number:06d}{self.suffix}"

    def carry(self) -> Tensors:
        """Read the tensors that the next segment depends on; empty for the first.

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
        """Encode a segment and sync it to disk, with ``carry``, the tensors that the next one depends on.

        Raises:
            OSError: it cannot be written.
        """
        stale = self.path(".safetensors", back=2)  # that of the last segment is kept, in case this one is damaged
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
        """Return the smaller of ``tile`` (height, width) and the tile that an earlier run came down to.

        It is noted for the next run. A noted side counts only if it is a multiple of ``multiple``.
        """
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
        """Return the times of all frames, and the duration of the last one, in ticks."""
        return [t for segment in self.segments for t in segment.times], self.segments[-1].durations[-1]

    def faults(self) -> dict[str, list[int]]:
        """Return the numbers of all frames that have a fault of the source, by its name."""
        found: dict[str, list[int]] = {}
        for segment in self.segments:
            for name, numbers in segment.faults.items():
                found.setdefault(name, []).extend(numbers)
        return found

    def close(self, finished: bool) -> None:
        """Unlock the folder; remove it unless another run can resume from it."""
        if not HAS_LOCKS:
            self._lock.close()  # first, for Windows removes no folder in which a file is open
        if finished or self.key is None or not self.segments:
            remove_folder(self.folder)
        self._lock.close()


def was_ready(output: Path) -> bool:
    """Whether a killed run had finished the last segment of a result, and so may have joined the segments."""
    return any((read_json(file) or {}).get("last") is True for file in parts_folder(output).glob("[0-9]*.json"))


def tidy_up(output: Path) -> None:
    """Remove the journal of a run that was killed after its result was complete, unless another process uses it."""
    if parts_folder(output).exists():
        try:
            journal = Journal(output, None, "", restart=True)
            journal.open()
            journal.close(finished=True)
        except (InputError, RunError):
            return
    remove_folder(parts_folder(output))
