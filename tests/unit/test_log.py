"""The progress bar: when it tells the time left, and what it writes where there is no terminal."""

import io
import itertools
import os
import re
import subprocess
import sys

import pytest

from realis.core import log


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets; read by the bar and by tqdm alike."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(log.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(log.tqdm, "_time", staticmethod(lambda: Clock.now), raising=False)
    monkeypatch.setattr("tqdm.std.time", lambda: Clock.now)
    return Clock


def left(bar):
    """The time left as the bar shows it."""
    return re.search(r"left ([\d:?]+)", str(bar)).group(1)


def test_a_slow_first_step_does_not_count(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", Terminal())
    with log.progress(total=100, unit="frame") as bar:
        clock.now += 60  # loading, compiling
        bar.update(1)
        assert left(bar) == "?"
        for _ in range(9):
            clock.now += 1
            bar.update(1)
        assert (bar.n, left(bar)) == (10, "01:30")
        assert "1 frames/s" in str(bar)


def test_time_left_is_not_told_after_a_moment(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", Terminal())
    with log.progress(total=100, unit="frame") as bar:
        seen = []
        for _ in range(60):
            clock.now += 0.1
            bar.update(1)
            seen.append(left(bar))
    unknown = list(itertools.takewhile(lambda shown: shown == "?", seen))
    assert 0.1 * len(unknown) >= log.KNOWN_AFTER[1]
    assert "?" not in seen[len(unknown) :] and len(unknown) < 40


def test_a_bar_that_is_iterated_tells_the_time_left(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", io.StringIO())
    for _ in log.progress(range(100), total=100, unit="step"):
        clock.now += 1
    assert log.sys.stderr.getvalue().splitlines()[1] == "realis: 60% 60/100 steps [01:00, left 00:40, 1 steps/s]"


def test_a_bar_fits_its_columns(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "300")
    bar = log.progress(range(12000), total=12000, unit="step")
    bar.set_postfix(loss="1.23e-06", refresh=False)
    for _ in range(5):
        clock.now += 100
        bar.update(1)
    shown = str(bar)
    bar.close()
    assert len(shown) == 100 and "left 333:11:40" in shown and shown.endswith("loss=1.23e-06]")


def test_without_a_terminal_a_line_each_half_minute(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", io.StringIO())
    with log.progress(total=100, unit="frame") as bar:
        for _ in range(100):
            clock.now += 1
            bar.update(1)
    lines = log.sys.stderr.getvalue().splitlines()
    assert 3 <= len(lines) <= 4 and not any("\r" in line or "█" in line for line in lines)
    assert lines[0] == "realis: 30% 30/100 frames [00:30, left 01:10, 1 frames/s]"


def test_a_short_job_without_a_terminal_says_nothing(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", io.StringIO())
    with log.progress(total=3, unit="frame") as bar:
        for _ in range(3):
            clock.now += 1
            bar.update(1)
    assert log.sys.stderr.getvalue() == ""


KILLED_WHILE_IT_WRITES = """
import os, signal
from tqdm import tqdm
from realis.core.log import logger, setup
setup()
logger.info("begun")
child = os.fork()
if not child:
    tqdm.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
logger.info("heard")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_process_that_is_killed_while_it_writes_stops_no_other():
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_WRITES], capture_output=True, text=True, timeout=60)
    assert done.stderr == "realis: begun\nrealis: heard\n"
