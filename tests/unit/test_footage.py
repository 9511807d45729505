"""Footage is found by folder, pattern and list; only what is wanted passes the probe."""

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from footage import film
from realis.builder.clip import Clip, Dropped
from realis.builder.duplicates import DuplicatesConfig
from realis.builder.footage import find_footage
from realis.builder.ledger import Ledger
from realis.builder.on_ray import RayConfig
from realis.builder.probe import ProbeConfig, add_list_columns, keep_licensed, probe, rejection_reason
from realis.builder.publish import table_row
from realis.builder.run_stage import in_this_process, run_stage
from realis.builder.scenes import ScenesConfig
from realis.core.errors import InputError

CONFIG = ProbeConfig(lines=128)


def only(outcomes):
    (outcome,) = outcomes
    return outcome


def test_videos_are_found_once_under_names_that_differ(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "take 1.mp4").write_bytes(b"x")
    (tmp_path / "a" / ".hidden.mp4").write_bytes(b"x")
    (tmp_path / "a" / "notes.txt").write_text("x")
    words = (str(tmp_path), str(tmp_path / "a" / "take 1.mp4"), str(tmp_path / "**" / "*.mp4"))
    clips = find_footage(words, "CC0")
    assert [clip.video for clip in sorted(clips, key=lambda clip: clip.video)] == [
        str(tmp_path / f / "take 1.mp4") for f in "ab"
    ]
    assert len({clip.name for clip in clips}) == 2 and all(clip.name.startswith("take_1-") for clip in clips)
    assert {clip.licence for clip in clips} == {"CC0"}


def test_lists_say_whose_it_is(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"x")
    (tmp_path / "y.mp4").write_bytes(b"y")
    (tmp_path / "list.csv").write_text("file_name, licence,source,caption \nx.mp4, CC BY 4.0,pexels,A cat\ny.mp4,,,\n")
    one, other = sorted(find_footage((str(tmp_path / "list.csv"),), "own"), key=lambda clip: clip.video)
    assert (one.licence, one.origin, one.caption) == ("CC BY 4.0", "pexels", "A cat")
    assert (other.licence, other.origin, other.caption) == ("own", "", "")
    for words in ((str(tmp_path), str(tmp_path / "list.csv")), (str(tmp_path / "list.csv"), str(tmp_path))):
        assert {clip.licence for clip in find_footage(words, "own")} == {"CC BY 4.0", "own"}  # a list knows more
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "x.mp4", "license": "CC0"}))
    (listed,) = find_footage((str(tmp_path),), "")
    assert listed.licence == "CC0"


