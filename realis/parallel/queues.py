"""Read ahead of the main thread, and write behind it, each in a thread of its own and with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Yield ``items`` in order, taken from their iterator by another thread, at most ``depth`` ahead.

    An error is raised where its item would come. Close this generator before the source of ``items``, which the thread
    may still be reading.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        ahead = deque(pool.submit(next, iterator, end) for _ in range(depth))
        while (item := ahead.popleft().result()) is not end:
            ahead.append(pool.submit(next, iterator, end))
            yield item  # pyright: ignore[reportReturnType]


class BackgroundWriter:
    """Runs calls that write in another thread, one at a time and in order. A context manager.

    A call waits until the one before it has ended. An error is raised by the next call, or on leaving.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._under_way: Future | None = None

    def do(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Run ``call(*arguments)`` once the call before it has ended."""
        self.wait()
        self._under_way = self._pool.submit(call, *arguments)

    def wait(self) -> None:
        """Wait until nothing is under way."""
        under_way, self._under_way = self._under_way, None
        if under_way:
            under_way.result()

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True)
