"""Damaged files end in one line, soon, and leave nothing under a final name; the benchmark tries hundreds."""

import pytest

from benchmark_files import load_benchmark

malformed = load_benchmark("malformed")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return malformed.make_files(tmp_path_factory.mktemp("whole"))


def test_whole_files_of_every_kind_are_read(files, tmp_path):
    assert [file.suffix for file in files if malformed.judge(tmp_path, file.suffix, file.read_bytes()) != "done"] == []


@pytest.mark.parametrize("number", range(10))
def test_damaged_files(files, tmp_path, number):
    *_, (ending, _, content) = malformed.damaged(files, number + 1, seed=7)
    assert malformed.judge(tmp_path, ending, content) in ("done", "refused")
