"""Manifests: their forms, and one clear line for each thing that can be wrong."""

import csv
import json

import pytest

from footage import manifest
from realis.core.errors import InputError
from realis.data.manifest import ClipEntry, read_manifest

ROWS = [{"file_name": "a.mp4", "caption": "a, or b", "start": 3, "frames": 9}, {"file_name": "b.mp4", "start": 0}]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "folder"])
def test_forms_of_a_manifest(tmp_path, form):
    for name in "ab":
        (tmp_path / f"{name}.mp4").touch()
    file = tmp_path / ("metadata.csv" if form == "folder" else f"clips.{form}")
    if form == "jsonl":
        manifest(tmp_path, ROWS)
    elif form == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([*ROWS[:1], ROWS[1] | {"frames": None, "caption": None}]), file)
    else:
        with file.open("w", newline="") as text:
            writer = csv.DictWriter(text, list(ROWS[0]), restval="")
            writer.writeheader()
            writer.writerows(ROWS)
    wanted = [ClipEntry(tmp_path / "a.mp4", "a, or b", 3, 9), ClipEntry(tmp_path / "b.mp4")]
    assert read_manifest(str(tmp_path if form == "folder" else file)) == wanted


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("clips.txt", "a.mp4", r"got the ending '\.txt', wanted \.jsonl, \.csv, \.parquet"),
        ("clips.jsonl", "", "got no rows, wanted a file_name a row"),
        ("clips.csv", "file_name\n", "got no rows"),
        ("clips.csv", "name,caption\na.mp4,x\n", "got the columns name, caption, wanted file_name among them"),
        ("clips.jsonl", "{}", r"got the columns \(none\), wanted file_name among them"),
        ("clips.csv", "file_name,caption\na.mp4,x\n,y\n", "row 2: file_name: got nothing, wanted a path"),
        ("clips.jsonl", '{"file_name": "a.mp4"}\n\n{"file_name": 7}', "row 2: file_name: got 7, wanted a path"),
        ("clips.jsonl", '{"file_name": "a.mp4"}\n{"file_name"', "line 2: not JSON"),
        ("clips.jsonl", '["a.mp4"]', "line 1: got list, wanted an object"),
        ("clips.jsonl", '{"file_name": "a.mp4", "start": -1}', "row 1: start: got -1, wanted a whole number, 0 or"),
        ("clips.csv", "file_name,frames\na.mp4,9.5\n", "row 1: frames: got '9.5', wanted a whole number, 1 or more"),
        ("clips.jsonl", '{"file_name": "a.mp4", "frames": true}', "frames: got True"),
        ("clips.jsonl", '{"file_name": "a.mp4", "caption": ["x"]}', "row 1: caption: got .'x'., wanted text"),
        ("clips.jsonl", '{"file_name": "a.mp4", "caption": "\\ud800"}', "row 1: caption: got .*, wanted text"),
        ("clips.jsonl", '{"file_name": "a.mp4", "frames": 1e999}', "line 1: not JSON"),
        ("clips.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("clips.csv", "file_name\na.mp4\nb.mp4\nc.mp4\n", r"files that it names are missing: 2 of 3, first \S+b\.mp4"),
        ("clips.csv", b"file_name\n\xff\n", "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_one_clear_line(tmp_path, name, text, message):
    (tmp_path / "a.mp4").touch()
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as error:
        read_manifest(str(tmp_path / name))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "file_name, caption\na.mp4, A cat\n",
        ' file_name ,caption \na.mp4, "A cat"\n',
        "file_name,caption,,\na.mp4,A cat,,\n",
    ],
)
def test_spaces_in_csv_are_no_part_of_names_and_cells(tmp_path, text):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text(text)
    assert read_manifest(str(tmp_path / "clips.csv")) == [ClipEntry(tmp_path / "a.mp4", "A cat")]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_spaces_in_names_of_columns_do_not_count_in_other_forms(tmp_path, form):
    (tmp_path / "a.mp4").touch()
    write_row(tmp_path / f"clips.{form}", {" file_name": "a.mp4", "caption ": "A cat"})
    assert read_manifest(str(tmp_path / f"clips.{form}")) == [ClipEntry(tmp_path / "a.mp4", "A cat")]
    write_row(tmp_path / f"clips.{form}", {"file_name": "a.mp4", "caption": "A cat", "caption ": "A dog"})
    with pytest.raises(InputError, match="got the column caption twice, wanted it once"):
        read_manifest(str(tmp_path / f"clips.{form}"))


