"""Find the footage of a build: videos in folders, by pattern, or in lists with licence, source and caption."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realis.builder.clip import LONGEST_TEXT, Clip, one_line
from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.core.tables import FILE_NAME, FORMS, read_rows
from realis.core.units import count
from realis.video.names import VIDEOS, describe_folder, files_in, matching

# Fields of a clip by columns of a list
COLUMNS = {"licence": "licence", "license": "licence", "source": "origin", "caption": "caption"}


def find_footage(words: tuple[str, ...], licence: str) -> list[Clip]:
    """Find the videos that ``words`` name, each once, sorted by name.

    A word is a video; a folder, of which all videos in it and below count, unless it holds a ``metadata`` file; a pattern
    such as ``raw/**/*.mp4``; or a list (JSONL, CSV, Parquet) with a ``file_name`` a row, relative to the list, and
    optionally ``licence``, ``source`` and ``caption``.

    Args:
        words: of ``--source``.
        licence: of videos for which no list gives another.

    Raises:
        InputError: a word names nothing, a list is wrong, or there is no video at all.
    """
    require(len(words) > 0, "--source", "nothing", "a folder, a pattern, or a list of videos")
    found: dict[Path, Clip] = {}
    listed: dict[Path, str] = {}
    for word in words:
        for path, said in videos_named_by(word):
            facts = path.stat()  # by these a file is known again; probe looks at what is in it
            digest = f"{facts.st_size}-{facts.st_mtime_ns}"
            fields: dict[str, Any] = {"licence": one_line(licence)} | said
            clip = Clip(name_of(path), str(path), digest=digest, **fields)
            here = path.resolve()
            if said and here in listed and listed[here] != clip.licence:
                raise InputError(f"--source: {path} is listed twice, with the licences {listed[here] or 'none'} and "
                                 f"{clip.licence or 'none'}; wanted one")  # fmt: skip
            if said:
                listed[here] = clip.licence
            if said or here not in found:  # a list knows more than a folder
                found[here] = clip
    if not found:
        held = [describe_folder(Path(word), VIDEOS, below=True) for word in words if Path(word).is_dir()]
        raise InputError(f"--source: got {' '.join(words)}, wanted videos in it; {'; '.join(held)}")
    return sorted(found.values(), key=lambda clip: clip.name)


def videos_named_by(word: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the videos that one word names, each with the fields of :class:`Clip` that a list gives: at least ``caption``,
    which may be empty; no fields for a video that is not in a list."""
    path = Path(word)
    holds_list = path.is_dir() and any((path / f"metadata{form}").is_file() for form in FORMS)
    if holds_list or (path.is_file() and path.suffix.lower() in FORMS):
        rows, file = read_rows(path, "--source", [("licence", "license"), ("source",), ("caption",)])
        for number, row in enumerate(rows, 1):
            name = row[FILE_NAME]
            require(isinstance(name, str) and name != "", f"{file}, row {number}: file_name", repr(name), "a path")
            video = file.parent / str(name)
            if not video.is_file():
                raise InputError(f"{file}, row {number}: {video} is not there; names are relative to the list's folder")
            yield video, {"caption": ""} | known_fields(row, f"{file}, row {number}")
        if holds_list:
            names = {(file.parent / str(row[FILE_NAME])).resolve() for row in rows}
            others = sum(video.resolve() not in names for video in files_in(path, VIDEOS, below=True))
            if others:
                logger.warning("%s: left out is what it does not list, %s in its folder", file, count(others, "video"))
    elif path.is_dir():
        yield from ((video, {}) for video in sorted(files_in(path, VIDEOS, below=True)))
    elif path.is_file():
        yield path, {}
    else:
        matches = matching(word)
        require(len(matches) > 0, f"--source {word}", "nothing there", "a folder, a video, a pattern or a list")
        yield from ((video, {}) for video in sorted(matches) if video.suffix.lower() in VIDEOS and video.is_file())


def known_fields(row: dict[str, Any], where: str) -> dict[str, str]:
    """Return what a row of a list says of its video, by fields of :class:`Clip`, in one line each, without empty ones.

    Raises:
        InputError: a value is not text, or is too long.
    """
    said = {}
    for column, name in COLUMNS.items():
        value = row.get(column)
        if value is None or value != value:  # NaN, which stands for nothing in a Parquet column of text
            continue
        require(isinstance(value, str), f"{where}: {column}", f"{value!r:.60}", "text")
        require(len(value) <= LONGEST_TEXT, f"{where}: {column}", f"{len(value)} characters", f"{LONGEST_TEXT} at most")
        if text := one_line(value):
            said[name] = text
    return said


def name_of(video: Path) -> str:
    """Return the stem of files made from ``video``: its own, and part of a hash of its path, as other folders may have a video
    of the same name."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", video.stem).strip("_")[:60] or "video"
    return f"{plain}-{hashlib.sha256(os.fsencode(video)).hexdigest()[:12]}"
