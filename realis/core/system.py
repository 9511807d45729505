"""File locks and memory figures, which operating systems provide in different ways or not at all."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import IO, Any

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


def peak_memory() -> float | None:
    """Return the peak resident memory of this process in GiB; ``None`` if the system does not tell."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def main_memory() -> int | None:
    """Return the bytes of main memory of this machine; ``None`` if the system does not tell."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
