"""Read tables of files: JSONL, CSV or Parquet with a ``file_name`` in every row."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, file_error, reason, require
from realis.core.records import load_json

FORMS = (".jsonl", ".csv", ".parquet")
FILE_NAME = "file_name"  # the one column that every table has
# Names of the same column elsewhere: DiffSynth-Studio has video and prompt, VideoX-Fun file_path and text,
# FastVideo path and cap, Hugging Face's folders file_name and text.
OTHER_NAMES = {FILE_NAME: ("file_path", "path", "video"), "caption": ("text", "prompt", "cap")}
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # that some programs write in place of commas


def read_rows(path: Path, flag: str, optional: Sequence[tuple[str, ...]]) -> tuple[list[dict[str, Any]], Path]:
    """Return the rows of a table, and its file.

    Spaces around column names do not count. Unknown columns stay in the rows, unless one looks like a missing column
    under another name (``Caption``, ``captions``, ``text``), which would otherwise be ignored silently.

    Args:
        path: the table, or a folder with one called ``metadata``, which is Hugging Face's VideoFolder form.
        flag: that names it, for errors.
        optional: the other columns that are read if they are there, each with its accepted spellings.

    Raises:
        InputError: no such file, another format, no rows, no ``file_name`` in a row, a column that looks like a missing
            one.
    """
    file = _table_file(path, flag)
    try:
        rows = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[file.suffix.lower()](file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise file_error(f"{file}: cannot be read ({reason(error)})", error) from error
    require(len(rows) > 0, str(file), "no rows", "a file_name a row")
    first_with: dict[tuple[str, ...], int] = {}  # rows of a JSONL file may differ in their columns
    for number, row in enumerate(rows, 1):
        first_with.setdefault(tuple(row), number)
    for columns, number in first_with.items():
        _check_columns(columns, optional, f"{file}, row {number}" if len(first_with) > 1 else str(file))
    return rows, file


def tables_in(folder: Path) -> list[Path]:
    """Return the tables called ``metadata`` in a folder."""
    return [file for form in FORMS if (file := folder / f"metadata{form}").is_file()]


def _table_file(path: Path, flag: str) -> Path:
    if path.is_dir():
        found = tables_in(path)
        names = " and ".join(file.name for file in found)
        wanted = "one of " + ", ".join(f"metadata{form}" for form in FORMS)
        require(len(found) == 1, f"{flag} {path}", names or "a folder without metadata", wanted)
        return found[0]
    require(path.is_file(), f"{flag} {path}", "nothing there", f"a {', '.join(FORMS)} file or a folder with one")
    require(path.suffix.lower() in FORMS, f"{flag} {path}", f"the ending {path.suffix!r}", ", ".join(FORMS))
    return path


# 1. The three formats


def _jsonl(file: Path) -> list[dict[str, Any]]:
    rows = []
    for i, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = load_json(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}, line {i}: not JSON ({error})") from error
        require(isinstance(row, dict), f"{file}, line {i}", type(row).__name__, 'an object such as {"file_name": ...}')
        rows.append(dict(zip(_stripped(row, f"{file}, line {i}"), row.values(), strict=True)))
    return rows


def _csv(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8-sig") as text:
        # A space after a comma is no part of the cell, and must not hide the quotes around it
        reader = csv.DictReader(text, skipinitialspace=True)
        columns = _stripped(reader.fieldnames or (), str(file))
        _check_separator(columns, file)
        reader.fieldnames = columns
        rows = list(reader)
    for number, row in enumerate(rows, 1):
        more = sum(map(bool, map(str.strip, row.pop(None, ()))))  # pyright: ignore - where DictReader puts what is over
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
        table = pyarrow.parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise InputError(f"{file}: not a Parquet file ({error})") from error
    return table.rename_columns(_stripped(table.column_names, str(file))).to_pylist()


# 2. Column names


def _stripped(names: Iterable[str], where: str) -> list[str]:
    """Return column names without the spaces around them.

    Raises:
        InputError: two are then equal, so that one would hide the other.
    """
    stripped = [name.strip() for name in names]
    twice = next((name for name in stripped if name and stripped.count(name) > 1), "")
    require(not twice, where, f"the column {twice} twice", "it once")
    return stripped


def _check_separator(columns: Sequence[str], file: Path) -> None:
    """Refuse a CSV file whose first line is separated by something other than commas."""
    first = ",".join(columns)
    found = next((name for mark, name in SEPARATORS.items() if mark in first), "")
    if found and FILE_NAME not in columns:
        raise InputError(
            f"{file}: got columns separated by {found} ({' '.join(first.split())}), wanted commas; save it as CSV with "
            'commas, text that has one in it in quotes: "a, b"'
        )


def _check_columns(columns: Sequence[str], optional: Sequence[tuple[str, ...]], where: str) -> None:
    """Refuse columns without ``file_name``, or with one that looks like a missing column."""
    missing = [names for names in ((FILE_NAME,), *optional) if not {*names} & {*columns}]
    lookalikes: dict[str, str] = {}
    for column in columns:
        name = next((name for names in missing for name in names if _looks_like(column, name)), None)
        if name:
            lookalikes.setdefault(name, column)
    faults = [f"{FILE_NAME} among them"] if (FILE_NAME,) in missing and FILE_NAME not in lookalikes else []
    for name, column in lookalikes.items():
        otherwise = "" if name == FILE_NAME else f" (or an empty column {name} too, if {column} is something else)"
        faults.append(f"{name} in place of {column}{otherwise}")
    require(not faults, where, f"the columns {', '.join(columns) or '(none)'}", " and ".join(faults))


def _looks_like(column: str, name: str) -> bool:
    """Whether ``column`` is ``name`` in another case, with one typo, or under one of :data:`OTHER_NAMES`."""
    letters, wanted = (re.sub("[^a-z0-9]", "", text.lower()) for text in (column, name))
    return letters in [other.replace("_", "") for other in OTHER_NAMES.get(name, ())] or _edits(letters, wanted) <= 1


def _edits(word: str, other: str) -> int:
    """Return the edit distance (insert, delete, replace, swap neighbours; Damerau 1964) of two words, at most 2.

    >>> _edits("captoin", "caption"), _edits("captions", "caption"), _edits("option", "caption")
    (1, 1, 2)
    """
    if word == other:
        return 0
    same = [one == two for one, two in zip(word, other, strict=False)]
    start = [*same, False].index(False)  # of the letters that differ
    a, b = word[start:], other[start:]
    is_one = a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
    return 1 if is_one else 2
