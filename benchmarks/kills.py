"""What the benchmarks that kill runs share: runs in forked processes, killed at a time or before a file operation."""

import itertools
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.link")
Work = Callable[[], None]


def in_child(work: Work) -> BaseProcess:
    """Start ``work`` in a forked process, in which everything is imported already."""
    process = multiprocessing.get_context("fork").Process(target=_quietly, args=(work,))
    process.start()
    return process


def _quietly(work: Work) -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    torch.set_num_threads(1)
    work()


def _on_operation(then: Work, watched: tuple[str, ...]) -> None:
    """In this process, call ``then`` right before every file operation on a path that has one of ``watched`` in it."""

    def watch(event: str, arguments: tuple) -> None:
        if event in OPERATIONS and any(part in str(arguments[0]) for part in watched):
            then()

    sys.addaudithook(watch)


def count_operations(work: Work, watched: tuple[str, ...]) -> int:
    """Run to the end; returns how many such operations that took."""
    counter = multiprocessing.get_context("fork").Value("q", 0)

    def count() -> None:
        counter.value += 1

    def counted() -> None:
        _on_operation(count, watched)
        work()

    child = in_child(counted)
    child.join()
    assert child.exitcode == 0, f"the undisturbed run ended with {child.exitcode}"
    return counter.value


def killed_at_operation(work: Work, watched: tuple[str, ...], operation: int) -> None:
    """Run until right before the given operation, counted from 0."""
    left = itertools.count(operation, -1)

    def die_when_due() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        _on_operation(die_when_due, watched)
        work()

    child = in_child(doomed)
    child.join()
    assert child.exitcode == -signal.SIGKILL, f"ended with {child.exitcode} instead of being killed"


def killed_after(work: Work, seconds: float) -> None:
    """Run for a time, then kill it; it may have ended before."""
    child = in_child(work)
    child.join(seconds)
    child.kill()
    child.join()


def finish(work: Work) -> None:
    """Run to the end."""
    child = in_child(work)
    child.join()
    assert child.exitcode == 0, f"the resumed run ended with {child.exitcode}"


def try_moments(
    run: Callable[[Path], None],
    folder: Path,
    watched: tuple[str, ...],
    moments: int,
    seed: int,
    differences: Callable[[Path, Path], list[str]],
    left: Callable[[Path], str],
) -> int:
    """Kill ``run(output)`` at so many moments, let it go on, compare; prints a line each, returns how many differ.

    Moments alternate between a file operation (before it is carried out; the first one is that in the middle, others are
    random) and a random time.

    Args:
        run: the work; where ``output`` holds what a killed run left, it goes on from there.
        folder: for all outputs.
        watched: parts of the paths whose operations count.
        moments: how many.
        seed: of the moments.
        differences: (undisturbed output, other output) -> what is not the same in them.
        left: what a killed run left in its output, in words.
    """
    rng, failed, whole = random.Random(seed), 0, folder / "whole"
    began = time.perf_counter()
    operations = count_operations(partial(run, whole), watched)
    seconds = time.perf_counter() - began
    for i in range(moments):
        work = partial(run, folder / f"run{i}")
        if i % 2:
            moment = rng.uniform(0.1, 1) * seconds
            killed_after(work, moment)
            what = f"after {moment / seconds:4.0%} of its time"
        else:
            operation = rng.randrange(operations) if i else operations // 2
            killed_at_operation(work, watched, operation)
            what = f"before file operation {operation} of {operations}"
        there = left(folder / f"run{i}")
        finish(work)
        different = differences(whole, folder / f"run{i}")
        failed += bool(different)
        result = f"DIFFERS in {', '.join(different)}" if different else "the same bytes"
        print(f"killed {what:36s} left {there:18s} resumed: {result}", flush=True)
    print(f"{moments - failed} of {moments} ended with the same bytes as the undisturbed run")
    return failed
