"""Reading ahead of the main thread and writing behind it, at most so much of it at a time."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """The same items in the same order, made by another thread, at most ``depth`` ahead. Errors come in their place.

    Close it before what the items are made from: the thread may be at work on it.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        ahead = deque(pool.submit(next, iterator, end) for _ in range(depth))
        while (item := ahead.popleft().result()) is not end:
            ahead.append(pool.submit(next, iterator, end))
            yield item  # pyright: ignore[reportReturnType]


class BackgroundWriter:
    """Runs calls that write, one after the other, in another thread, while the main one goes on. A context manager.

    One call may be under way: the next waits for it. An error is raised by the next call, or on leaving.
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
