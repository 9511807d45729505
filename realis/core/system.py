"""File locks and memory figures, which operating systems provide in different ways or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from realis.core.errors import InputError, file_error
from realis.core.log import logger

try:
    import fcntl
    import resource
except ImportError:  # Windows
    fcntl = resource = None

HAS_LOCKS = fcntl is not None


def lock(file: IO[Any], wait: bool) -> bool:
    """Lock an open file exclusively until it is closed. Return False if another process holds the lock.

    Where there are no locks, as on Windows and some network file systems, warn and return True.

    Args:
        file: open for writing.
        wait: wait until another process releases it.
    """
    if fcntl is None:
        warn_once("this system has no locks on files")
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError):  # the latter from some network file systems
        return False
    except OSError as error:  # ENOLCK, EOPNOTSUPP and the like: nobody can hold a lock there
        warn_once(f"{Path(file.name).parent}: files cannot be locked there ({error.strerror})")
    return True


@cache
def warn_once(what: str) -> None:
    """Warn that no lock keeps processes apart."""
    logger.warning("%s; see to it that no other process writes to the same output", what)


@contextmanager
def locked_file(file: Path, flag: str, doing: str = "writing") -> Iterator[BinaryIO]:
    """Open a file for reading and appending, unbuffered, and keep other processes out of it; it is made if it is not there.

    Args:
        file: in the folder that is protected by it, or in a folder in that; they are made.
        flag: and value that name the folder, for messages.
        doing: what another process would be doing there.

    Raises:
        InputError: another process has it, or the folder cannot be written.
        RunError: the disk is full or fails.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("ab+", buffering=0)
    except OSError as error:
        raise file_error(f"{flag}: cannot be written ({error.strerror}); choose another folder", error) from error
    with opened:
        if not lock(opened, wait=False):
            raise InputError(f"{flag}: another process is {doing} there; wait, or choose another folder")
        yield opened


def peak_memory() -> float | None:
    """Return the peak resident memory of this process in GiB; ``None`` if the system does not tell."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def reset_peak_memory() -> bool:
    """Measure the peak of :func:`peak_memory` from now on. Return False if the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # of Linux: see its manual page proc_pid_clear_refs
    except OSError:
        return False
    return True


def main_memory() -> int | None:
    """Return the bytes of main memory of this machine; ``None`` if the system does not tell."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
