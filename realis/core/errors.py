"""The one kind of error that a user can cause, and how a command answers it."""

import errno
import os
import sys
from collections.abc import Callable

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


class InputError(ValueError):
    """What the user gave cannot be used: the message says what was got, what was wanted, what to do."""


class TerminatedError(Exception):
    """SIGTERM told a run to stop, and it has saved what there was to save: the message says how to go on."""


def is_of_the_disk(error: InputError) -> bool:
    """Whether it says that the disk is full or fails: then nothing is wrong with what was given."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_ERRORS


def require(fits: bool, name: str, got: object, wanted: str) -> None:
    """Raise an InputError unless ``fits``; ``name`` is that of a flag or of a field of a configuration."""
    if not fits:
        raise InputError(f"{name}: got {got}, wanted {wanted}")


def reason(error: Exception) -> str:
    """What an exception says, without the number and the file name that an OSError, or an error of libav, adds."""
    return getattr(error, "strerror", None) or str(error)


def run_command(main: Callable[[], None]) -> None:
    """Run a command; its errors become one line on stderr.

    Exit code 2 for an :class:`InputError`, and for a path that is too long or may not be read; 1 for a run that stopped by
    itself (a loss that is not finite, a full disk); 130 for Ctrl-C; 141 where what reads the output has gone (``| head``);
    143 for SIGTERM, where that is answered by saving.
    """
    try:
        main()
    except InputError as error:
        print(f"realis: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except FloatingPointError as error:
        print(f"realis: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again as it ends
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno not in (*DISK_ERRORS, errno.ENAMETOOLONG, errno.EACCES):
            raise
        print(f"realis: {f'{error.filename}: ' if error.filename else ''}{reason(error)}", file=sys.stderr)
        raise SystemExit(1 if error.errno in DISK_ERRORS else 2) from None
    except KeyboardInterrupt as stop:
        print(f"realis: {str(stop) or 'interrupted'}", file=sys.stderr)
        raise SystemExit(130) from None
    except TerminatedError as stop:
        print(f"realis: {stop}", file=sys.stderr)
        raise SystemExit(143) from None
