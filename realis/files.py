"""Files that appear complete or not at all."""

import os
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
