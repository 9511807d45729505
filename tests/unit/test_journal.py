"""Records beside a result that were damaged or written by others: what they say is not believed, and nothing breaks."""

import json
import os

import pytest

from realis.core.errors import InputError
from realis.video.finished import check_replaced, is_finished, note_result
from realis.video.journal import Journal, Segment
from realis.video.results import notes_file

KEY = {"seed": 0}
NONE = ["", "[" * 100_000, "3", "[]", "null", b"\xff", '{"a": 1e999}']


def replace(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def journal(tmp_path):
    """Of a run that was stopped after two segments of two frames."""
    journal = Journal(tmp_path / "out.mp4", KEY, ".video", restart=False)
    journal.open()
    for start in (0, 2):
        segment = Segment(start, (start, start + 1), (1, 1), False, {"damaged": (start,)})
        journal.add(segment, {}, lambda file: file.write_bytes(b"video"))
    journal.close(finished=False)
    return journal


def found(journal):
    again = Journal(journal.output, KEY, ".video", restart=False)
    again.open()
    again.close(finished=False)
    return again


def test_what_is_whole_is_read_as_it_was_written(journal):
    assert found(journal).segments == journal.segments


@pytest.mark.parametrize(
    "harm",
    [{"times": "xy"}, {"times": []}, {"times": [0]}, {"times": ["0", "1"]}, {"times": None}, {"durations": [1]},
     {"faults": []}, {"faults": {"damaged": "x"}}, {"faults": {"damaged": [None]}}, {"start": "0"}, {"last": 0},
     {"size": 5.0}, {"more": 1}, *NONE],
)  # fmt: skip
def test_facts_of_a_segment_that_cannot_be_true(journal, harm):
    file = journal.folder / "000001.json"
    replace(file, json.dumps({**json.loads(file.read_text()), **harm}) if isinstance(harm, dict) else harm)
    assert found(journal).segments == journal.segments[:1]


@pytest.mark.parametrize("harm", ['{"height": "64", "width": [64]}', '{"height": -16, "width": 40}', *NONE])
def test_a_tile_that_cannot_be_true(journal, harm):
    replace(journal.folder / "tile.json", harm)
    assert found(journal).settle_tile((128, 256), 16) == (128, 256)


@pytest.mark.parametrize(
    "harm",
    [{"made from": 3}, {"made from": None}, {"the result": []}, {"the result": 3}, {"the result": {"files": "x"}},
     {"the result": {"files": 1, "bytes": None, "modified": 0, "content": ""}}, *NONE],
)  # fmt: skip
def test_notes_that_cannot_be_true(tmp_path, harm):
    output = tmp_path / "out"
    output.mkdir()
    (output / "0.png").touch()
    note_result(output, KEY)
    assert is_finished(output, KEY)
    os.utime(output, (1, 1))
    file = notes_file(output)
    replace(file, json.dumps({**json.loads(file.read_text()), **harm}) if isinstance(harm, dict) else harm)
    assert not is_finished(output, KEY)
    with pytest.raises(InputError, match="has files in it that no run of this command made"):
        check_replaced(output, KEY, restart=True)
