"""What was measured, kept line by line, so that a run that was stopped goes on where it was."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from realis.core.records import append_row, load_json, whole_lines
from realis.core.system import locked_file

LEDGER = "measured.jsonl"


class Ledger:
    """Facts by key. A line that was torn, or is none, does not count: what it said is measured again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        self._known: dict[str, dict[str, Any]] = {}
        for line in whole_lines(file.read()):
            try:
                row = load_json(line)
                self._known.setdefault(row["key"], {}).update(row["facts"])
            except (ValueError, LookupError, TypeError, AttributeError):
                continue

    def facts(self, key: str) -> dict[str, Any]:
        """Return what is known under ``key``, by name; empty if nothing is."""
        return dict(self._known.get(key, {}))

    def add(self, key: str, facts: Mapping[str, Any]) -> None:
        """Add to what is known under ``key``; it is on disk when this returns."""
        append_row(self._file, {"key": key, "facts": facts})
        self._known.setdefault(key, {}).update(facts)


@contextmanager
def open_ledger(output: Path) -> Iterator[Ledger]:
    """Open the ledger in the folder ``output``, which other processes are kept out of.

    Raises:
        InputError: one is in it, or nothing can be written there.
    """
    with locked_file(output / LEDGER, f"--output {output}") as file:
        try:
            yield Ledger(file)
        finally:
            if not os.fstat(file.fileno()).st_size:  # nothing was measured: as if nothing had been begun
                (output / LEDGER).unlink()
                with suppress(OSError):
                    output.rmdir()