def write_row(file, row):
    if file.suffix == ".jsonl":
        file.write_text(json.dumps(row))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist([row]), file)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("file_name,text", "got the columns file_name, text, wanted caption in place of text"),
        (
            "file_name,prompt",
            r"caption in place of prompt \(or an empty column caption too, if prompt is something else\)",
        ),
        ("file_name,Caption", "caption in place of Caption"),
        ("file_name,captions", "caption in place of captions"),
        ("file_name,captoin", "caption in place of captoin"),
        ("file_name,Start", "start in place of Start"),
        ("file_name,frame", "frames in place of frame"),
        ("video,prompt", "wanted file_name in place of video and caption in place of prompt"),
        ("file_path,text", "wanted file_name in place of file_path and caption in place of text"),
        ("path,cap", "wanted file_name in place of path and caption in place of cap"),
        ("File Name,caption", "wanted file_name in place of File Name$"),
        ("file_name,caption,caption ", "got the column caption twice"),
        ("file_name;caption", r"separated by semicolons \(file_name;caption\), wanted commas"),
        ("file_name\tcaption", r"separated by tabs \(file_name caption\), wanted commas"),
    ],
)
def test_a_column_that_would_be_passed_over_is_named(tmp_path, columns, message):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text(f"{columns}\na.mp4,A cat\n")
    with pytest.raises(InputError, match=message):
        read_manifest(str(tmp_path / "clips.csv"))


def test_rows_of_json_are_looked_at_one_by_one(tmp_path):
    (tmp_path / "a.mp4").touch()
    file = manifest(tmp_path, [{"file_name": "a.mp4", "caption": "A cat"}, {"file_name": "a.mp4", "captoin": "A dog"}])
    with pytest.raises(InputError, match=r"clips\.jsonl, row 2: got the columns file_name, captoin, wanted caption"):
        read_manifest(file)


def test_other_columns_are_let_be_and_missing_captions_are_told_of_once(tmp_path, caplog):
    caplog.set_level("INFO", "realis")
    (tmp_path / "a.mp4").touch()
    for other, columns, told in [
        (
            1,
            {"source": "pexels", "option": 3},
            "no column caption (its columns: file_name, source, option): every caption is",
        ),
        (2, {"caption": "A cat", "text": "EXIT", "frame_count": 90}, ""),
        (3, {"caption": "", "prompt": "A cat"}, ""),
        (4, {"start": 3, "frames": 9}, ""),
        (5, {}, ""),
    ]:
        caplog.clear()
        file = manifest(tmp_path, [{"file_name": "a.mp4"} | columns], f"{other}.jsonl")
        assert read_manifest(file) == read_manifest(file)
        assert len(caplog.messages) == bool(told) and told in caplog.text


def test_a_manifest_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="got nothing there"):
        read_manifest(str(tmp_path / "none.csv"))
    with pytest.raises(
        InputError, match=r"no table \(metadata\.jsonl, .* no clips in it: videos, or folders of frames"
    ):
        read_manifest(str(tmp_path))
    for form in ("csv", "jsonl"):
        (tmp_path / f"metadata.{form}").touch()
    with pytest.raises(InputError, match=r"got metadata\.jsonl and metadata\.csv, wanted one of"):
        read_manifest(str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "clips.parquet").touch()
    with pytest.raises(InputError, match="pip install pyarrow, or write it as JSONL or CSV"):
        read_manifest(str(tmp_path / "clips.parquet"))


def test_a_parquet_file_that_is_none(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "clips.parquet").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"clips\.parquet: not a Parquet file"):
        read_manifest(str(tmp_path / "clips.parquet"))
