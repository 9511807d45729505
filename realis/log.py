"""Messages on stderr, from the first process only, and a progress bar with the time left."""

import logging
import os
import sys
from collections.abc import Iterable

from tqdm import tqdm

logger = logging.getLogger("realis")


def is_main_process() -> bool:
    """True in the process that speaks for all (``RANK`` is what torchrun and accelerate set)."""
    return os.environ.get("RANK", "0") == "0"  # noqa: TID251 - which process speaks, never the maths


def setup() -> None:
    """Send realis' messages to stderr, one per line; other ranks only warn. Called once by each command."""
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("realis: %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO if is_main_process() else logging.WARNING)
    logger.propagate = False


def progress(items: Iterable | None = None, *, total: float | None, unit: str, initial: float = 0) -> tqdm:
    """A tqdm bar: rate, count and time left; silent on ranks other than the first."""
    return tqdm(
        items, total=total, unit=unit, initial=initial, disable=not is_main_process(), mininterval=0.5, smoothing=0.1
    )
