"""JSON that was written by hand, cut off, or made to do harm: read as what it is, or one error of one kind."""

import errno
import io
from dataclasses import dataclass, field
from typing import Literal

import pytest

from realis.core.records import append_row, build_record, digest, load_json, whole_lines


@dataclass
class Row:
    name: str
    number: float = 0.0
    pairs: tuple[tuple[int, int], ...] = ()
    kind: Literal["a", "b"] = "a"
    scores: dict[str, float] = field(default_factory=dict)


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", "[1e999]", "1" * 30, "1" * 9999, "[" * 100_000, '{"a":' * 100_000, "", "{", b"\xff"]
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):
        load_json(text)


def test_what_is_written_is_read():
    values = {"name": "x", "number": 3, "pairs": [[1, 2]], "kind": "b", "scores": {"s": 1e-300, "t": -(2**63)}}
    assert load_json('{"a": [1e300, true, null]}') == {"a": [1e300, True, None]}
    assert build_record(Row, values) == Row("x", 3, ((1, 2),), "b", {"s": 1e-300, "t": -(2**63)})


@pytest.mark.parametrize(
    "values",
    [[], {}, {"name": 3}, {"name": "x", "number": "1"}, {"name": "x", "number": True}, {"name": "x", "pairs": [[1, 2, 3]]},
     {"name": "x", "pairs": [[1.5, 2]]}, {"name": "x", "kind": "c"}, {"name": "x", "kind": ["a"]}, {"name": "x", "more": 1},
     {"name": "x", "scores": {"s": None}}, {"name": "x", "pairs": "ab"}],
)  # fmt: skip
def test_fields_have_their_types(values):
    with pytest.raises((ValueError, TypeError)):
        build_record(Row, values)


def test_a_torn_line_is_cut_off(tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b"one\ntw" + b"o" * 9000)
    with file.open("ab+", buffering=0) as lines:
        append_row(lines, {"name": "\udcff猫"})
    assert file.read_bytes() == b'one\n{"name": "\xff\xe7\x8c\xab"}\n'


def test_a_line_without_an_end_does_not_count():
    lines = whole_lines(b'{"name": "\xff\xe7\x8c\xab"}\n[1]\n[2')
    assert [load_json(line) for line in lines] == [{"name": "\udcff猫"}, [1]]
    assert whole_lines(b"") == whole_lines(b"[2") == []


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, line):
            return super().write(line[:3])

    file = tmp_path / "lines"
    file.write_bytes(b"[1]\n")
    with Full(file, "a+") as lines, pytest.raises(OSError) as error:
        append_row(lines, [2, 3])
    assert file.read_bytes() == b"[1]\n"
    assert error.value.errno == errno.ENOSPC and error.value.filename == file


def test_a_digest_changes_with_facts_and_not_with_their_order():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) == "ae8a9a50524642753023cd4de3444719"
    assert len({digest(facts) for facts in ([1, 2], [2, 1], ["1", 2], {"a": None}, {})}) == 5
