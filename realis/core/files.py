"""Write files and folders atomically, so that they appear complete or not at all, even after a crash."""

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
    """Return ``name`` + ``ending``; if that is too long for a file name, ``name`` is cut and a hash of it added.

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


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_name(path: Path, flag: str) -> None:
    """Make sure that a file can have the name of ``path``; ``flag`` is what it was given by.

    Raises:
        InputError: it is too long.
    """
    if (size := len(os.fsencode(path.name))) > LONGEST_NAME:
        raise InputError(f"{flag} {path}: its name takes {size} bytes, wanted {LONGEST_NAME} at most")


def temporary_name(file: Path) -> Path:
    """Return the hidden name beside ``file`` under which this process writes it."""
    return file.with_name(fitting_name(f".{file.name}", f".{os.getpid()}.tmp"))


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Write ``file`` atomically: yield a temporary name beside it, which replaces it on leaving without an error.

    By then the content is synced to disk. Folders above it are made.

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
    """Write ``folder`` atomically: yield a temporary folder beside it, which replaces it on leaving without an error.

    By then the files in it are synced to disk. Folders above it are made.

    Args:
        folder: the final name; a folder of that name is replaced.
        kept: what is not lost if writing fails, for the message.

    Raises:
        InputError: it cannot be written there.
        RunError: the disk is full or fails.
    """
    temporary = temporary_name(folder)
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process with the same id
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
    """Wait until a file, or the list of names in a folder, is on disk. Windows opens no folders: skip them there."""
    windows = sys.platform == "win32"
    if windows and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(temporary: Path, final: Path) -> None:
    """Sync ``temporary`` and the files in it, and rename it to ``final``, which it replaces."""
    for path in (*temporary.iterdir(), temporary):
        sync(path)
    remove_folder(final)
    temporary.rename(final)
    sync(final.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that it never appears half removed: it is renamed first."""
    hidden = folder.with_name(fitting_name(f".{folder.name}", ".old"))
    shutil.rmtree(hidden, ignore_errors=True)
    if folder.is_dir():
        folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def link_or_copy(file: Path, name: Path) -> None:
    """Make ``name`` a hard link to ``file``, or a copy where the file system has no hard links."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)


def remove_leftovers(folder: Path) -> None:
    """Delete the half-written and half-removed files and folders that a killed run left below ``folder``."""
    for path in [*folder.rglob(".*.tmp"), *folder.rglob(".*.old")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def remove_temporary_files(file: Path) -> None:
    """Delete the half-written versions of ``file`` that killed runs left."""
    for path in file.parent.glob(f".{glob.escape(file.name)}.*.tmp"):
        path.unlink(missing_ok=True)


def read_json(file: Path) -> dict[str, Any] | None:
    """Read an object from a JSON file; return ``None`` if the file is missing or truncated, or holds something else."""
    try:
        content = load_json(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
