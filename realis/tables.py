"""Tables of files: JSONL, CSV or Parquet with a ``file_name`` a row."""

import csv
import json
from pathlib import Path
from typing import Any

from realis.errors import InputError, require

FORMS = (".jsonl", ".csv", ".parquet")


def read_rows(path: Path, flag: str) -> tuple[list[dict[str, Any]], Path]:
    """The rows of a table, and the file it is: ``path``, or the ``metadata`` file in the folder ``path``, which is Hugging
    Face's VideoFolder form. ``flag`` names it in errors.

    Raises:
        InputError: no such file, not of these forms, nothing in it.
    """
    file = _table_file(path, flag)
    try:
        rows = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[file.suffix.lower()](file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    require(len(rows) > 0, str(file), "no rows", "a file_name a row")
    return rows, file


def _table_file(path: Path, flag: str) -> Path:
    if path.is_dir():
        found = [path / f"metadata{form}" for form in FORMS if (path / f"metadata{form}").is_file()]
        names = " and ".join(file.name for file in found)
        wanted = "one of " + ", ".join(f"metadata{form}" for form in FORMS)
        require(len(found) == 1, f"{flag} {path}", names or "a folder without metadata", wanted)
        return found[0]
    require(path.is_file(), f"{flag} {path}", "nothing there", f"a {', '.join(FORMS)} file or a folder with one")
    require(path.suffix.lower() in FORMS, f"{flag} {path}", f"the ending {path.suffix!r}", ", ".join(FORMS))
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
        reader = csv.DictReader(text)
        rows = list(reader)
    for number, row in enumerate(rows, 1):
        more = sum(map(bool, map(str.strip, row.pop(None, ()))))  # pyright: ignore - where DictReader puts what is over
        columns = reader.fieldnames or ()
        require(not more, f"{file}, row {number}", f"{len(columns) + more} fields", f"{len(columns)}, as in the first line; "
                'text with a comma in it needs quotes: "a, b"')  # fmt: skip
    return rows


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
