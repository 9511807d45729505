"""Lists of clips to train on: JSONL, CSV or Parquet with a ``file_name`` a row, or a folder with one of them in it."""

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realis.errors import InputError, require

FORMS = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class ClipEntry:
    """A file, what it shows in words, and the part of it that may be used: ``frames`` from ``start`` on, or the rest."""

    path: Path
    caption: str = ""
    start: int = 0
    frames: int | None = None


def read_manifest(path: str) -> list[ClipEntry]:
    """Entries of a manifest, in its order.

    Columns: ``file_name`` (absolute, or relative to the manifest's folder), and optionally ``caption``, ``start`` and
    ``frames``; empty cells count as absent. A folder is one in Hugging Face's VideoFolder form: it holds a
    ``metadata`` file.

    Raises:
        InputError: no such file, not of these forms, nothing in it, a row that is wrong, a named file that is missing.
    """
    file = _manifest_file(Path(path))
    try:
        rows = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[file.suffix.lower()](file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    require(len(rows) > 0, str(file), "no rows", "a file_name a row")
    entries = [_entry(row, f"{file}, row {i}", file.parent) for i, row in enumerate(rows, 1)]
    missing = [entry.path for entry in entries if not entry.path.is_file()]
    if missing:
        raise InputError(
            f"{file}: {len(missing)} of {len(entries)} files that it names are missing, first {missing[0]}; "
            "names are relative to the manifest's folder"
        )
    return entries


def _manifest_file(path: Path) -> Path:
    if path.is_dir():
        found = [path / f"metadata{form}" for form in FORMS if (path / f"metadata{form}").is_file()]
        names = " and ".join(file.name for file in found)
        wanted = "one of " + ", ".join(f"metadata{form}" for form in FORMS)
        require(len(found) == 1, f"--clips.manifest {path}", names or "a folder without metadata", wanted)
        return found[0]
    require(
        path.is_file(), f"--clips.manifest {path}", "nothing there", f"a {', '.join(FORMS)} file or a folder with one"
    )
    require(path.suffix.lower() in FORMS, f"--clips.manifest {path}", f"the ending {path.suffix!r}", ", ".join(FORMS))
    return path


def _jsonl(file: Path) -> list[dict[str, Any]]:
    rows = []
    for i, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{file}, line {i}: not JSON ({error})") from error
        require(isinstance(row, dict), f"{file}, line {i}", type(row).__name__, 'an object such as {"file_name": ...}')
        rows.append(row)
    return rows


def _csv(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8-sig") as text:
        return list(csv.DictReader(text))


def _parquet(file: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports] - nobody needs it but for this
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(f"{file}: Parquet needs pyarrow; pip install pyarrow, or write it as JSONL or CSV") from error
    try:
        return pyarrow.parquet.read_table(file).to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError(f"{file}: not a Parquet file ({error})") from error


def _entry(row: dict[str, Any], where: str, folder: Path) -> ClipEntry:
    name, caption = (None if _absent(row.get(column)) else row[column] for column in ("file_name", "caption"))
    require(isinstance(name, str), f"{where}: file_name", _listed(row) if name is None else repr(name), "a path")
    require(caption is None or isinstance(caption, str), f"{where}: caption", repr(caption), "text")
    start = _whole(row.get("start"), f"{where}: start", 0)
    return ClipEntry(folder / name, caption or "", start or 0, _whole(row.get("frames"), f"{where}: frames", 1))


def _listed(row: Iterable[Any]) -> str:
    return f"none (its columns: {', '.join(map(str, row))})"


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _whole(value: Any, name: str, least: int) -> int | None:
    """A whole number from a cell, which may hold it as text or, where a column has gaps, as a float."""
    if _absent(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    fits = number.is_integer() and number >= least and not isinstance(value, bool)
    require(fits, name, repr(value), f"a whole number, {least} or more")
    return int(number)
