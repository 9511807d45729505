"""JSON that was written by hand, cut off, or made to do harm: read as what it is, or one error of one kind."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from realis.core.records import append_line, build_record, load_json


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
        append_line(lines, b"three\n")
    assert file.read_bytes() == b"one\nthree\n"
