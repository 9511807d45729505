"""Lists of clips to train on: JSONL, CSV or Parquet with a ``file_name`` a row, or a folder, with one of them or without."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, require
from realis.core.log import info_once
from realis.core.tables import FILE_NAME, FORMS, read_rows, tables_in
from realis.data.layouts import clips_of_folder

OPTIONAL = ("caption", "start", "frames")
HALF_PAIR = re.compile("[\ud800-\udfff]")  # which JSON can hold, and nothing else can


@dataclass(frozen=True)
class ClipEntry:
    """A video or a folder of frames, what it shows in words, and the part of it that may be used: ``frames`` from
    ``start`` on, or the rest."""

    path: Path
    caption: str = ""
    start: int = 0
    frames: int | None = None


def read_manifest(path: str, flag: str = "--clips.manifest", held_out: bool = False) -> list[ClipEntry]:
    """Return the entries of a table (:func:`read_table`), or of a folder without one (:func:`clips_of_folder`), where
    captions are empty and all of a clip may be used.

    Args:
        path: the table or folder.
        flag: that names it, for errors.
        held_out: whether it is for validation: of a data set, the part that is not trained on.

    Raises:
        InputError: as these two.
    """
    folder = Path(path)
    if not folder.is_dir() or tables_in(folder):
        return read_table(path, flag)
    try:
        clips = clips_of_folder(folder, held_out)
    except InputError as error:
        names = ", ".join(f"metadata{form}" for form in FORMS)
        raise InputError(f"{flag}: no table ({names}) in that folder, and {error}") from error
    info_once(f"{flag} {path}: no table in that folder; clips found: {len(clips)}, without captions")
    return [ClipEntry(clip) for clip in clips]


def read_table(path: str, flag: str) -> list[ClipEntry]:
    """Return the entries of a table, in its order; ``flag`` is what names it, for errors.

    Columns: ``file_name`` (absolute, or relative to the table's folder), of a video or a folder of frames, and
    optionally ``caption``, ``start`` and ``frames``; empty cells count as absent. Others are not read. A folder is one
    in Hugging Face's VideoFolder form: it holds a ``metadata`` file.

    Raises:
        InputError: no such file, not of these forms, nothing in it, a row that is wrong, a named file that is missing.
    """
    rows, file = read_rows(Path(path), flag, [(name,) for name in OPTIONAL])
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if "caption" not in columns and not {FILE_NAME, *OPTIONAL}.issuperset(columns):
        info_once(f"{file}: no column caption (its columns: {', '.join(columns)}): every caption is empty")
    entries = [_entry(row, f"{file}, row {i}", file.parent) for i, row in enumerate(rows, 1)]
    missing = [entry.path for entry in entries if not entry.path.exists()]
    if missing:
        raise InputError(
            f"{file}: files that it names are missing: {len(missing)} of {len(entries)}, first {missing[0]}; "
            "names are relative to the manifest's folder"
        )
    return entries


def read_held_out(path: str, training: Iterable[ClipEntry]) -> list[ClipEntry]:
    """Read the entries of the manifest of what is not trained on.

    Raises:
        InputError: as :func:`read_manifest`; or it names a clip that ``training`` names as well.
    """
    entries = read_manifest(path, "--validation.manifest", held_out=True)
    trained = {_inode(entry.path) for entry in training}
    both = [entry.path for entry in entries if _inode(entry.path) in trained]
    if both:
        raise InputError(
            f"--validation.manifest {path}: clips that are trained on, too: {len(both)} of {len(entries)}, first "
            f"{both[0]}; what is trained on says nothing of other footage: take them out of one of the two"
        )
    return entries


def _inode(clip: Path) -> tuple[int, int]:
    """Return what tells the file or folder itself, whatever it is called there: links are followed."""
    facts = clip.stat()
    return facts.st_dev, facts.st_ino


def _entry(row: dict[str, Any], where: str, folder: Path) -> ClipEntry:
    name, caption = (None if _absent(row.get(column)) else row[column] for column in (FILE_NAME, "caption"))
    require(isinstance(name, str), f"{where}: file_name", "nothing" if name is None else repr(name), "a path")
    fits = caption is None or (isinstance(caption, str) and not HALF_PAIR.search(caption))
    require(fits, f"{where}: caption", repr(caption), "text")
    start = _whole(row.get("start"), f"{where}: start", 0)
    return ClipEntry(folder / str(name), caption or "", start or 0, _whole(row.get("frames"), f"{where}: frames", 1))


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _whole(value: Any, name: str, least: int) -> int | None:
    """Return the whole number in a cell, which may hold it as text or, where a column has gaps, as a float."""
    if _absent(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    fits = number.is_integer() and number >= least and not isinstance(value, bool)
    require(fits, name, repr(value), f"a whole number, {least} or more")
    return int(number)
