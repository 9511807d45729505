"""Locks and readings of memory, and what is done where a system or a file system has none."""

import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from realis.commands.__main__ import run_upscale
from realis.core import system
from realis.core.errors import InputError
from realis.core.files import sync
from realis.core.system import lock, main_memory, peak_memory
from realis.video.journal import Journal
from realis.video.write import SegmentWriter

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_was_said():
    system.warn_once.cache_clear()


def test_a_lock_keeps_others_out_until_the_file_is_closed(tmp_path):
    with (tmp_path / "lock").open("w") as one, (tmp_path / "lock").open("w") as other:
        assert lock(one, wait=False) and not lock(other, wait=False)
        one.close()
        assert lock(other, wait=True)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_once(tmp_path, monkeypatch, caplog, number):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(system.fcntl, "flock", flock)
    for name in ("a.mp4", "a.mp4"):
        journal = Journal(tmp_path / name, {"a": 1}, ".mp4", restart=False)
        journal.open()
        journal.close(finished=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / '.a.mp4.parts'}: files cannot be locked there ({os.strerror(number)}); see to it that no other "
        "process writes to the same output"
    ]


def test_another_process_is_told_from_a_file_system_without_locks(tmp_path):
    journal = Journal(tmp_path / "a.mp4", {"a": 1}, ".mp4", restart=False)
    journal.open()
    with pytest.raises(InputError, match="another process is writing it"):
        Journal(tmp_path / "a.mp4", {"a": 1}, ".mp4", restart=False).open()
    journal.close(finished=True)


def test_commands_import_where_there_is_neither_fcntl_nor_resource():
    code = (
        "import sys\n"
        "sys.modules |= {'fcntl': None, 'resource': None}\n"
        "import realis.commands.upscale, realis.builder.build, realis.commands.train_cpc, realis.builder.review_queue\n"
        "from realis.core.system import HAS_LOCKS, lock, peak_memory\n"
        "print(HAS_LOCKS, peak_memory(), lock(open(sys.executable, 'rb'), wait=True))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False None True\n" and "has no locks on files" in done.stderr


def test_a_video_is_upscaled_without_them(tmp_path, monkeypatch, capsys):
    clip, output = tmp_path / "clip.mp4", tmp_path / "o.mp4"
    with SegmentWriter(clip, (16, 16), Fraction(25)) as sink:
        sink.write(0, (np.zeros((16, 16, 3), np.uint8) for _ in range(2)))
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "resource", None)
    monkeypatch.setattr("realis.video.journal.HAS_LOCKS", False)
    run_upscale([str(clip), "--output", str(output), "--target", "2x", "--method", "bicubic"])
    assert output.exists() and not (tmp_path / ".o.mp4.parts").exists()
    printed = capsys.readouterr().err
    assert printed.count("has no locks on files") == 1 and f"wrote {output}" in printed and "peak memory" not in printed


def test_memory_is_told_in_gib():
    assert 0.01 < peak_memory() < 1000


def test_folders_are_not_synced_on_windows(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a")
    monkeypatch.setattr(sys, "platform", "win32")
    opened, really_open = [], os.open
    monkeypatch.setattr(os, "open", lambda path, how: opened.append((path, how)) or really_open(path, how))
    sync(tmp_path)
    sync(tmp_path / "file")
    assert opened == [(tmp_path / "file", os.O_RDWR)]


def test_memory_that_cannot_be_told_is_not_told(monkeypatch):
    assert main_memory() > 2**28
    monkeypatch.delattr("os.sysconf")
    assert main_memory() is None
