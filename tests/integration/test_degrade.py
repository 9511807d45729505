"""make_lr: a low-resolution set beside any ground truth, resumable, replayable, with its parameters."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from commands import Command
from reads import unread_fields
from realis.commands.__main__ import run_degradation_sheets, run_degrade
from realis.commands.degradation_sheets import SheetsConfig
from realis.core.errors import InputError
from realis.data.lr_sets import record as degrade_record
from realis.data.lr_sets.clips import degrade_clip, result_files
from realis.data.lr_sets.config import DegradeConfig
from realis.data.lr_sets.make import make_lr_set
from realis.data.lr_sets.notes import check_lr_folder, write_settings
from realis.data.lr_sets.record import RECORD, open_record
from realis.video.read import VideoReader
from realis.video.sequences import FrameSequence, find_sequences, write_like
from realis.video.write import SegmentWriter

ROOT = Path(__file__).parents[2]


def picture(seed, height=48, width=64):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def ground_truth(tmp_path):
    """A folder of frames that are counted without leading zeros, one below another folder, and a video."""
    root = tmp_path / "gt"
    for name in ("b", "deeper/a"):
        (root / name).mkdir(parents=True)
        for i in (2, 10, 1):
            cv2.imwrite(str(root / name / f"{i}.png"), picture(i))
    with SegmentWriter(root / "holiday.mp4", (50, 64), Fraction(24000, 1001)) as sink:
        sink.write(0, (picture(i, 50) for i in range(5)))
    return root


def files(folder):
    """What is in a set; what it was made from and when is hidden."""
    found = (f for f in sorted(folder.rglob("*")) if f.is_file() and f.name != RECORD)
    return {str(f.relative_to(folder)): f.read_bytes() for f in found}


@pytest.mark.slow
def test_a_set_is_made_resumed_and_replayed(ground_truth, tmp_path, capsys):
    lr = tmp_path / "lr"
    run_degrade(
        ["--ground-truth", str(ground_truth), "--output", str(lr), "--seed", "3", "--scale", "2", "--workers", "2"]
    )
    made = files(lr)
    frames = {f"{clip}/{i}.png" for clip in ("b", "deeper/a") for i in (1, 2, 10)}
    parameters = {"b.json", "deeper/a.json", "holiday.json"}
    assert set(made) == frames | parameters | {"holiday.mkv", "degradation.yaml", "make_lr.yaml"}
    assert cv2.imread(str(lr / "b/10.png")).shape == (24, 32, 3)
    with VideoReader(lr / "holiday.mkv") as video:
        assert (video.width, video.height, video.rate) == (32, 25, Fraction(24000, 1001))
        assert len(list(video)) == 5
    assert json.loads(made["holiday.json"])["size"] == [50, 64]
    capsys.readouterr()

    # what is missing is made again, bit by bit, and nothing else is touched
    written = (lr / "deeper/a/1.png").stat().st_mtime_ns
    (lr / "b.json").unlink()
    (lr / "holiday.mkv").unlink()
    run_degrade(
        ["--ground-truth", str(ground_truth), "--output", str(lr), "--seed", "3", "--scale", "2", "--workers", "1"]
    )
    assert files(lr) == made
    assert (lr / "deeper/a/1.png").stat().st_mtime_ns == written
    said = capsys.readouterr().err
    assert "already there: 1 of 3 clips" in said and "made again: 2 clips" in said

    # replayed, at whatever scale it was, and drawn again from the ranges that lie beside it
    for name, flags in (
        ("replayed", ["--replay", str(lr)]),
        ("again", ["--preset", str(lr / "degradation.yaml"), "--seed", "3", "--scale", "2"]),
    ):
        run_degrade(["--ground-truth", str(ground_truth), "--output", str(tmp_path / name), *flags])
        copied = files(tmp_path / name)
        for file in ("b/1.png", "holiday.mkv", "holiday.json"):
            assert copied[file] == made[file]

    refuses(ground_truth, lr, capsys, "--seed", "4", message="begun with")


def refuses(root, output, capsys, *flags, message):
    with pytest.raises(SystemExit) as stop:
        run_degrade(["--ground-truth", str(root), "--output", str(output), *flags])
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed


@pytest.mark.slow
def test_a_clip_that_cannot_be_read_does_not_stop_the_others(ground_truth, tmp_path, capsys):
    (ground_truth / "b/2.png").write_bytes(b"no picture")
    cv2.imwrite(str(ground_truth / "deeper/a/2.png"), picture(0, 40, 40))
    (ground_truth / "broken.mp4").write_bytes(b"no video")
    (ground_truth / "tiny").mkdir()
    cv2.imwrite(str(ground_truth / "tiny/0.png"), picture(0, 6, 9))
    message = "4 of 5 clips could not be degraded: "
    refuses(ground_truth, tmp_path / "lr", capsys, "--preset", "bi", message=message)
    assert set(files(tmp_path / "lr")) == {"holiday.mkv", "holiday.json", "degradation.yaml", "make_lr.yaml"}


@pytest.mark.slow
def test_what_the_scale_does_not_divide_is_cut_and_said(ground_truth, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ground_truth / "b")  # a clip in the folder itself takes that folder's name
    flags = ["--output", str(tmp_path / "lr"), "--preset", "bi", "--workers", "1"]
    run_degrade(["--ground-truth", ".", *flags, "--scale", "5"])
    assert cv2.imread(str(tmp_path / "lr/b/1.png")).shape == (9, 12, 3)
    assert "b: made from the left upper 60x45 of 64x48" in capsys.readouterr().err


def test_wrong_input_is_refused_at_once(ground_truth, tmp_path, capsys):
    out = tmp_path / "lr"
    refuses(tmp_path / "nowhere", out, capsys, message="nothing there")
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", out, capsys, message="no clips in it")
    refuses(ground_truth, ground_truth / "lr", capsys, message="neither in --ground-truth")
    refuses(ground_truth, tmp_path, capsys, message="nor around it")
    refuses(ground_truth, out, capsys, "--preset", "nothing", message="realbasicvsr")
    refuses(ground_truth, out, capsys, "--scale", "0", message="--scale")
    refuses(ground_truth, out, capsys, "--replay", str(tmp_path), message="nothing there")
    (tmp_path / "precious/000").mkdir(parents=True)
    refuses(ground_truth, tmp_path / "precious", capsys, message="holds other files")
    assert (tmp_path / "precious/000").exists()
    (ground_truth / "holiday").mkdir()
    cv2.imwrite(str(ground_truth / "holiday/0.png"), picture(0))
    refuses(ground_truth, out, capsys, message="same name")
    (ground_truth / "holiday/0.png").rename(ground_truth / "deeper/0.png")
    refuses(ground_truth, out, capsys, message="deeper holds frames and the clip deeper/a")
    (ground_truth / "deeper/0.png").rename(ground_truth / "b/1.jpg")
    refuses(ground_truth, out, capsys, message="two pictures are called 1")
    assert not out.exists()


def test_settings_that_were_cut_off_or_damaged(ground_truth, tmp_path, capsys):
    begun, damaged = tmp_path / "begun", tmp_path / "damaged"
    for folder in (begun, damaged):
        folder.mkdir()
    (begun / "degradation.yaml").write_text("first: {}")  # killed before make_lr.yaml stood
    (begun / ".make_lr.yaml.123.tmp").write_text("sca")
    check_lr_folder(begun)
    write_settings(DegradeConfig("gt", str(begun), "bi"), begun)
    assert sorted(file.name for file in begun.iterdir() if not file.match(".*")) == ["degradation.yaml", "make_lr.yaml"]
    (damaged / "make_lr.yaml").write_text("a: [b")
    refuses(ground_truth, damaged, capsys, message="cannot be read")
    (damaged / "make_lr.yaml").write_text("[" * 5000)
    refuses(ground_truth, damaged, capsys, message="cannot be read")


@pytest.fixture
def small(tmp_path):
    """Settings for a set of a folder of frames and a video."""
    (tmp_path / "gt" / "frames").mkdir(parents=True)
    for i in range(2):
        cv2.imwrite(str(tmp_path / "gt" / "frames" / f"{i}.png"), picture(i, 16, 16))
    with SegmentWriter(tmp_path / "gt" / "film.mp4", (16, 16), Fraction(25)) as sink:
        sink.write(0, (picture(i, 16, 16) for i in range(2)))
    return DegradeConfig(str(tmp_path / "gt"), str(tmp_path / "lr"), "bi")


def made_by(config):
    """The clips that a run makes, in this process."""
    made = []

    def here(work, clips):
        for clip in clips:
            made.append(clip.name)
            yield clip, work(clip)

    make_lr_set(config, here)
    return made


def test_every_setting_is_read(small):
    with unread_fields(DegradeConfig) as unread:
        made_by(small)
    assert unread == {"DegradeConfig.workers"}  # by the command: here is no other process


def replace_frame(config):
    """By another of the same size in bytes, written at the same time."""
    file = Path(config.ground_truth, "frames/0.png")
    facts, content = file.stat(), bytearray(file.read_bytes())
    cv2.imwrite(str(file), picture(7, 16, 16))
    file.write_bytes(file.read_bytes()[: len(content)].ljust(len(content), b"\0"))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


def add_frame(config):
    cv2.imwrite(f"{config.ground_truth}/frames/9.png", picture(9, 16, 16))


CHANGES = {
    "another ground truth": (replace_frame, ["frames"]),
    "a frame more": (add_frame, ["frames"]),
    "an emptied frame": (lambda c: Path(c.output, "frames/1.png").write_bytes(b""), ["frames"]),
    "a frame that is gone": (lambda c: Path(c.output, "frames/1.png").unlink(), ["frames"]),
    "a cut video": (lambda c: os.truncate(Path(c.output, "film.mkv"), 100), ["film"]),
    "a flipped byte": (lambda c: flip(Path(c.output, "film.mkv")), ["film"]),
    "emptied parameters": (lambda c: Path(c.output, "film.json").write_text(""), ["film"]),
    "a torn record": (lambda c: os.truncate(Path(c.output, RECORD), Path(c.output, RECORD).stat().st_size - 5), ["frames"]),
    "a record of something else": (lambda c: Path(c.output, RECORD).write_text("[" * 99999 + "\n{}\n"), ["film", "frames"]),
}  # fmt: skip


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)


@pytest.mark.parametrize(("change", "again"), CHANGES.values(), ids=CHANGES)
def test_what_is_no_longer_as_it_was_is_made_again(change, again, small, tmp_path):
    assert made_by(small) == ["film", "frames"]
    before = files(tmp_path / "lr")
    change(small)
    assert made_by(small) == again
    assert (files(tmp_path / "lr") == before) == (change not in (replace_frame, add_frame))
    assert made_by(small) == []


def test_nothing_stays_of_a_clip_that_cannot_be_made_again(small, tmp_path):
    made_by(small)
    (tmp_path / "gt" / "frames" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="not a picture"):
        made_by(small)
    assert [name for name in files(tmp_path / "lr") if "frames" in name] == []


def test_what_was_only_touched_is_read_once_and_stays(small, monkeypatch):
    made_by(small)
    os.utime(Path(small.ground_truth, "film.mp4"), ns=(0, 0))
    os.utime(Path(small.output, "frames/0.png"), ns=(0, 0))
    assert made_by(small) == []
    monkeypatch.setattr(degrade_record, "content_of", None)
    assert made_by(small) == []


def test_a_replayed_set_is_made_again_with_other_parameters(small, tmp_path):
    made_by(small)
    replayed = replace(small, output=str(tmp_path / "again"), replay=small.output)
    made_by(replayed)
    parameters = json.loads((tmp_path / "lr" / "film.json").read_text())
    (tmp_path / "lr" / "film.json").write_text(json.dumps(parameters | {"sharpen": True}))
    assert made_by(replayed) == ["film"]


def test_two_at_once_are_one_too_many(small, tmp_path, capsys):
    with open_record(tmp_path / "lr"):
        refuses(small.ground_truth, tmp_path / "lr", capsys, message="another process is writing there")


def test_linked_folders_are_found(ground_truth, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/one").symlink_to(ground_truth / "b")
    assert [clip.name for clip in find_sequences(tmp_path / "links")] == ["one"]


def make_lr(folder, output, **options):
    """The command on the videos in ``folder``, with one worker."""
    flags = ["--ground-truth", folder, "--workers", "1", "--output", output]
    return Command("dataset_tools/make_lr.py", *flags, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder with two videos in ``gt``, and what is made of them in ``lr``."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "gt").mkdir()
    for name in ("a", "b"):
        with SegmentWriter(folder / "gt" / f"{name}.mp4", (120, 160), Fraction(25)) as sink:
            sink.write(0, (picture(i % 7, 120, 160) for i in range(90)))
    assert make_lr(folder / "gt", folder / "lr").wait() == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_process_and_its_resume_is_the_same(kill, undisturbed, tmp_path):
    run = make_lr(undisturbed / "gt", tmp_path / "lr", session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("lr/.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(kill)
    run.wait(30)
    while processes_of(run.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_of(run.pid)
    assert make_lr(undisturbed / "gt", tmp_path / "lr").wait() == 0
    assert files(tmp_path / "lr") == files(undisturbed / "lr")


def processes_of(session):
    """Living processes of a session, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *numbers = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(numbers[2]) == session and state != "Z":
            found.append(stat.parent.name)
    return found


