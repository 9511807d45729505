"""Messages on stderr, from the first process only, and a progress bar with the time left."""

import logging
import os
import shutil
import sys
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
KNOWN_AFTER = (3, 3.0)  # steps and seconds after the first step: then the time left can be told


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


def progress(items: Iterable | None = None, *, total: float | None, unit: str, initial: float = 0) -> tqdm:
    """A bar with count, rate and time left, at most 100 columns wide; silent on ranks other than the first.

    Where stderr is no terminal, a line each :data:`LINES_EVERY` seconds instead.
    """
    is_terminal = sys.stderr.isatty()
    graph = " |{bar}|" if is_terminal else ""
    units = unit if total == 1 else f"{unit}s"
    counted = f"{{percentage:3.0f}}%{graph} {{n:.0f}}/{{total_fmt}} {units}"
    counted += " [{elapsed}, left {remaining}{speed}{postfix}]"
    columns = min(COLUMNS, (shutil.get_terminal_size().columns or COLUMNS) - 1)  # some terminals have no size
    return _Bar(
        items, total=total, unit=unit, initial=initial, disable=not is_main_process(),
        bar_format=counted if total else None, miniters=0, ncols=columns if is_terminal else None,
        **({"mininterval": 0.5} if is_terminal else {"mininterval": LINES_EVERY, "delay": LINES_EVERY, "file": _Lines()}),
    )  # fmt: skip


class _Bar(tqdm):
    """Tells the time left by the rate since the first step, which is slow (reading, compiling), and only when enough
    was done since then to tell: a guess from that first step is wrong by hours."""

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
        """Units a second; 0: not known yet."""
        done, began = self._first or (0, 0)
        seconds = time.monotonic() - began
        if self.total and self.n >= self.total:  # nothing is left, however short it was
            return self.n / max(seconds, 1e-3)
        return (self.n - done) / seconds if self._steps >= KNOWN_AFTER[0] and seconds >= KNOWN_AFTER[1] else 0


class _Lines:
    """What a bar writes to where there is no terminal: lines of their own, not one over the other."""

    def write(self, text: str) -> None:
        if line := text.replace(UP, "").strip():
            print(f"realis: {line}", file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()
