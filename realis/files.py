"""Files that appear complete or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from realis.errors import InputError


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A temporary name beside ``file``: what is written there takes its place on leaving without an error.

    Raises:
        InputError: it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: writing failed ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
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
    hidden = folder.with_name(f".{folder.name}.old")
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
