"""The errors that end a command with one line on stderr, and the exit code of each."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
PATH_ERRORS = (errno.EACCES, errno.EROFS, errno.ENAMETOOLONG)  # but ENOENT, which may be a fault of the program


class InputError(ValueError):
    """What the user gave cannot be used: the message says what was got, what was wanted, what to do."""


class RunError(RuntimeError):
    """A run cannot go on, whatever the input: the disk is full, memory is short, a process was killed, a server fails.
    The message says what failed, what of the work is kept, and what to do."""


class TerminatedError(Exception):
    """SIGTERM told a run to stop, and it has saved its state. The message says how to resume it."""


def require(fits: bool, name: str, got: object, wanted: str) -> None:
    """Raise an InputError unless ``fits``; ``name`` is that of a flag or of a field of a configuration."""
    if not fits:
        raise InputError(f"{name}: got {got}, wanted {wanted}")


def reason(error: Exception) -> str:
    """Return the message of an exception, without the number and file name that OSError and libav's errors add."""
    return getattr(error, "strerror", None) or str(error)


def file_error(message: str, cause: Exception) -> InputError | RunError:
    """Return the error to raise if ``cause`` keeps a file from being read or written.

    It is a :class:`RunError` if the disk is full or fails, else an :class:`InputError`: another path may work.

    >>> file_error("out.mp4: writing failed", OSError(errno.ENOSPC, "No space left on device"))
    RunError('out.mp4: writing failed')
    >>> file_error("out.mp4: writing failed", OSError(errno.ENOTDIR, "Not a directory"))
    InputError('out.mp4: writing failed')
    """
    in_text = re.search(r"\(os error (\d+)\)", str(cause))  # safetensors gives the number nowhere else
    number = int(in_text[1]) if in_text else getattr(cause, "errno", None)
    return (RunError if number in DISK_ERRORS else InputError)(message)


def error_of_several(message: str, kinds: Iterable[type[BaseException]]) -> InputError | RunError:
    """Return the error to raise if some of several inputs failed with errors of these ``kinds``.

    It is an :class:`InputError` if all of them are, else a :class:`RunError`: the same command may yet succeed.
    """
    return (InputError if all(issubclass(kind, InputError) for kind in kinds) else RunError)(message)


def run_command(main: Callable[[], object]) -> None:
    """Run a command; its errors become one line on stderr.

    Exit codes: 2 for an :class:`InputError`, and for a path that is too long or lacks permissions; 1 for a
    :class:`RunError`, a disk that is full or fails, lack of memory, and a loss that is not finite; 130 for Ctrl-C; 141
    for a broken pipe (``| head``); 143 for SIGTERM after the run has saved its state.
    """
    try:
        main()
    except InputError as error:
        print(f"realis: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except (RunError, FloatingPointError, MemoryError) as error:
        print(f"realis: {' '.join(str(error).split()) or 'out of memory'}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again as it ends
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno not in (*DISK_ERRORS, *PATH_ERRORS):
            raise
        print(f"realis: {f'{error.filename}: ' if error.filename else ''}{reason(error)}", file=sys.stderr)
        raise SystemExit(1 if error.errno in DISK_ERRORS else 2) from None
    except KeyboardInterrupt as stop:
        print(f"realis: {str(stop) or 'interrupted'}", file=sys.stderr)
        raise SystemExit(130) from None
    except TerminatedError as stop:
        print(f"realis: {stop}", file=sys.stderr)
        raise SystemExit(143) from None
