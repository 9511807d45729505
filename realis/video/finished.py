"""Whether a result is there as its run left it, told by the notes beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realis.errors import InputError
from realis.files import read_json
from realis.video.fingerprint import fingerprint
from realis.video.results import differences, notes_file, parts_folder, write_notes


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


def check_replaced(output: Path, key: Mapping[str, Any], anew: bool) -> None:
    """Make sure that what is at ``output`` may be replaced: a run made it, from ``key`` or to be made ``anew``, and in a
    folder there is nothing else.

    Raises:
        InputError: it may not.
    """
    parts = parts_folder(output)
    if not output.exists() or _holds_the_last(parts):  # a run that was killed before its notes left the second
        return
    notes = read_json(notes_file(output)) or {}
    before, noted = notes.get("made from"), notes.get("the result")
    files = list(output.iterdir()) if output.is_dir() else []
    if output.is_dir() and not files:
        return
    if not isinstance(before, dict) or len(files) > (noted or {}).get("files", 0):
        what = "is there" if not files else "has files in it"
        raise InputError(
            f"--output {output}: {what} that no run of this command made; move them, or choose another name"
        )
    if not (anew or parts.is_dir()) and (what := differences(before, key)):  # parts: a run has begun to replace it
        raise InputError(
            f"--output {output}: is there already, but {what}; --restart makes it anew, or choose another name"
        )


def _holds_the_last(parts: Path) -> bool:
    """Whether the last segment of a result is in its folder of ``parts``: then a run may have put the result there."""
    return any((read_json(facts) or {}).get("last") for facts in parts.glob("[0-9]*.json"))


def _size(output: Path) -> dict[str, int]:
    """Bytes, files, and the time of modification in nanoseconds."""
    files = [path for path in output.iterdir() if path.is_file()] if output.is_dir() else [output]
    return {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "modified": output.stat().st_mtime_ns,
    }
