"""Builds that are killed, run again, changed, disturbed; and what cannot be built."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from benchmark_files import load_benchmark
from commands import Command
from reads import unread_fields
from realis.builder import pipeline, run_stage
from realis.builder.build import lock_folder
from realis.builder.clip import Clip
from realis.builder.config import BuildConfig
from realis.builder.ledger import Ledger
from realis.builder.review import VERDICTS
from realis.builder.verdicts import DROP, KEEP, UNDO, VerdictFile
from realis.commands.__main__ import run_build
from realis.parallel.workers import Workers
from review_visitors import Page, Visitor, free_port

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[2]
kill_build = load_benchmark("kill_build")
OUTPUT, SMALL = kill_build.OUTPUT, kill_build.SMALL


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    return kill_build.make_footage(tmp_path_factory.mktemp("source") / "footage")


@pytest.fixture(scope="module")
def whole(footage, tmp_path_factory):
    """The folder of an undisturbed build, with a copy of the footage in ``own``."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(footage, folder / "own")
    assert command(folder).wait() == 0
    return folder


@pytest.fixture
def fresh(footage, tmp_path, monkeypatch):
    """Nothing but the footage in ``own``, and this process works there."""
    shutil.copytree(footage, tmp_path / "own")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def finished(whole, tmp_path, monkeypatch):
    """A copy of it, in which this process works."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(*flags):
    return ["--source", "own", "--output", OUTPUT, *SMALL, *flags]


def command(folder, *flags, **options):
    """The command, begun in a group of processes of its own."""
    return Command("dataset_tools/build_realisvideo.py", *words(*flags), cwd=folder, session=True, **options)


def refused(capsys, *arguments):
    """What the command says when it stops."""
    with pytest.raises(SystemExit) as stop:
        run_build(list(arguments))
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def lines_in(file):
    return file.read_text().count("\n") if file.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "lines"), [("scenes", 2), ("split", 1)])
def test_a_killed_build_goes_on_to_the_same_files(whole, fresh, tmp_path, stage, lines):
    """Killed in the middle of a stage, and while the set is published."""
    process = command(tmp_path)
    while process.poll() is None and lines_in(tmp_path / OUTPUT / "work" / f"{stage}.jsonl") < lines:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert kill_build.differences(whole, tmp_path)
    assert command(tmp_path).wait() == 0
    assert kill_build.differences(whole, tmp_path) == []


@pytest.mark.slow
def test_every_setting_is_read(fresh, monkeypatch):
    """By the stages, in this process; captions, Ray and the page of the review have tests of their own for that."""
    monkeypatch.setattr(Workers, "tasks", lambda self, work, items: ((item, work(item)) for item in items))
    with unread_fields(BuildConfig) as unread:
        run_build(words())
    unread = {name for name in unread if not name.startswith(("CaptionsConfig.", "ReviewConfig.", "RayConfig."))}
    assert unread == {"BuildConfig.ray"}


def fill_disk():
    """No file may be larger than what the first clips have."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))


@pytest.mark.slow
def test_a_full_disk_costs_no_clip(whole, fresh, tmp_path):
    """What is then not written is not said to be damaged."""
    code, said = command(tmp_path, before=fill_disk).finish()
    assert code == 1 and "File too large" in said.splitlines()[-1]
    assert command(tmp_path).wait() == 0
    assert kill_build.differences(whole, tmp_path) == []


@pytest.mark.slow
def test_of_a_finished_build_nothing_is_done_again(finished, whole):
    def times():
        return {file: file.stat().st_mtime_ns for file in (finished / OUTPUT).glob("RealisVideo*/**/*")}

    before = times()
    run_build(words())
    assert len(before) > 20 and times() == before
    assert kill_build.differences(whole, finished) == []


@pytest.mark.slow
def test_another_recipe_is_refused_with_what_changed(finished, whole, capsys):
    said = refused(capsys, *words("--scenes.crf", "20", "--publish.title", "Mine"))
    assert "--publish.title was 'RealisVideo', is 'Mine'; --scenes.crf was 8, is 20" in said
    assert kill_build.differences(whole, finished) == []
    run_build(words("--workers", "1", "--review.port", "0"))


@pytest.mark.slow
def test_stages_run_alone_on_what_was_done_before_them(finished, capsys):
    for name in ("split", "publish"):
        (finished / OUTPUT / "work" / f"{name}.jsonl").unlink()
    assert "split has not been run on 4 clips" in refused(capsys, *words("--stages", "publish"))
    run_build(words("--stages", "split"))
    assert "split: 4 kept of 4" in capsys.readouterr().err
    assert lines_in(finished / OUTPUT / "work" / "split.jsonl") == 1
    assert not (finished / OUTPUT / "work" / "publish.jsonl").exists()


