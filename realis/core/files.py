"""Files that appear complete or not at all."""

import glob
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from realis.core.errors import InputError, file_error, reason
from realis.core.records import load_json

LONGEST_NAME = 255  # bytes, on every usual file system


def fitting_name(name: str, ending: str) -> str:
    """Return ``name`` + ``ending``; where no file can have a name as long, ``name`` is cut, and a hash of it added.

    >>> fitting_name("clip.mp4", ".json")
    'clip.mp4.json'
    >>> fitting_name("x" * 255, ".json")[-25:]
    'xxxxxxx~d22609da3ae3.json'
    """
    content = os.fsencode(name)
    if len(content) + len(os.fsencode(ending)) <= LONGEST_NAME:
        return name + ending
    ending = f"~{hashlib.sha256(content).hexdigest()[:12]}{ending}"
    # a character that is cut in two is dropped: macOS has no names that are not UTF-8
    return content[: LONGEST_NAME - len(os.fsencode(ending))].decode(errors="ignore") + ending


def check_name(path: Path, flag: str) -> None:
    """Make sure that a file can have the name of ``path``; ``flag`` is what it was given by.

    Raises:
        InputError: it is too long.
    """
    if (size := len(os.fsencode(path.name))) > LONGEST_NAME:
        raise InputError(f"{flag} {path}: its name takes {size} bytes, wanted {LONGEST_NAME} at most")


def temporary_name(file: Path) -> Path:
    """The hidden name beside ``file`` under which this process writes it."""
    return file.with_name(fitting_name(f".{file.name}", f".{os.getpid()}.tmp"))


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A temporary name beside ``file``: what is written there takes its place, and is on disk, on leaving without an error.
    Folders above it are made.

    Raises:
        InputError: it cannot be written there.
        RunError: the disk is full or fails.
    """
    temporary = temporary_name(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)  # before the rename: else a power failure may leave the name with nothing in it
        temporary.replace(file)
        sync(file.parent)
    except (OSError, SafetensorError) as error:
        raise file_error(f"{file}: writing failed ({reason(error)})", error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def whole_folder(folder: Path, kept: str = "") -> Iterator[Path]:
    """A temporary folder beside ``folder``: with the files that are written into it, it takes its place, and is on disk, on
    leaving without an error. Folders above it are made.

    Args:
        folder: its final name; a folder that is there is replaced.
        kept: what is not lost if it cannot be written, for the message.

    Raises:
        InputError: it cannot be written there.
        RunError: the disk is full or fails.
    """
    temporary = temporary_name(folder)
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed and had the same number
    try:
        temporary.mkdir(parents=True)
        yield temporary
        replace_folder(temporary, folder)
    except (OSError, SafetensorError) as error:
        message = f"{folder}: writing failed ({reason(error)})"
        raise file_error(f"{message}; {kept}" if kept else message, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk; on Windows, which opens no folders, a file only."""
    windows = sys.platform == "win32"
    if windows and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(temporary: Path, final: Path) -> None:
    """Sync ``temporary`` and what is in it, and rename it to ``final``, which it replaces."""
    for path in (*temporary.iterdir(), temporary):
        sync(path)
    remove_folder(final)
    temporary.rename(final)
    sync(final.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder that must not be seen half removed."""
    hidden = folder.with_name(fitting_name(f".{folder.name}", ".old"))
    shutil.rmtree(hidden, ignore_errors=True)
    if folder.is_dir():
        folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def link_or_copy(file: Path, name: Path) -> None:
    """Give a file a second name, or, where the file system has no such thing, a copy."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed run left half-written, or half-removed, below ``folder``."""
    for path in [*folder.rglob(".*.tmp"), *folder.rglob(".*.old")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def remove_temporary_files(file: Path) -> None:
    """Delete what killed runs left half-written of ``file``."""
    for path in file.parent.glob(f".{glob.escape(file.name)}.*.tmp"):
        path.unlink(missing_ok=True)


def read_json(file: Path) -> dict[str, Any] | None:
    """The names and values in a JSON file; ``None`` if it is not there, cut off, or something else."""
    try:
        content = load_json(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
