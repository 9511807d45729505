"""The files that a run writes beside its result: parts, notes, sheet. They distinguish results from footage."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realis.core.files import fitting_name, read_json, whole_file

SHEET = "_before_after.png"


def parts_folder(output: Path) -> Path:
    """Return the hidden folder beside a result that holds its finished segments."""
    return output.with_name(fitting_name(f".{output.name}", ".parts"))


def notes_file(output: Path) -> Path:
    """Return the path of the JSON file beside a result that says what it was made from."""
    return output.with_name(fitting_name(output.name, ".json"))


def sheet_file(output: Path) -> Path:
    """Return the path of the picture beside a result that shows one frame before and after.

    Its name contains the whole name of the result, as two results may differ in their endings only.
    """
    return output.with_name(fitting_name(output.name, SHEET))


def write_notes(output: Path, key: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Write notes beside a result: the ``key`` it was made from, and anything ``more``.

    Raises:
        InputError: it cannot be written.
    """
    with whole_file(notes_file(output)) as temporary:
        temporary.write_text(json.dumps({"made from": key, **(more or {})}, indent=1))


def read_result_key(output: Path) -> dict[str, Any] | None:
    """Read the key of a finished result; ``None`` if no run wrote it."""
    return (read_json(notes_file(output)) or {}).get("made from")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say how two keys differ; empty if they are equal."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    # of another method, whose settings are others, what both have says enough
    changed = [name for name in changed if name in before and name in now] or changed
    return "; ".join(f"{name} was {before.get(name)}, now {now.get(name)}" for name in changed)


def is_result(path: Path) -> bool:
    """Whether a run wrote ``path``: it has notes, or the parts of a run that was killed before it wrote them."""
    return read_result_key(path) is not None or parts_folder(path).is_dir()


def is_sheet(path: Path) -> bool:
    """Whether ``path`` is the picture beside a result."""
    if not path.name.endswith(SHEET) or path.name == SHEET:
        return False
    result = path.with_name(path.name.removesuffix(SHEET))
    # if the name was cut, its result can only be found by comparing with the names of all sheets
    was_cut = "~" in path.name
    return is_result(result) or (
        was_cut and any(sheet_file(file) == path and is_result(file) for file in path.parent.iterdir())
    )
