"""Work ahead of and behind the main thread: in order, so much of it at a time, errors in their place."""

import threading
import time
from contextlib import closing

import pytest

from realis.parallel.queues import BackgroundWriter, prefetch


def test_items_come_in_order_and_not_too_far_ahead():
    made = []

    def items():
        for i in range(20):
            made.append(i)
            yield i

    with closing(prefetch(items(), 3)) as ahead:
        for i, item in enumerate(ahead):
            assert item == i
            time.sleep(0.002)
            assert len(made) <= i + 1 + 3 + 1


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("damaged")

    ahead = prefetch(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)


def test_closed_early_nothing_is_under_way():
    at_work = threading.Event()

    def items():
        for i in range(100):
            at_work.set()
            time.sleep(0.005)
            at_work.clear()
            yield i

    with closing(prefetch(items(), 2)) as ahead:
        next(ahead)
    before = at_work.is_set()
    time.sleep(0.02)
    assert not before and not at_work.is_set()


def test_calls_run_one_after_the_other_and_errors_are_raised():
    done = []

    def call(i):
        time.sleep(0.005)
        done.append(i)

    with BackgroundWriter() as writer:
        for i in range(5):
            writer.do(call, i)
            assert len(done) >= i  # all but the one under way
    assert done == list(range(5))
    with pytest.raises(ZeroDivisionError), BackgroundWriter() as writer:
        writer.do(lambda: 1 / 0)
        writer.do(call, 5)
    assert done == list(range(5))
    with pytest.raises(ZeroDivisionError), BackgroundWriter() as writer:
        writer.do(lambda: 1 / 0)