@pytest.mark.parametrize(
    ("word", "said"), [("nothing", "nothing there"), ("*.mp4", "nothing there"), (".", "videos in it")]
)
def test_what_names_nothing_is_said(tmp_path, monkeypatch, word, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        find_footage((word,), "")


def test_a_list_that_names_what_is_not_there(tmp_path):
    (tmp_path / "list.jsonl").write_text('{"file_name": "gone.mp4"}')
    with pytest.raises(InputError, match=r"row 1.*gone\.mp4 is not there"):
        find_footage((str(tmp_path / "list.jsonl"),), "")


def test_the_probe_knows_what_a_video_is(tmp_path):
    path = film(tmp_path / "film.mp4", frames=20)
    clip = only(probe(Clip("film", str(path), "CC0"), tmp_path, CONFIG))
    assert (clip.height, clip.width, clip.frames, clip.rate) == (128, 160, 20, 25)
    portrait = film(tmp_path / "portrait.mp4", frames=5, size=(160, 128))
    assert only(probe(Clip("portrait", str(portrait), "CC0"), tmp_path, CONFIG)).height == 160


@pytest.mark.parametrize(
    ("facts", "reason"),
    [((2160, True, "", False, 24.0), ""), ((2304, True, "", False, 60.0), ""), ((1440, True, "", False, 24.0), "fewer than 2160"),
     ((4320, True, "", False, 24.0), "more than 2160"), ((2160, False, "", False, 24.0), "square"),
     ((2160, True, "PQ", False, 24.0), "HDR"), ((2160, True, "", True, 25.0), "interlaced"),
     ((2160, True, "", False, 5.0), "20 frames")],
)  # fmt: skip
def test_what_is_not_taken(facts, reason):
    said = rejection_reason(*facts, ProbeConfig())
    assert reason in said and bool(reason) == bool(said)


def test_names_that_are_no_text_are_names_too(tmp_path):
    """Files from old cameras and archives: the ledger keeps the bytes, what is published has question marks."""
    video = film(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    for _ in range(2):
        (clip,) = find_footage((str(tmp_path),), "CC0")
        (kept,), _ = run_stage(
            "probe",
            partial(in_this_process(probe), build=tmp_path, config=CONFIG),
            [clip],
            Ledger(tmp_path, "probe"),
            True,
        )
    assert kept.path(tmp_path) == video
    row = table_row(kept, [])
    assert row["source_video"] == "caf?.mp4" and json.dumps(row, ensure_ascii=False).encode()


def test_footage_of_nobody_is_left_out_and_what_lists_say_comes_back():
    video = Clip("film", "film.mp4", "CC0", "pexels", caption="A cat")
    bare = only(keep_licensed(video, Path(), CONFIG))
    assert bare == Clip("film", "film.mp4")
    assert add_list_columns([replace(bare, name="film-000000", frames=9)], [video]) == [
        replace(video, name="film-000000", frames=9)
    ]
    nobodys = replace(video, licence="")
    assert only(keep_licensed(nobodys, Path(), CONFIG)) == Dropped("film", "no licence named", "film.mp4")
    assert only(keep_licensed(nobodys, Path(), ProbeConfig(unlicensed=True))) == bare


@pytest.mark.parametrize(
    ("row", "said"),
    [({"licence": 5}, "licence: got 5, wanted text"), ({"caption": ["a"]}, "caption: got"), ({"source": {}}, "source: got"),
     ({"caption": "x" * 10**6}, "caption: got 1000000 characters, wanted 16384 at most"), ({"licence": True}, "licence: got True")],
)  # fmt: skip
def test_what_a_list_says_is_text(tmp_path, row, said):
    (tmp_path / "x.mp4").write_bytes(b"x")
    (tmp_path / "list.jsonl").write_text(json.dumps({"file_name": "x.mp4"} | row))
    with pytest.raises(InputError, match=rf"list\.jsonl, row 1: {said}"):
        find_footage((str(tmp_path / "list.jsonl"),), "")


def test_what_a_list_says_is_one_line_without_control_characters(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"x")
    row = {"file_name": "x.mp4", "licence": "CC0\n\n# Free\u0000", "source": "\u202ea\tb\u2028c", "caption": None}
    (tmp_path / "list.jsonl").write_text(json.dumps(row))
    (clip,) = find_footage((str(tmp_path / "list.jsonl"),), "")
    assert (clip.licence, clip.origin, clip.caption) == ("CC0 # Free", "a b c", "")


@pytest.mark.parametrize("line", ["[" * 100_000, '{"file_name": NaN}', '{"file_name": "x.mp4", "other": 1e999}'])
def test_a_line_that_is_no_json_is_said(tmp_path, line):
    (tmp_path / "list.jsonl").write_text(line)
    with pytest.raises(InputError, match=r"list\.jsonl, line 1: not JSON \("):
        find_footage((str(tmp_path / "list.jsonl"),), "")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_settings_that_are_no_numbers_are_refused(number):
    for kind, name in ((ScenesConfig, "adaptive"), (ScenesConfig, "content"), (DuplicatesConfig, "every"),
                       (ProbeConfig, "least_rate"), (RayConfig, "cpus"), (RayConfig, "gpus")):  # fmt: skip
        with pytest.raises(InputError, match=name.replace("_", "-")):
            kind(**{name: number})


def test_one_video_has_one_licence(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("file_name,licence\nx.mp4,CC0\n./x.mp4,All rights reserved\n")
    with pytest.raises(InputError, match=r"x.mp4 is listed twice, with the licences CC0 and All rights reserved"):
        find_footage((str(tmp_path / "list.csv"),), "")


def test_what_a_list_leaves_out_is_said(tmp_path, caplog):
    for name in "xyz":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    (tmp_path / "metadata.csv").write_text("file_name\nx.mp4\n")
    assert len(find_footage((str(tmp_path),), "")) == 1
    assert "left out is what it does not list, 2 videos in its folder" in caplog.text


def test_blank_fields_at_the_end_of_a_row_are_nothing(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("file_name,caption\nx.mp4,A cat, ,\n")
    (clip,) = find_footage((str(tmp_path / "list.csv"),), "")
    assert clip.caption == "A cat"


def test_columns_of_ones_own_are_left_alone(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("file_name,license,license_id,resource,option\nx.mp4,CC0,7,r,o\n")
    (clip,) = find_footage((str(tmp_path / "list.csv"),), "")
    assert (clip.licence, clip.origin, clip.caption) == ("CC0", "", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,licence\nx.mp4,CC0\n", "got the columns name, licence, wanted file_name among them"),
        ("path,licence\nx.mp4,CC0\n", "got the columns path, licence, wanted file_name in place of path"),
        ("file_name,Licence\nx.mp4,CC0\n", "got the columns file_name, Licence, wanted licence in place of Licence"),
        ("file_name,LICENSE\nx.mp4,CC0\n", "wanted licence in place of LICENSE"),
        ("file_name,sources\nx.mp4,pexels\n", "wanted source in place of sources"),
        ("file_name,text\nx.mp4,A cat\n", "wanted caption in place of text"),
        ("file_name;licence\nx.mp4;CC0, as it says\n", "separated by semicolons"),
        ("file_name,licence,licence\nx.mp4,CC0,own\n", "got the column licence twice"),
        ("file_name,caption\nx.mp4,A cat, a dog\n", "row 1: got 3 fields, wanted 2, as in the first line"),
    ],
)
def test_lists_that_are_none_are_said(tmp_path, content, said):
    (tmp_path / "x.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(InputError, match=said):
        find_footage((str(tmp_path / "list.csv"),), "")
