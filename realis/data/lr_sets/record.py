"""What an LR set holds, and what each was made of: a line of JSON a clip, by which the next run knows whether both are
still that."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from realis.core.files import sha256
from realis.core.records import append_row, build_record, load_json, whole_lines
from realis.core.system import locked_file

RECORD = ".made.jsonl"  # hidden, for it is no part of the set: when files were written differs from run to run


@dataclass(frozen=True)
class FilesState:
    """The state of some files.

    Args:
        facts: a hash of their names, sizes and times, which are known without reading them.
        content: a hash of their names and contents.
    """

    facts: str
    content: str

    @classmethod
    def of(cls, files: list[Path]) -> "FilesState":
        """Return the state of ``files`` now.

        Raises:
            OSError: one is not there or cannot be read.
        """
        return cls(facts_of(files), content_of(files))

    def same_as(self, files: list[Path]) -> bool:
        """Whether this is what is in ``files`` now. They are read only where sizes or times are others."""
        try:
            return facts_of(files) == self.facts or content_of(files) == self.content
        except OSError:
            return False


def facts_of(files: list[Path]) -> str:
    """Return a hash of the names, sizes and times of ``files``, none of which is read."""
    digest = hashlib.sha256()
    for file in files:
        facts = file.stat()
        digest.update(os.fsencode(f"{file.name}/{facts.st_size} {facts.st_mtime_ns}\n"))
    return digest.hexdigest()[:32]


def content_of(files: list[Path]) -> str:
    """Return a hash of the names and contents of ``files``."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(os.fsencode(f"{path.name}/{sha256(path)}\n"))
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class DegradedClip:
    """A clip that was degraded: the name of it, the files that it was made from, and those that were made."""

    clip: str
    source: FilesState
    result: FilesState


class Record:
    """The clips that were made, by name. A line that was torn, or is none, does not count: its clip is made again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        self.made: dict[str, DegradedClip] = {}
        for line in whole_lines(file.read()):
            try:
                row = load_json(line)
                states = (build_record(FilesState, row[name]) for name in ("source", "result"))
                self.made[str(row["clip"])] = DegradedClip(row["clip"], *states)
            except (ValueError, LookupError, TypeError):
                continue

    def add(self, made: DegradedClip) -> None:
        """Note a clip; it is on disk when this returns."""
        append_row(self._file, asdict(made))
        self.made[made.clip] = made

    def holds(self, clip: str, source: list[Path], result: list[Path]) -> bool:
        """Whether ``result`` is what was made of ``source``, and both are as they were then."""
        made = self.made.get(clip)
        if made is None or not made.source.same_as(source) or not made.result.same_as(result):
            return False
        facts = facts_of(source), facts_of(result)
        if facts != (made.source.facts, made.result.facts):  # copied, or touched: the next run need not read them again
            self.add(
                DegradedClip(clip, FilesState(facts[0], made.source.content), FilesState(facts[1], made.result.content))
            )
        return True


@contextmanager
def open_record(output: Path) -> Iterator[Record]:
    """Open the record in the folder ``output``, which other processes are kept out of.

    Raises:
        InputError: one is in it, or nothing can be written there.
    """
    with locked_file(output / RECORD, f"--output {output}") as file:
        yield Record(file)
