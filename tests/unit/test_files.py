"""Files that appear whole or not at all, and how a command answers errors."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from realis.core.errors import InputError, RunError, TerminatedError, error_of_several, run_command
from realis.core.files import read_json, whole_file, whole_folder


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    file = tmp_path / "file"
    file.write_text("before")
    with pytest.raises(KeyError), whole_file(file) as temporary:
        temporary.write_text("half")
        raise KeyError
    with pytest.raises(RunError, match=r"file: writing failed \(No space left on device\)"), whole_file(file):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    with whole_file(file) as temporary:
        temporary.write_text("after")
    assert file.read_text() == "after" and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("got 3,\n wanted 4"), 2, "realis: got 3, wanted 4\n"),
        (RunError("out of\nmemory"), 1, "realis: out of memory\n"),
        (MemoryError(), 1, "realis: out of memory\n"),
        (MemoryError("Unable to allocate 9 GiB"), 1, "realis: Unable to allocate 9 GiB\n"),
        (FloatingPointError("the loss is nan"), 1, "realis: the loss is nan\n"),
        (OSError(errno.ENOSPC, "No space left", "f"), 1, "realis: f: No space left\n"),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 2, "realis: f: Permission denied\n"),
        (KeyboardInterrupt(), 130, "realis: interrupted\n"),
        (TerminatedError("stopped by SIGTERM"), 143, "realis: stopped by SIGTERM\n"),
    ],
)
def test_a_command_answers_in_one_line(capsys, error, code, line):
    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        run_command(fail)
    assert stop.value.code == code and capsys.readouterr().err == line


@pytest.fixture
def full_disk():
    """No file can be larger than 6000 bytes, for a while."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.write_bytes(bytes(9000)),
        lambda file: save_file({"a": np.zeros(9000)}, file),  # whose error has no number
    ],
)
def test_a_full_disk_is_no_fault_of_what_was_given(tmp_path, full_disk, write):
    with pytest.raises(RunError, match=r"x: writing failed .*File too large"), whole_file(tmp_path / "x") as temporary:
        write(temporary)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.EROFS])
def test_a_path_that_cannot_be_is_a_fault_of_what_was_given(tmp_path, number):
    with pytest.raises(InputError, match="file: writing failed"), whole_file(tmp_path / "file"):
        raise OSError(number, os.strerror(number))


def test_of_several_faults_one_that_was_not_given_decides():
    assert isinstance(error_of_several("2 failed", [InputError, UnicodeError]), RunError)
    assert isinstance(error_of_several("2 failed", [InputError, RunError]), RunError)
    assert isinstance(error_of_several("2 failed", [InputError, InputError]), InputError)


def test_faults_of_the_program_are_not_hidden():
    def fail():
        open("/nothing/there")  # noqa: SIM115

    with pytest.raises(FileNotFoundError):
        run_command(fail)


def test_output_may_be_cut_off():
    """As by ``| head``: no traceback."""
    code = "from realis.core.errors import run_command; run_command(lambda: [print('x' * 99) for _ in range(99999)])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_file_is_on_disk_before_it_takes_its_name_and_the_name_after(tmp_path, monkeypatch):
    """Else a power failure leaves a name with an empty file."""
    done, file, fsync = [], tmp_path / "file", os.fsync

    def noted(handle):
        is_folder = os.fstat(handle).st_ino == tmp_path.stat().st_ino
        done.append(("folder" if is_folder else "file", file.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with whole_file(file) as temporary:
        temporary.write_text("x")
    assert done == [("file", False), ("folder", True)]


def test_a_folder_is_on_disk_before_it_takes_its_name_and_the_name_after(tmp_path, monkeypatch):
    final, done = tmp_path / "final", []
    with whole_folder(final) as temporary:
        (temporary / "file").write_text("x")
        names = {path.stat().st_ino: path.name for path in (tmp_path, temporary, temporary / "file")}
        monkeypatch.setattr(os, "fsync", lambda handle: done.append((names[os.fstat(handle).st_ino], final.exists())))
    assert done == [("file", False), (temporary.name, False), (tmp_path.name, True)]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "new" / "folder"
    with whole_folder(folder) as temporary:
        (temporary / "file").write_text("before")
    with pytest.raises(KeyError), whole_folder(folder) as temporary:
        (temporary / "file").write_text("half")
        raise KeyError
    with (
        pytest.raises(RunError, match=r"folder: writing failed \(No space left\); one is kept"),
        whole_folder(folder, "one is kept"),
    ):
        raise OSError(errno.ENOSPC, "No space left")
    assert (folder / "file").read_text() == "before" and list(folder.parent.iterdir()) == [folder]
    with whole_folder(folder) as temporary:
        (temporary / "other").write_text("after")
    assert [path.name for path in folder.iterdir()] == ["other"] and list(folder.parent.iterdir()) == [folder]


def test_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for whole in (whole_file, whole_folder):
        with pytest.raises(InputError, match=r"file.below: writing failed"), whole(tmp_path / "file" / "below"):
            pass


def test_json_that_cannot_be_read(tmp_path):
    file = tmp_path / "a.json"
    for content in ("[" * 100_000, '{"a": 1', "[1]", ""):
        file.write_text(content)
        assert read_json(file) is None
