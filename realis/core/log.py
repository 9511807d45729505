"""Messages on stderr, from the first process only, and a progress bar with the time left."""

import logging
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from tqdm import tqdm

logger = logging.getLogger("realis")

COLUMNS = 100  # of a progress bar at most
LINES_EVERY = 30  # seconds, where there is no terminal
UP = "\x1b[A"  # how tqdm moves to the line of a bar above another
KNOWN_AFTER = (3, 3.0)  # steps and seconds after the first step from which on the time left is estimated


def is_main_process() -> bool:
    """Whether this process logs for all of them: rank 0, by the ``RANK`` that torchrun and accelerate set."""
    return os.environ.get("RANK", "0") == "0"  # noqa: TID251 - which process speaks, never the maths


class _StderrHandler(logging.Handler):
    """Writes to what ``sys.stderr`` is at the moment, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(f"realis: {record.getMessage()}", file=sys.stderr)


def _printable(record: logging.LogRecord) -> bool:
    """Escape what cannot be encoded in a message, for every handler: file names need not be UTF-8."""
    record.msg, record.args = record.getMessage().encode(errors="backslashreplace").decode(), ()
    return True


def setup() -> None:
    """Send realis' messages to stderr, one per line; other ranks only warn. Called once by each command."""
    if not logger.handlers:
        logger.addHandler(_StderrHandler())
        logger.addFilter(_printable)
        _own_lock()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=_own_lock)
    logger.setLevel(logging.INFO if is_main_process() else logging.WARNING)
    logger.propagate = False
    # Intended: diffusers keeps the norms in float32, and activations are bf16
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    # DeepSpeed calls collectives by deprecated names: a user can do nothing about it
    warnings.filterwarnings("ignore", message="`torch.distributed.* is deprecated", category=FutureWarning)


def _own_lock() -> None:
    """Give this process a lock of its own around what it writes. tqdm's is shared with forked processes, and one that is
    killed while it writes would silence, and stop, all others."""
    tqdm.set_lock(threading.RLock())


@cache
def info_once(message: str) -> None:
    """Log ``message`` unless it was logged in this process before: a file may be read more than once."""
    logger.info("%s", message)


def progress(items: Iterable | None = None, *, total: float | None, unit: str, initial: float = 0) -> tqdm:
    """Return a progress bar with count, rate and time left, at most 100 columns wide; silent on ranks above 0.

    If stderr is no terminal, it prints a line every :data:`LINES_EVERY` seconds instead.
    """
    is_terminal = sys.stderr.isatty()
    graph = " |{bar}|" if is_terminal else ""
    units = unit if total == 1 else f"{unit}s"
    counted = f"{{percentage:3.0f}}%{graph} {{n:.0f}}/{{total_fmt}} {units}"
    counted += " [{elapsed}, left {remaining}{speed}{postfix}]"
    columns = min(COLUMNS, (shutil.get_terminal_size().columns or COLUMNS) - 1)  # some terminals have no size
    options: dict[str, Any] = {"iterable": items, "total": total, "bar_format": counted if total else None}
    if is_terminal:
        options |= {"mininterval": 0.5, "ncols": columns}
    else:
        options |= {"mininterval": LINES_EVERY, "delay": LINES_EVERY, "file": _Lines()}
    return _Bar(unit=unit, initial=initial, disable=not is_main_process(), miniters=0, **options)


class _Bar(tqdm):
    """Estimates the time left from the rate after the first step, which is slow (reading, compiling), and only once
    enough steps are done: an estimate that includes the first step is wrong by hours."""

    _first: tuple[float, float] | None = None  # how much was done after the first step, and when
    _steps = 0  # since then

    def __iter__(self) -> Iterator:
        try:
            for item in self.iterable:
                yield item
                self.update()
        finally:
            self.close()

    def update(self, n: float = 1) -> bool | None:
        if self._first is None:
            self._first = self.n + n, time.monotonic()
        else:
            self._steps += 1
        return super().update(n)

    @property
    def format_dict(self) -> Mapping[str, Any]:
        rate, unit = self._rate(), getattr(self, "unit", "")
        speed = f", {rate:.3g} {unit}s/s" if rate >= 1 else f", {1 / rate:.3g} s/{unit}" if rate else ""
        return {**super().format_dict, "rate": rate, "speed": speed}

    def _rate(self) -> float:
        """Return the units per second after the first step; 0: not known yet."""
        done, began = self._first or (0, 0)
        seconds = time.monotonic() - began
        if self.total and self.n >= self.total:  # nothing is left, however short it was
            return self.n / max(seconds, 1e-3)
        return (self.n - done) / seconds if self._steps >= KNOWN_AFTER[0] and seconds >= KNOWN_AFTER[1] else 0


class _Lines:
    """The file that a bar writes to if stderr is no terminal: every update is a line of its own."""

    def write(self, text: str) -> None:
        if line := text.replace(UP, "").strip():
            print(f"realis: {line}", file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()