@pytest.mark.slow
def test_what_is_no_longer_in_the_test_set_leaves_its_folders(finished):
    """A reviewer drops the test clip after all: another takes its place in all four sets."""
    ledger = Ledger(finished / OUTPUT, "split")
    (test,) = (clip for outcomes in ledger.outcomes.values() for clip in outcomes if clip.split == "test")
    VerdictFile(finished / OUTPUT / VERDICTS).add(test, "me", DROP, "blurred")
    run_build(words())
    names = {
        place: [file.stem for file in (finished / OUTPUT / place).glob("*.m*") if file.suffix in (".mp4", ".mkv")]
        for place in ("RealisVideo-64P/test", "RealisVideo-21P/test", "RealisVideo-64P-LR", "RealisVideo-21P-LR")
    }
    assert len({tuple(one) for one in names.values()}) == 1, names
    ((name,), *_) = names.values()
    assert name != test.name


@pytest.mark.slow
def test_a_build_waits_for_reviewers_and_its_cards_say_what_they_did(fresh, tmp_path):
    port = free_port()
    flags = ("--review.no-auto-accept", "--review.port", str(port), "--review.linger", "1", "--publish.lr", "")
    process = command(tmp_path, *flags)
    visitor = Visitor(Page(port), "tab")
    visitor.enter("Ann")
    for button in ("keep", "keep", "reason-2", "keep"):
        visitor.press(button)
    assert process.wait() == 0
    cards = [tmp_path / OUTPUT / name / "README.md" for name in ("RealisVideo-64P", "RealisVideo-21P")]
    assert "Every clip was looked at and kept by hand, by 1 reviewer." in cards[0].read_text()
    assert "Every clip was looked at and kept by hand, by 1 reviewer." in cards[1].read_text()
    assert "| review | 4 | 3 | drop: blurry: 1 |" in cards[0].read_text()
    kept = next(clip for (clip,) in Ledger(Path(OUTPUT), "review").outcomes.values() if isinstance(clip, Clip))
    VerdictFile(tmp_path / OUTPUT / VERDICTS).add(kept, "Bob", KEEP)
    run_build(words(*flags))
    assert "by 2 reviewers" in cards[0].read_text()


