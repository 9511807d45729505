"""What a stage has done is known again after a crash, and shows no trace of the order in which it was done."""

import json
import os
from dataclasses import replace
from fractions import Fraction

import pytest

from realis.builder.clip import Clip, Dropped, digest_of
from realis.builder.ledger import Ledger
from realis.builder.run_stage import check_known, run_stage, run_stage_on_all
from realis.core.errors import InputError

CLIPS = [
    Clip(f"clip{i}", "film.mp4", rate=Fraction(24000, 1001), frames=i + 1, scores={"sharpness": i / 3})
    for i in range(4)
]


def odd_only(seen, stop_after=99):
    """A stage that keeps clips of odd numbers, from the last to the first, and may die."""

    def stage(clips):
        for clip in reversed(clips):
            if len(seen) == stop_after:
                raise KeyboardInterrupt
            seen.append(clip.name)
            yield clip, [clip] if clip.frames % 2 == 0 else [Dropped(clip.name, "even", f"{clip.frames} frames")]

    return stage


def test_rows_hold_all_that_is_known():
    clip = Clip("a", "b.mp4", "CC0", "here", "work/a.mp4", 9, 16, Fraction(30000, 1001), 7, 49, "d", {"x": 0.5}, "ff", "g", "text",
                ("fur", "hair"), "test")  # fmt: skip
    assert Clip.from_row(clip.to_row()) == clip
    assert Clip.from_row(Clip("a", "b").to_row()) == Clip("a", "b")


def test_nothing_is_done_twice(tmp_path):
    ledger = tmp_path / "work" / "stage.jsonl"
    first, second = [], []
    with pytest.raises(KeyboardInterrupt):
        run_stage("stage", odd_only(first, stop_after=2), CLIPS, Ledger(tmp_path, "stage"), wanted=True)
    with ledger.open("a") as file:
        file.write('{"of": "torn')
    kept, tally = run_stage("stage", odd_only(second), CLIPS, Ledger(tmp_path, "stage"), wanted=True)
    assert (first, second) == (["clip3", "clip2"], ["clip1", "clip0"])
    assert kept == [CLIPS[1], CLIPS[3]] and tally.reasons == {"even": 2}
    assert str(tally) == "stage: 2 kept of 4; dropped: 2 even"
    undisturbed = tmp_path / "work" / "undisturbed.jsonl"
    run_stage("stage", odd_only([]), CLIPS, Ledger(tmp_path, "undisturbed"), wanted=True)
    assert ledger.read_bytes() == undisturbed.read_bytes()


def test_a_line_is_on_disk_when_an_input_is_finished(tmp_path, monkeypatch):
    ledger, synced = Ledger(tmp_path, "stage"), []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    for clip in CLIPS[:2]:
        ledger.add(digest_of([clip]), [clip])
        assert synced[-1:] == [ledger.file.stat().st_size]
    assert len(synced) == 2


def test_what_has_changed_is_done_again(tmp_path):
    ledger = tmp_path / "work" / "stage.jsonl"
    run_stage("stage", odd_only([]), CLIPS, Ledger(tmp_path, "stage"), wanted=True)
    changed, seen = [*CLIPS[:3], Clip("clip3", "film.mp4", frames=9)], []
    kept, _ = run_stage("stage", odd_only(seen), changed, Ledger(tmp_path, "stage"), wanted=True)
    assert seen == ["clip3"] and kept == [CLIPS[1]]
    assert len(ledger.read_text().splitlines()) == 4


def test_what_was_made_and_is_gone_is_made_again(tmp_path):
    made = []

    def stage(clips):
        for clip in clips:
            made.append(clip.name)
            (tmp_path / clip.name).touch()
            yield clip, [replace(clip, file=clip.name)]

    for _ in range(2):
        run_stage("stage", stage, CLIPS, Ledger(tmp_path, "stage"), wanted=True)
    (tmp_path / "clip2").unlink()
    run_stage("stage", stage, CLIPS, Ledger(tmp_path, "stage"), wanted=True)
    assert made == ["clip0", "clip1", "clip2", "clip3", "clip2"]


def test_what_is_shorter_than_it_was_made_is_made_again(tmp_path, caplog):
    (tmp_path / "clip0").write_bytes(b"1234")
    made = replace(CLIPS[0], file="clip0", digest="4-abcd")
    Ledger(tmp_path, "stage").add("key", [made])
    assert Ledger(tmp_path, "stage").outcomes == {"key": [made]}
    (tmp_path / "clip0").write_bytes(b"12")
    assert Ledger(tmp_path, "stage").outcomes == {}
    assert "clip0: no longer as long as it was made" in caplog.text


def test_a_stage_of_all_sees_all_again_if_one_has_changed(tmp_path):
    calls = []

    def stage(clips):
        calls.append(len(clips))
        return iter(clips)

    for clips, beside in ((CLIPS, ""), (CLIPS, ""), (CLIPS[:3], ""), (CLIPS[:3], "two reviewers")):
        kept, _ = run_stage_on_all("stage", stage, clips, Ledger(tmp_path, "stage"), True, beside)
        assert kept == clips
    assert calls == [4, 3, 3]


def test_a_stage_that_must_not_run_must_have_run(tmp_path):
    with pytest.raises(InputError, match="probe has not been run on 4 clips"):
        run_stage("probe", odd_only([]), CLIPS, Ledger(tmp_path, "probe"), wanted=False)


def row(**clip):
    return json.dumps({"of": "x", "kept": [{"name": "a", "video": "b"} | clip], "dropped": []})


@pytest.mark.parametrize(
    "line",
    ['{"of": 3}', "[]", "[" * 100_000, row(frames="9"), row(frames=9.5), row(scores=[]), row(rate="1/0"), row(file=5),
     row(scores={"motion": float("nan")}), row(scores={"motion": "1"}), row(more=1),
     '{"of": "x", "kept": [], "dropped": [{"name": "a", "reason": []}]}'],
)  # fmt: skip
def test_a_damaged_ledger_is_said(tmp_path, line):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "x.jsonl").write_text(f"{line}\n")
    with pytest.raises(InputError, match="delete it, and the stage is done anew"):
        Ledger(tmp_path, "x")


def test_digests_change_with_everything():
    assert len({digest_of([clip]) for clip in CLIPS}) == 4
    assert digest_of(CLIPS) != digest_of(CLIPS[::-1])


@pytest.mark.parametrize(("ledger", "stage"), [("licences", "probe"), ("scores", "quality"), ("captions", "captions")])
def test_a_stage_that_is_missing_is_named_as_it_is_asked_for(ledger, stage):
    with pytest.raises(InputError, match=f"{ledger} has not been run on 1 clip, .*; add {stage}$"):
        check_known(ledger, [Clip("a", "a.mp4")], wanted=False)
