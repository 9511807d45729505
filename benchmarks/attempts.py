"""What the benchmarks that give bad input share: ``realis upscale`` in a forked process, and what became of it."""

import io
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import kills

from realis.commands.__main__ import run_upscale

LIMIT = 30  # seconds


def attempt(words: list[str], left: Callable[[], list[str]]) -> str:
    """Run ``realis upscale`` with ``words``.

    Args:
        words: its arguments.
        left: names what there is of a result afterwards.

    Returns:
        ``done``, ``refused`` (in one line, with nothing left), or what is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        said = Path(name) / "said.txt"
        child = kills.in_child(partial(_upscale, words, said))
        child.join(LIMIT)
        if child.is_alive():
            child.kill()
            child.join()
            return "HUNG"
        if not said.exists():
            return f"CRASHED with {child.exitcode}"
        text = said.read_text()
    if child.exitcode not in (0, 2) or "Traceback" in text:
        return f"TRACEBACK, exit code {child.exitcode}"
    if child.exitcode == 0:
        return "done"
    there = left()
    return f"LEFT {', '.join(there)}" if there else "refused"


def _upscale(words: list[str], said: Path) -> None:
    """What is said goes to a file."""
    stderr = io.StringIO()
    try:
        with redirect_stderr(stderr):
            run_upscale(words)
    finally:
        said.write_text(stderr.getvalue())
