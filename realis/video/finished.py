"""Decide by the notes beside a result whether it is finished and unchanged, and whether it may be replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realis.core.errors import InputError
from realis.core.files import read_json
from realis.core.records import build_record
from realis.video.fingerprint import fingerprint
from realis.video.journal import was_ready
from realis.video.results import differences, notes_file, parts_folder, write_notes


@dataclass(frozen=True)
class ResultState:
    """A result at the end of its run: number of files, bytes, modification time in nanoseconds, fingerprint."""

    files: int
    bytes: int
    modified: int
    content: str


def note_result(output: Path, key: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Write notes beside a result: the ``key`` it was made from, its present state, and anything ``more``.

    Raises:
        InputError: it cannot be written.
    """
    write_notes(output, key, {"the result": {**_stat(output), "content": fingerprint(output)}, **(more or {})})


def forget_result(output: Path) -> None:
    """Remove the notes of a result before another replaces it: they must never describe a different file."""
    notes_file(output).unlink(missing_ok=True)


def is_finished(output: Path, key: Mapping[str, Any]) -> bool:
    """Whether a result was made from ``key`` and has not changed since.

    Its content is read only if its modification time has changed, as by copying; that of a folder never.
    """
    before, state = _read_notes(output)
    if before != key or state is None or not output.exists():
        return False
    now = _stat(output)
    if (now["files"], now["bytes"]) != (state.files, state.bytes):
        return False
    return now["modified"] == state.modified or output.is_dir() or fingerprint(output) == state.content


def check_replaced(output: Path, key: Mapping[str, Any], restart: bool, flag: str = "--output") -> None:
    """Make sure that ``output``, which was given by ``flag``, is free or may be replaced.

    It may be if a run made it, from the same ``key`` unless this is a ``restart``, and a folder holds nothing else.

    Raises:
        InputError: it may not.
    """
    if not output.exists():
        return
    before, state = _read_notes(output)
    files = list(output.iterdir()) if output.is_dir() else []
    if output.is_dir() and not files:
        return
    if before is None and was_ready(output):  # the run was killed between renaming the result and writing its notes
        return
    if before is None or len(files) > (state.files if state else 0):
        what = "is there" if not files else "has files in it"
        raise InputError(f"{flag} {output}: {what} that no run of this command made; move them, or choose another name")
    was_asked = restart or parts_folder(output).is_dir()  # by a run that was killed
    if not was_asked and (what := differences(before, key)):
        raise InputError(
            f"{flag} {output}: is there already, but {what}; --restart makes it anew, or choose another name"
        )


def _read_notes(output: Path) -> tuple[dict[str, Any] | None, ResultState | None]:
    """Read the key that a result was made from, and its state then; ``None`` for what is not known."""
    notes = read_json(notes_file(output)) or {}
    key = notes.get("made from")
    try:
        state = build_record(ResultState, notes.get("the result"))
    except (ValueError, TypeError):
        state = None
    return (key if isinstance(key, dict) else None), state


def _stat(output: Path) -> dict[str, int]:
    """Return the number of files and bytes of a result, and its modification time in nanoseconds."""
    files = [path for path in output.iterdir() if path.is_file()] if output.is_dir() else [output]
    return {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "modified": output.stat().st_mtime_ns,
    }
