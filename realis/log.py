"""Messages on stderr, from the first process only, and a progress bar with the time left."""

import logging
import os
import sys
import warnings
from collections.abc import Iterable
from functools import cache

from tqdm import tqdm

logger = logging.getLogger("realis")


def is_main_process() -> bool:
    """True in the process that speaks for all (``RANK`` is what torchrun and accelerate set)."""
    return os.environ.get("RANK", "0") == "0"  # noqa: TID251 - which process speaks, never the maths


class _StderrHandler(logging.Handler):
    """Writes to what ``sys.stderr`` is at the moment, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(f"realis: {record.getMessage()}", file=sys.stderr)


def _printable(record: logging.LogRecord) -> bool:
    """Escape what is no text in a message, for every handler: names of files need not be UTF-8."""
    record.msg, record.args = record.getMessage().encode(errors="backslashreplace").decode(), ()
    return True


def setup() -> None:
    """Send realis' messages to stderr, one per line; other ranks only warn. Called once by each command."""
    if not logger.handlers:
        logger.addHandler(_StderrHandler())
        logger.addFilter(_printable)
    logger.setLevel(logging.INFO if is_main_process() else logging.WARNING)
    logger.propagate = False
    # bf16 activations meet the norms that diffusers keeps in float32: meant so
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    # DeepSpeed calls collectives by names that torch is about to change: nothing a user could do
    warnings.filterwarnings("ignore", message="`torch.distributed.* is deprecated", category=FutureWarning)


@cache
def info_once(message: str) -> None:
    """Log ``message``, but not again in this process: what reads a file twice has nothing new to say."""
    logger.info("%s", message)


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number of things in words; ``plural`` where it is not ``noun`` with an s.

    >>> count(1, "clip"), count(0, "clip"), count(2, "group of videos", "groups of videos")
    ('1 clip', '0 clips', '2 groups of videos')
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def progress(items: Iterable | None = None, *, total: float | None, unit: str, initial: float = 0) -> tqdm:
    """A tqdm bar: rate, count and time left; silent on ranks other than the first."""
    return tqdm(
        items, total=total, unit=unit, initial=initial, disable=not is_main_process(), mininterval=0.5, smoothing=0.1,
        bar_format="{percentage:3.0f}% |{bar}| {n:.0f}/{total_fmt} {unit}" + "s" * (total != 1)
        + " [{elapsed}, left {remaining}, {rate_fmt}{postfix}]" if total else None,
    )  # fmt: skip
