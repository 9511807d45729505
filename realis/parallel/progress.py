"""Progress that worker processes make, counted where their parent sees it."""

from collections.abc import Callable
from typing import Any

from realis.parallel.workers import context

_shared: Any = None  # in a worker: the counter that it shares with its parent, if there is one


class SharedProgress:
    """A counter that worker processes raise, and that their parent shows.

    Args:
        advance: called by :meth:`tick` with what was done since.

    Attributes:
        counter: what a worker is prepared with, by :func:`share`.
    """

    def __init__(self, advance: Callable[[int], Any]) -> None:
        self.counter, self._advance, self._seen = context.Value("q", 0), advance, 0

    def tick(self) -> None:
        """Show what the workers have done by now."""
        done = self.counter.value
        self._advance(done - self._seen)
        self._seen = done


def share(counter: Any) -> None:
    """Keep the parent's counter, in a worker."""
    global _shared
    _shared = counter


def count_one() -> None:
    """Count a frame, or whatever the progress is measured in; does nothing where nobody counts."""
    if _shared:
        with _shared.get_lock():
            _shared.value += 1
