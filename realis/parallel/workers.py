"""Distribute work over processes of this machine."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from types import TracebackType
from typing import Any, TypeVar

from realis.core.errors import RunError

Item = TypeVar("Item")
Result = TypeVar("Result")
TICK = 0.3  # seconds, after which a wait for workers is interrupted
# On Linux, workers are forked from a process that has imported what they need, once for all of them. Elsewhere libraries of
# the system start threads, of which forking loses track; and a socket, by which that process is asked, has a short path.
CAN_FORK = sys.platform == "linux" and len(tempfile.gettempdir()) < 70
context = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")


class Workers:
    """A pool of processes that starts with the first task. A context manager.

    Args:
        count: most processes; 0: one per core.
        prepare: called first in each process, with ``arguments``.
        modules: names of modules that the work imports and that take long to import. The first pool that starts decides
            for all of a program.
    """

    def __init__(
        self,
        count: int = 0,
        prepare: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
        modules: Sequence[str] = (),
    ) -> None:
        self.count, self._initializer_arguments = count or os.cpu_count() or 1, (prepare, arguments)
        self._modules = list(modules)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(wait=error is None, cancel_futures=True)
        if self._pool and error:
            for child in multiprocessing.active_children():
                child.terminate()

    def tasks(
        self, work: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Item, Result | BaseException]]:
        """Yield each of ``items`` when it is done, with the result of ``work``, or the exception that it raised.

        Args:
            work: called in another process, in which torch and OpenCV use one thread each. Decoders that it opens
                should use one thread, too: every thread of a decoder holds frames of its own.
            items: in no order: they are yielded as they are done.
            tick: called in this process every :data:`TICK` seconds or more often.

        Raises:
            RunError: a process was killed.
        """
        if self._pool is None:
            start_server(self._modules)
            self._pool = ProcessPoolExecutor(self.count, context, prepare_process, self._initializer_arguments)
        jobs = {self._pool.submit(work, item): item for item in items}
        waiting = set(jobs)
        terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as Ctrl-C does
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=TICK, return_when=FIRST_COMPLETED)
                tick()
                for job in done:
                    error = job.exception()
                    if isinstance(error, BrokenProcessPool):
                        raise RunError("a worker process was killed, perhaps for want of memory; the same command goes "
                                       "on from there, with fewer --workers if that was it")  # fmt: skip
                    yield jobs[job], error or job.result()
        finally:
            signal.signal(signal.SIGTERM, terminated)


def start_server(modules: list[str]) -> None:
    """Start the process that workers are forked from, deaf to Ctrl-C, which would show a traceback while it imports."""
    if CAN_FORK:
        context.set_forkserver_preload(modules)
        interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, interrupted)


def use_one_core() -> None:
    """Let OpenCV and torch use one thread each in this process: there are as many processes as cores."""
    import cv2

    cv2.setNumThreads(1)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    else:  # torch reads this when it is imported, which takes seconds: only by tasks that need it
        os.environ["OMP_NUM_THREADS"] = "1"  # noqa: TID251 - how many threads compute, not what


def prepare_process(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Use one core; leave Ctrl-C to the parent; end when the parent does."""
    use_one_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    if prepare:
        prepare(*arguments)


def exit_with_parent() -> None:
    """End this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