def test_what_a_killed_process_left_of_its_settings_is_no_stranger(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.mp4").write_bytes(b"no video")
    (tmp_path / OUTPUT).mkdir()
    (tmp_path / OUTPUT / ".build.yaml.123.tmp").write_text("output: the")
    assert "no clip is left after probe: 0 kept of 1; dropped: 1 cannot be read" in refused(
        capsys, *words("--licence", "CC0", "--stages", "probe")
    )


def test_a_folder_that_holds_something_else_is_left_alone(fresh, tmp_path, capsys):
    (tmp_path / OUTPUT).mkdir()
    (tmp_path / OUTPUT / "thesis.tex").write_text("text")
    assert "with thesis.tex in it, wanted an empty or new folder" in refused(capsys, *words())


@pytest.mark.parametrize("output", [".", "own/set", "own"])
def test_what_is_built_is_never_taken_for_footage(fresh, tmp_path, capsys, output):
    listed = sorted(tmp_path.rglob("*"))
    said = refused(
        capsys,
        "--source",
        "own/*.mp4" if output == "." else "own",
        "--output",
        output,
        "--licence",
        "CC0",
        *SMALL,
    )
    assert ("which is in --output" if output == "." else "which is in --source own") in said
    assert sorted(tmp_path.rglob("*")) == listed


@pytest.mark.slow
def test_what_is_gone_from_a_finished_build_is_made_again(finished, whole):
    for pattern in (
        "work/clips/cat*",
        "RealisVideo-21P/test/*.mkv",
        "RealisVideo-64P-LR/*.json",
        "RealisVideo-21P/*.png",
    ):
        next((finished / OUTPUT).glob(pattern)).unlink()
        run_build(words())
        assert kill_build.differences(whole, finished) == []


def flip(file):
    """One byte in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)


@pytest.mark.slow
def test_what_was_damaged_in_a_finished_build_is_made_again(finished, whole, capsys):
    """By what it was made with, not because a file is there: shorter clips, and others of the same size."""
    folder = finished / OUTPUT
    published = next(folder.glob("RealisVideo-64P/train/*.mp4"))
    cut = folder / "work" / "clips" / published.name
    os.truncate(cut, cut.stat().st_size // 2)
    for pattern in ("RealisVideo-64P/test/*.mp4", "RealisVideo-21P/test/*.mkv", "RealisVideo-64P-LR/*.mkv"):
        flip(next(folder.glob(pattern)))
    run_build(words())
    said = capsys.readouterr().err
    assert f"{cut.name}: no longer as long as it was made; to be made again" in said
    assert "RealisVideo-21P" in said and "made again: 1 clip" in said
    assert kill_build.differences(whole, finished) == []

    flip(cut)
    published.unlink()
    run_build(words())
    said = capsys.readouterr().err
    assert f"work/clips/{cut.name}, and 1 other file: no longer what was made; removed, to be made again" in said
    assert kill_build.differences(whole, finished) == []


@pytest.mark.slow
def test_another_recipe_is_taken_if_it_is_asked_for(finished, whole, capsys):
    """Only what it concerns is done once more; taken back, all is as it was."""
    scenes = (finished / OUTPUT / "work" / "scenes.jsonl").stat().st_mtime_ns
    run_build(words("--split.seed", "3", "--publish.lr", "bd", "--publish.metadata", "parquet", "--anew"))
    assert (finished / OUTPUT / "work" / "scenes.jsonl").stat().st_mtime_ns == scenes
    lr = finished / OUTPUT / "RealisVideo-64P-LR"
    assert (lr / "degradation.yaml").read_text() != (whole / OUTPUT / lr.name / "degradation.yaml").read_text()
    assert (finished / OUTPUT / "RealisVideo-64P" / "train" / "metadata.parquet").exists()
    assert "seed: 3" in (finished / OUTPUT / "RealisVideo-64P" / "README.md").read_text()
    run_build(words("--publish.lr", "", "--anew"))
    assert not list((finished / OUTPUT).glob("*-LR"))
    run_build(words("--anew"))
    assert kill_build.differences(whole, finished) == []


@pytest.mark.slow
def test_a_video_that_was_replaced_for_a_while_leaves_nothing_behind(finished, whole, monkeypatch):
    own = finished / "own"
    shutil.copy2(own / "man.mp4", finished / "man")
    shutil.copy(own / "coins.mp4", own / "man.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(run_stage, "finish_stage", ending(run_stage.finish_stage, "scenes"))
        run_until_stopped()
    shutil.copy2(finished / "man", own / "man.mp4")
    run_build(words())
    assert kill_build.differences(whole, finished) == []


@pytest.mark.slow
def test_a_caption_that_was_corrected_for_a_while_leaves_nothing_behind(finished, whole, monkeypatch):
    own = finished / "own"
    rows = (own / "metadata.jsonl").read_text()
    (own / "metadata.jsonl").write_text(rows.replace("close-up", "texture"))
    kept = [finished / OUTPUT / "work" / "scenes.jsonl", *(finished / OUTPUT).glob("RealisVideo-21P*/**/*.mkv")]
    cut = [file.stat().st_mtime_ns for file in kept]
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "write_checksums", ending(pipeline.write_checksums, "RealisVideo-21P-LR"))
        run_until_stopped()
    assert len(cut) == 3 and [file.stat().st_mtime_ns for file in kept] == cut
    (own / "metadata.jsonl").write_text(rows)
    run_build(words())
    assert kill_build.differences(whole, finished) == []


def ending(function, at):
    """``function``, but it ends the run where ``at`` is among its arguments."""

    def disturbed(*given, **named):
        if at in given:
            raise KeyboardInterrupt
        return function(*given, **named)

    return disturbed


def run_until_stopped():
    with pytest.raises(SystemExit) as stop:
        run_build(words())
    assert stop.value.code == 130


@pytest.mark.slow
def test_without_its_stage_the_review_stands_as_it_was(finished):
    """Nobody is waited for, and what was dropped does not come back unseen because its verdict was taken back."""
    verdicts = VerdictFile(finished / OUTPUT / VERDICTS)
    clip = next(clip for (clip,) in Ledger(finished / OUTPUT, "review").outcomes.values())
    verdicts.add(clip, "me", DROP, "blurred")
    run_build(words())
    verdicts.add(clip, "me", UNDO)
    (finished / OUTPUT / "work" / "publish.jsonl").unlink()
    run_build(words("--review.no-auto-accept", "--stages", "split", "publish"))
    assert not list((finished / OUTPUT).glob(f"RealisVideo*/*/{clip.name}.*"))
    assert (finished / OUTPUT / "work" / "publish.jsonl").exists()


def test_two_builds_at_once_are_one_too_many(fresh, tmp_path, capsys):
    with lock_folder(Path(OUTPUT)):
        assert "another process is building there" in refused(capsys, *words())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--stages", "probe", "polish"], "--stages: got polish, wanted some of probe, scenes"),
        (["--source", "nowhere"], "--source nowhere: got nothing there"),
        (["--source", "empty"], "--source: got empty, wanted videos in it"),
        (["--probe.lines", "2160"], "dropped: 5 fewer than 2160 lines"),
        (["--output", "/proc/set"], "--output /proc/set: cannot be written"),
    ],
    ids=["unknown stage", "no source", "empty source", "no 4K", "no place"],
)
def test_what_cannot_be_built_is_one_line(fresh, tmp_path, capsys, flags, said):
    (tmp_path / "empty").mkdir()
    assert said in refused(capsys, *words(*flags))
