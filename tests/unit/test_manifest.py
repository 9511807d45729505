"""Manifests: their forms, and one clear line for each thing that can be wrong."""

import csv

import pytest

from footage import manifest
from realis.errors import InputError
from realis.training.manifest import ClipEntry, read_manifest

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
        ("clips.csv", "video,caption\na.mp4,x\n", r"row 1: file_name: got none \(its columns: video, caption\)"),
        ("clips.csv", "file_name,caption\na.mp4,x\n,y\n", "row 2: file_name: got none"),
        ("clips.jsonl", '{"file_name": "a.mp4"}\n\n{"file_name": 7}', "row 2: file_name: got 7, wanted a path"),
        ("clips.jsonl", '{"file_name": "a.mp4"}\n{"file_name"', "line 2: not JSON"),
        ("clips.jsonl", '["a.mp4"]', "line 1: got list, wanted an object"),
        ("clips.jsonl", '{"file_name": "a.mp4", "start": -1}', "row 1: start: got -1, wanted a whole number, 0 or"),
        ("clips.csv", "file_name,frames\na.mp4,9.5\n", "row 1: frames: got '9.5', wanted a whole number, 1 or more"),
        ("clips.jsonl", '{"file_name": "a.mp4", "frames": true}', "frames: got True"),
        ("clips.jsonl", '{"file_name": "a.mp4", "caption": ["x"]}', "row 1: caption: got .'x'., wanted text"),
        ("clips.csv", "file_name\na.mp4\nb.mp4\nc.mp4\n", r"2 of 3 files that it names are missing, first \S+b\.mp4"),
        ("clips.csv", b"file_name\n\xff\n", "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_one_clear_line(tmp_path, name, text, message):
    (tmp_path / "a.mp4").touch()
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as error:
        read_manifest(str(tmp_path / name))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_a_manifest_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="got nothing there"):
        read_manifest(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match=r"a folder without metadata, wanted one of metadata\.jsonl"):
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