def test_help_and_errors_need_no_torch(tmp_path):
    code = "import sys; from realis.commands.__main__ import run_degrade; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_written_is_read_back_without_loss(tmp_path):
    frames = [picture(i, 13, 17) for i in range(3)]
    (tmp_path / "in").mkdir()
    for i, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "in" / f"{i}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    with SegmentWriter(tmp_path / "in.mp4", (16, 18), Fraction(25)) as sink:
        sink.write(0, (picture(i, 16, 18) for i in range(3)))
    for source in ("in", "in.mp4"):
        clip = FrameSequence("clip", tmp_path / source)
        written = write_like(clip, iter(frames), tmp_path / "out" / source)
        for got, wanted in zip(FrameSequence("clip", written).frames(), frames, strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert not list((tmp_path / "out").glob(".*"))


def test_what_is_made_is_on_disk_before_it_is_noted(small, monkeypatch):
    """Frames, videos, parameters, and the names of all of them."""
    synced, output = set(), Path(small.output)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    for clip in find_sequences(Path(small.ground_truth)):
        degrade_clip(small, clip)
        files = result_files(output, clip)
        assert {path.stat().st_ino for path in [output, *files, *(file.parent for file in files)]} <= synced


def test_nothing_is_left_behind_by_a_failure(tmp_path):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/0.png"), picture(0))

    def broken():
        yield picture(0)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        write_like(FrameSequence("clip", tmp_path / "in"), broken(), tmp_path / "out" / "clip")
    assert list((tmp_path / "out").iterdir()) == []


def test_grey_transparent_and_deep_pictures(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), picture(0)[..., 0])
    cv2.imwrite(str(tmp_path / "1.png"), np.dstack([picture(1), picture(2)[..., 0]]))
    (clip,) = find_sequences(tmp_path)
    assert clip.name == tmp_path.name and clip.announced_frames() == 2
    grey, colour = clip.frames()
    assert np.ptp(grey, axis=2).max() == 0 and (colour[..., ::-1] == picture(1)).all()
    cv2.imwrite(str(tmp_path / "2.png"), picture(0).astype(np.uint16))
    with pytest.raises(ValueError, match="uint16; wanted an 8-bit picture"):
        list(clip.frames())


@pytest.mark.slow
def test_sheets_are_drawn(tmp_path):
    with unread_fields(SheetsConfig) as unread:
        run_degradation_sheets(["--output", str(tmp_path), "--preset", "light"])
    assert unread == set()
    for name in ("operations.png", "chain.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 20
