"""What a run writes beside its result, and how a result is told from footage by that."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realis.core.files import fitting_name, read_json, whole_file

SHEET = "_before_after.png"


def parts_folder(output: Path) -> Path:
    """Where what is finished of a result waits."""
    return output.with_name(fitting_name(f".{output.name}", ".parts"))


def notes_file(output: Path) -> Path:
    """The file beside a result that says what it was made from."""
    return output.with_name(fitting_name(output.name, ".json"))


def sheet_file(output: Path) -> Path:
    """The picture beside a result that shows one frame before and after. Its name holds all of the result's, as results
    may differ in their ending only."""
    return output.with_name(fitting_name(output.name, SHEET))


def write_notes(output: Path, key: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Write beside a result that it was made from ``key``, and what ``more`` is to be known of it.

    Raises:
        InputError: it cannot be written.
    """
    with whole_file(notes_file(output)) as temporary:
        temporary.write_text(json.dumps({"made from": key, **(more or {})}, indent=1))


def read_result_key(output: Path) -> dict[str, Any] | None:
    """Read the key of a finished result; ``None``: no run wrote one."""
    return (read_json(notes_file(output)) or {}).get("made from")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in what two keys differ; empty if in nothing."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} was {before.get(name)}, now {now.get(name)}" for name in changed)


def is_result(path: Path) -> bool:
    """Whether a run wrote ``path``. Notes come after the result: one that was killed in between left its parts."""
    return read_result_key(path) is not None or parts_folder(path).is_dir()


def is_sheet(path: Path) -> bool:
    """Whether ``path`` is the picture beside a result."""
    if not path.name.endswith(SHEET) or path.name == SHEET:
        return False
    result = path.with_name(path.name.removesuffix(SHEET))
    # where the name was cut, only the result itself can tell what it was cut to
    was_cut = "~" in path.name
    return is_result(result) or (
        was_cut and any(sheet_file(file) == path and is_result(file) for file in path.parent.iterdir())
    )
