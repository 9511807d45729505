"""A run of the upscale command that was stopped goes on: the same bytes as of one that was not."""

import errno
import json
import os
import shutil
import signal
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from commands import Command
from realis.commands.__main__ import run_upscale
from realis.video.encoding import Encoding
from realis.video.journal import Journal, Segment
from realis.video.results import notes_file
from realis.video.write import SegmentWriter

ROOT = Path(__file__).parents[2]
SMALL = ["--target", "2x", "--segment-frames", "5", "--segment-overlap", "1", "--tile-height", "64", "--tile-width", "64",
         "--tile-overlap", "16", "--color-fix", "adain", "--steps", "8"]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def pulses_of_short_clips():
    """Let the meter of pulses speak of five segments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realis.metrics.pulse.LEAST", 4)
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twenty-one frames of 44x30, moving."""
    texture = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with SegmentWriter(path, (30, 44), Fraction(25), Encoding(crf=5)) as sink:
        sink.write(0, (np.ascontiguousarray(texture[i : i + 30, i : i + 44]) for i in range(21)))
    return path


@pytest.fixture(scope="module")
def undisturbed_output(clip, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "out.mp4"
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert not list(output.parent.glob(".*"))
    return output


@pytest.fixture(scope="module")
def undisturbed(undisturbed_output):
    return undisturbed_output.read_bytes()


def parts(output):
    return output.parent / f".{output.name}.parts"


def stop(clip, output, segments, signal_number):
    """Start the command; stop it once so many segments are there. Returns its exit code and what it said."""
    process = Command("infer/upscale.py", "--input", clip, "--output", output, *SMALL)
    while process.poll() is None and not (parts(output) / f"{segments - 1:06d}.video").exists():
        time.sleep(0.002)
    process.send_signal(signal_number)
    ended = process.finish()
    assert not output.exists()
    return ended


def test_what_a_run_leaves_that_is_killed_while_it_tidies_up_goes(clip, tmp_path):
    output = tmp_path / "out.mp4"
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    for name in (".out.mp4.parts", "..out.mp4.parts.old"):
        (tmp_path / name).mkdir()
    (tmp_path / ".out.mp4_before_after.png.123.tmp").touch()
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert not list(tmp_path.glob(".*"))


def test_ctrl_c_says_how_to_go_on(clip, undisturbed_output, tmp_path):
    output = tmp_path / "out.mp4"
    code, said = stop(clip, output, 2, signal.SIGINT)
    assert code == 130 and "the same command (without --restart) goes on" in said and "Traceback" not in said
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert output.read_bytes() == undisturbed_output.read_bytes()
    notes, undisturbed = (json.loads(notes_file(one).read_text()) for one in (output, undisturbed_output))
    assert notes["seams"] == undisturbed["seams"] and notes["pulses"] == undisturbed["pulses"]


@pytest.fixture(scope="module")
def killed(clip, tmp_path_factory):
    """A run that was killed after its third segment."""
    output = tmp_path_factory.mktemp("killed") / "out.mp4"
    stop(clip, output, 3, signal.SIGKILL)
    return output


def test_other_settings_are_refused_with_the_reason(clip, undisturbed, killed, tmp_path, capsys):
    output = tmp_path / "out.mp4"
    shutil.copytree(parts(killed), parts(output))
    other = ["--input", str(clip), "--output", str(output), *SMALL, "--seed", "7"]
    with pytest.raises(SystemExit):
        run_upscale(other)
    assert "differs (seed was 0, now 7)" in capsys.readouterr().err.splitlines()[-1]
    run_upscale([*other, "--restart"])
    assert output.exists() and output.read_bytes() != undisturbed


@pytest.mark.parametrize(("damaged", "harm", "segment"), [
    ("first.json", "torn", 1), ("last.safetensors", "gone", "last"), ("last.video", "emptied", "last"),
    ("last.video", "cut", "last"), ("last.json", "moved", "last"),
])  # fmt: skip
def test_a_run_goes_on_before_what_is_damaged(clip, undisturbed, killed, tmp_path, capsys, damaged, harm, segment):
    output = tmp_path / "out.mp4"
    shutil.copytree(parts(killed), parts(output))
    last = max(int(path.stem) for path in parts(output).glob("*.video"))
    file = parts(output) / damaged.replace("last", f"{last:06d}").replace("first", "000000")
    if harm == "moved":
        file.write_text(json.dumps({**json.loads(file.read_text()), "start": 1}))
    elif harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 9 * (harm != "emptied")])
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    number = last + 1 if segment == "last" else segment
    said = capsys.readouterr().err
    assert f"damaged from segment {number} on" in said and ("going on from frame" in said) == (number > 1)
    assert output.read_bytes() == undisturbed


def test_a_key_that_cannot_be_read_deletes_nothing(clip, killed, tmp_path, capsys):
    output = tmp_path / "out.mp4"
    shutil.copytree(parts(killed), parts(output))
    (parts(output) / "key.json").write_text("{")
    before = sorted(path.name for path in parts(output).iterdir())
    with pytest.raises(SystemExit) as stopped:
        run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert stopped.value.code == 2 and "key.json cannot be read; --restart begins anew" in capsys.readouterr().err
    assert sorted(path.name for path in parts(output).iterdir()) == before


