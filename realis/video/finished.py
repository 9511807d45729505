"""Whether a result is there as its run left it, told by the notes beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realis.files import read_json
from realis.video.fingerprint import fingerprint
from realis.video.results import notes_file, write_notes


def note_result(output: Path, key: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Write beside a result that it was made from ``key``, how it is now, and what ``more`` is to be known of it.

    Raises:
        InputError: it cannot be written.
    """
    write_notes(output, key, {"the result": {**_size(output), "content": fingerprint(output)}, **(more or {})})


def forget_result(output: Path) -> None:
    """Remove the notes of a result before another takes its place, for which they must never vouch."""
    notes_file(output).unlink(missing_ok=True)


def is_finished(output: Path, key: Mapping[str, Any]) -> bool:
    """Whether a result was made from ``key``, and nothing has been done to it since.

    Its content is read only where its time of modification has changed, as by copying; that of a folder never.
    """
    notes = read_json(notes_file(output)) or {}
    noted = notes.get("the result")
    if notes.get("made from") != key or not isinstance(noted, dict) or not output.exists():
        return False
    now = _size(output)
    if {**now, "modified": 0} != {**{name: noted.get(name) for name in now}, "modified": 0}:
        return False
    return now["modified"] == noted.get("modified") or output.is_dir() or fingerprint(output) == noted.get("content")


def may_be_replaced(output: Path) -> bool:
    """Whether a run made all that is at ``output``: in a folder there are no more files than it noted."""
    noted = (read_json(notes_file(output)) or {}).get("the result")
    return isinstance(noted, dict) and (not output.is_dir() or len(list(output.iterdir())) <= noted.get("files", 0))


def _size(output: Path) -> dict[str, int]:
    """Bytes, files, and the time of modification in nanoseconds."""
    files = [path for path in output.iterdir() if path.is_file()] if output.is_dir() else [output]
    return {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "modified": output.stat().st_mtime_ns,
    }
