"""What the digests of two versions of the code see, and what they leave out."""

import json

import pytest
import yaml

from benchmark_files import load_benchmark

same_bytes = load_benchmark("same_bytes")


def write_case(work, crf=4, written=1):
    """What a command may leave: a video, what it was made from and when, settings with an absolute path, a lock."""
    folder = work / "case"
    folder.mkdir(parents=True)
    same_bytes.write_video(folder / "out.mp4", (48, 64), [0, 4, 9], "libx264", "yuv420p")
    made = {"made from": {"crf": crf, "seed": 0}, "the result": {"modified": written}}
    (folder / "out.mp4.json").write_text(json.dumps(made, indent=1))
    (folder / "config.yaml").write_text(yaml.safe_dump({"output": str(folder), "run": {"crf": crf}}))
    (folder / "lock").touch()
    (folder / ".made.jsonl").write_text(str(written))
    return same_bytes.digests(folder, work)


@pytest.fixture
def before(tmp_path):
    return write_case(tmp_path / "before")


def test_the_same_elsewhere_and_later_is_equal(before, tmp_path):
    assert same_bytes.differences(before, write_case(tmp_path / "after", written=2)) == []
    assert "case/out.mp4: frames" in before


def test_a_setting_is_named_by_its_file_and_key(before, tmp_path):
    changed = same_bytes.differences(before, write_case(tmp_path / "after", crf=5))
    assert changed == ["differs: case/config.yaml: run", "differs: case/out.mp4.json: crf"]


def test_frames_are_told_from_the_file_around_them(before, tmp_path):
    work = tmp_path / "after"
    write_case(work)
    file = work / "case/out.mp4"
    file.write_bytes(file.read_bytes() + bytes.fromhex("0000000866726565"))  # an empty box at the end
    assert same_bytes.differences(before, same_bytes.digests(work / "case", work)) == ["differs: case/out.mp4"]
    same_bytes.write_video(file, (48, 64), [0, 4, 10], "libx264", "yuv420p")
    changed = same_bytes.differences(before, same_bytes.digests(work / "case", work))
    assert changed == ["differs: case/out.mp4", "differs: case/out.mp4: frames"]


def test_what_is_gone_or_new_is_named(before):
    after = {name: value for name, value in before.items() if name != "case/out.mp4"} | {"case/failed": "why"}
    assert same_bytes.differences(before, after) == ["new: case/failed", "missing: case/out.mp4"]