@pytest.mark.parametrize(("codec", "depth", "name"), [("png", 8, "out"), ("ffv1", 16, "out.mkv"), ("prores", 10, "out.mov"),
                                                      ("av1", 10, "out.mp4"), ("h265", 10, "out.mp4")])  # fmt: skip
def test_results_of_other_codecs_go_on(tmp_path, codec, depth, name):
    """A writer that an error stops after two segments, and one that takes over, against one that writes all three."""
    encoding, size = Encoding(codec, depth), (128, 128)  # of 64x64 x265 makes now this and now that
    kind = np.uint8 if depth == 8 else np.uint16
    images = (np.random.default_rng(0).random((9, *size, 3)) * encoding.white).astype(kind)

    def write(folder, numbers):
        folder.mkdir(exist_ok=True)
        with SegmentWriter(folder / name, size, Fraction(25), encoding, key={"a": 1}) as sink:
            for number in numbers:
                sink.write(3 * number, images[3 * number : 3 * number + 3], last=number == 2)
            if 2 not in numbers:
                raise KeyboardInterrupt

    write(tmp_path / "whole", range(3))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "stopped", range(2))
    assert not (tmp_path / "stopped" / name).exists()
    write(tmp_path / "stopped", [2])
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    files.remove(Path(f"{name}.json"))  # the notes, which have a time
    assert len(files) == (9 if codec == "png" else 1)
    assert all((tmp_path / "whole" / f).read_bytes() == (tmp_path / "stopped" / f).read_bytes() for f in files)


def test_a_full_disk_is_one_line_and_the_run_goes_on(clip, undisturbed, tmp_path, monkeypatch, capsys):
    """The encoder finds the disk full in the third segment."""
    output, encode, calls = tmp_path / "out.mp4", Encoding.write_video, []

    def full(self, file, *others):
        calls.append(file)
        if len(calls) == 3:
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        encode(self, file, *others)

    monkeypatch.setattr(Encoding, "write_video", full)
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(clip), "--output", str(output), *SMALL, "--restart"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        stop.value.code == 1 and "No space left on device" in said and "(without --restart) goes on from there" in said
    )
    assert not output.exists()
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert "going on from frame" in capsys.readouterr().err
    assert output.read_bytes() == undisturbed


def test_a_removed_output_folder_is_one_line_and_the_run_begins_anew(clip, undisturbed, tmp_path, monkeypatch, capsys):
    """The folder goes while the third segment is encoded."""
    output, encode, calls = tmp_path / "out" / "out.mp4", Encoding.write_video, []

    def removed(self, file, *others):
        calls.append(file)
        if len(calls) == 3:
            shutil.rmtree(output.parent)
        encode(self, file, *others)

    monkeypatch.setattr(Encoding, "write_video", removed)
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    said = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and "writing failed" in said and "what is finished stays" not in said
    run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert output.read_bytes() == undisturbed


def test_only_one_process_writes(clip, tmp_path, capsys):
    output = tmp_path / "out.mp4"
    journal = Journal(output, {}, ".video", restart=False)
    journal.open()
    with pytest.raises(SystemExit):
        run_upscale(["--input", str(clip), "--output", str(output), *SMALL])
    assert "another process is writing it" in capsys.readouterr().err
    journal.close(finished=False)


def test_a_segment_counts_once_it_is_durable(tmp_path):
    """Whatever of a segment was written before it got its name does not count."""
    journal = Journal(tmp_path / "out.mp4", {"a": 1}, ".video", restart=False)
    journal.open()
    (journal.folder / "000000.json").write_text(json.dumps({"start": 0, "times": [0], "durations": [1], "last": False}))
    (journal.folder / "000000.tmp").write_text("half")
    journal.close(finished=False)
    again = Journal(tmp_path / "out.mp4", {"a": 1}, ".video", restart=False)
    again.open()
    assert again.segments == []
    again.close(finished=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".video", ".images"])
def test_a_segment_is_on_disk_before_it_counts_and_its_name_after(tmp_path, monkeypatch, suffix):
    """Else a power failure leaves a segment that counts, with nothing in it or in what goes on from it."""
    journal, synced, fsync = Journal(tmp_path / "out", {"a": 1}, suffix, restart=False), [], os.fsync
    journal.open()

    def encode(path):
        file = path
        if suffix == ".images":
            path.mkdir()
            file = path / "0.png"
        file.write_text("x")

    def noted(handle):
        path = next(
            p for p in (journal.folder, *journal.folder.rglob("*")) if os.path.samestat(p.stat(), os.fstat(handle))
        )
        synced.append((path.name, journal.segment_path(0).exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    journal.add(Segment(0, [0], [1], last=False), {}, encode)
    journal.close(finished=True)
    before = {"000000.json", "000000.safetensors", "000000.tmp"} | ({"0.png"} if suffix == ".images" else set())
    assert {name for name, counts in synced if not counts} == before
    assert synced[-1] == (journal.folder.name, True) and len(synced) == len(before) + 1
