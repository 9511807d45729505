"""Several inputs of ``upscale``, and the names and places of what it writes."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from realis.commands import upscale
from realis.commands.__main__ import run_upscale
from realis.upscaling.app import run as app_run
from realis.upscaling.app.inputs import find_inputs
from small_clips import clip, images, run, three_clips

FRAME = np.full((30, 44, 3), 99, np.uint8)


@pytest.fixture
def folder(tmp_path):
    return three_clips(tmp_path / "in")


def test_inputs_are_found_in_natural_order(folder):
    names = ["a.mp4", "b 2.mp4", "b 10.mp4"]
    assert [path.name for path in find_inputs((str(folder),))] == names
    assert [path.name for path in find_inputs((f"{folder}/b*.mp4", f"{folder}/a.mp4"))] == [*names[1:], names[0]]
    assert len(find_inputs((str(folder), f"{folder}/a.mp4"))) == 3


def test_a_bad_input_does_not_stop_the_rest_and_done_ones_are_passed_over(folder, tmp_path, capsys):
    (folder / "b 3.mp4").write_text("not a video")
    output = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        run("--input", folder, "--output", output)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "3 of 4 done" in said and "1 of 4 inputs failed" in said.splitlines()[-1]
    made = {path: path.stat().st_mtime_ns for path in output.glob("*.mp4")}
    assert sorted(path.name for path in made) == ["a_2x.mp4", "b 10_2x.mp4", "b 2_2x.mp4"]
    (folder / "b 3.mp4").unlink()
    clip(folder / "a.mp4", seed=9)  # another one by the same name
    with pytest.raises(SystemExit):
        run("--input", folder, "--output", output)
    assert "a_2x.mp4: is there already, but the input was " in capsys.readouterr().err
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    (output / "a_2x.mp4").unlink()
    run("--input", folder, "--output", output)
    again = [path.name for path, time in made.items() if path.stat().st_mtime_ns != time]
    assert again == ["a_2x.mp4"]
    assert capsys.readouterr().err.count("is there already") == 2


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError(), RuntimeError("no\nmemory")])
def test_whatever_goes_wrong_with_one_input_does_not_stop_the_rest(folder, tmp_path, monkeypatch, capsys, error):
    upscale_file = upscale.upscale_file

    def fails(job, loader):
        if job.path.name == "a.mp4":
            raise error
        return upscale_file(job, loader)

    monkeypatch.setattr(upscale, "upscale_file", fails)
    with pytest.raises(SystemExit) as stop:
        run("--input", folder, "--output", tmp_path / "out")
    said = capsys.readouterr().err
    assert stop.value.code == 1 and "2 of 3 done" in said and "a.mp4: left out: " in said


@pytest.mark.parametrize("name", ["o.mp4_before_after.png", ".o.mp4.parts", "both.mp4", ".both.mp4.parts"])
def test_what_is_in_the_way_is_found_before_the_work(folder, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(app_run, "write_result", None)
    way = tmp_path / name
    way.touch() if name.endswith("parts") else way.mkdir()
    with pytest.raises(SystemExit) as stop:
        run("--input", folder / "a.mp4", "--output", tmp_path / "o.mp4", "--compare", tmp_path / "both.mp4")
    assert stop.value.code == 2 and f"{way} is a fil" in capsys.readouterr().err.splitlines()[-1].replace(
        "folder", "file"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in", name])


@pytest.mark.parametrize(("codec", "names"), [("ffv1", ["a_2x.mkv", "b 10_2x.mkv", "b 2_2x.mkv"]),
                                              ("prores", ["a_2x.mov", "b 10_2x.mov", "b 2_2x.mov"]),
                                              ("png", ["a_2x", "b 10_2x", "b 2_2x"])])  # fmt: skip
def test_names_of_several_fit_the_codec(folder, tmp_path, codec, names):
    run("--input", folder, "--output", tmp_path / "out", "--codec", codec)
    made = [path.name for path in (tmp_path / "out").iterdir() if path.suffix not in (".json", ".png")]
    assert sorted(made) == names


def test_results_by_the_same_name_are_refused(folder, tmp_path, capsys):
    (folder / "a.mov").write_bytes((folder / "a.mp4").read_bytes())
    with pytest.raises(SystemExit):
        run("--input", folder, "--output", tmp_path / "out")
    assert "several would be written to" in capsys.readouterr().err.splitlines()[-1]


def test_prompts_by_name(folder, tmp_path, capsys, monkeypatch):
    file, seen = tmp_path / "prompts.jsonl", {}
    file.write_text(json.dumps({"file": "a.mp4", "prompt": "a cat"}) + "\n\n")
    monkeypatch.setattr(upscale, "upscale_file", lambda job, _: seen.update({job.path.name: job.config.prompt}))
    run("--input", folder, "--output", tmp_path / "out", "--prompt-file", file, "--prompt", "a street")
    assert seen == {"a.mp4": "a cat", "b 2.mp4": "a street", "b 10.mp4": "a street"}
    assert "prompts.jsonl names 1 of 3 inputs, not b 2.mp4, b 10.mp4" in capsys.readouterr().err
    for text in ('{"file": "a.mp4"}', '{"file": "a.mp4", "prompt": null}', '{"file": 3, "prompt": "x"}', "[" * 100_000,
                 '{"file": "a.mp4", "prompt": "\\ud800"}', "3"):  # fmt: skip
        file.write_text(text)
        with pytest.raises(SystemExit):
            run("--input", folder, "--output", tmp_path / "out", "--prompt-file", file)
        assert "line 1: wanted" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("codec", "crf", "most"), [("h264", 52, 51), ("h265", 60, 51), ("av1", 64, 63)])
def test_a_quality_that_a_codec_does_not_have_is_refused(folder, tmp_path, capsys, codec, crf, most):
    with pytest.raises(SystemExit):
        run("--input", folder / "a.mp4", "--output", tmp_path / "o.mp4", "--codec", codec, "--crf", crf)
    assert f"--crf: got {crf}, wanted 0 to {most} with {codec}" in capsys.readouterr().err.splitlines()[-1]


def test_nothing_that_is_written_takes_the_place_of_an_input(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    clip(folder / "a_2x.mp4", seed=5)
    before[folder / "a_2x.mp4"] = (folder / "a_2x.mp4").read_bytes()
    for words in (
        ["--input", folder / "a.mp4", "--output", tmp_path / "o.mp4", "--compare", folder / "a.mp4"],
        ["--input", folder / "a.mp4", "--output", tmp_path / "o.mp4", "--compare", tmp_path / "o.mp4"],
        ["--input", folder / "a.mp4", folder / "a_2x.mp4", "--output", folder],
        ["--input", folder, "--output", tmp_path / "o", "--compare", tmp_path / "c.mp4"],
        ["--input", folder / "a.mp4", "--output", tmp_path / "o.mp4", "--compare", tmp_path / "c.png"],
    ):
        with pytest.raises(SystemExit):
            run(*words)
        assert "--compare" in capsys.readouterr().err.splitlines()[-1]
    assert before == {path: path.read_bytes() for path in folder.iterdir()}
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize(("source", "output", "flags"), [("clip_preview.mp4", "clip.mp4", ["--preview"]),
                                                         ("p_preview.png_before_after.png", "p.png", ["--preview"]),
                                                         ("p.png_before_after.png", "p.png", []), ("x.mp4", "x", ["--codec", "png"]),
                                                         ("p.png", "x.mp4", ["--prompt-file", "x.mp4.json"])])  # fmt: skip
def test_nothing_written_beside_a_result_takes_the_place_of_an_input(
    tmp_path, monkeypatch, capsys, source, output, flags
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for folder in (tmp_path, tmp_path / "x"):
        clip(folder / source) if source.endswith(".mp4") else Image.fromarray(FRAME).save(folder / source)
    (tmp_path / "x.mp4.json").write_text(json.dumps({"file": "p.png", "prompt": "a cat"}))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        run("--input", f"x/{source}" if output == "x" else source, "--output", output, *flags)
    assert "is read by this run, and would be written over" in capsys.readouterr().err.splitlines()[-1]
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_file_by_the_name_of_the_notes_stays(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    Image.fromarray(FRAME).save(tmp_path / "in" / "1.png")
    (tmp_path / "out.json").write_text('{"my": "own"}')
    with pytest.raises(SystemExit):
        run("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert "out.json would be written over" in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "out.json").read_text() == '{"my": "own"}'


def test_a_folder_with_one_video_gives_a_video_in_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    clip(tmp_path / "in" / "a.mp4")
    run("--input", tmp_path / "in", "--output", tmp_path / "restored")
    assert (tmp_path / "restored" / "a_2x.mp4").is_file()


def test_results_may_lie_beside_what_they_were_made_from(folder, tmp_path, capsys):
    words = ["--input", folder, "--output", folder]
    run(*words)
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert sorted(path.name for path in made if path.suffix == ".mp4") == [
        "a.mp4", "a_2x.mp4", "b 10.mp4", "b 10_2x.mp4", "b 2.mp4", "b 2_2x.mp4"
    ]  # fmt: skip
    capsys.readouterr()
    for inputs in ([folder], [f"{folder}/*"], sorted(folder.iterdir())):  # the last as a shell gives them for folder/*
        run("--input", *inputs, "--output", folder)
        assert capsys.readouterr().err.count("is there already") == 3
    assert made == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_run_that_was_killed_before_its_notes_goes_on_beside_its_input(folder, monkeypatch, capsys):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("realis.video.write.note_result", killed)
        run("--input", folder / "a.mp4", "--output", folder)
    assert (folder / "a_2x.mp4").exists() and not (folder / "a_2x.mp4.json").exists()
    run("--input", folder, "--output", folder)
    assert "3 of 3 done" in capsys.readouterr().err
    assert not [path for path in folder.iterdir() if path.name.startswith(".") or "2x_2x" in path.name]


@pytest.mark.parametrize("output", ["in/result", "result"])
def test_a_folder_of_images_is_the_same_with_its_result_in_it_or_beside_it(tmp_path, capsys, output):
    (tmp_path / "in").mkdir()
    for name in ("1.png", "2.png", "._1.png"):
        (tmp_path / "in" / name).write_bytes(b"of macOS")
    for name in ("1.png", "2.png"):
        Image.fromarray(FRAME).save(tmp_path / "in" / name)
    for inputs in (tmp_path / "in", tmp_path / "in", f"{tmp_path}/*"):
        run("--input", inputs, "--output", tmp_path / output)
    assert capsys.readouterr().err.count("is there already") == 2
    assert sorted(path.name for path in (tmp_path / output).iterdir()) == ["1.png", "2.png"]


@pytest.mark.parametrize("stem", ["漢" * 80, "x" * 251, os.fsdecode(b"caf\xe9")], ids=["CJK", "longest", "no text"])
def test_names_that_are_long_or_no_text_are_upscaled_once(tmp_path, capsys, stem):
    (tmp_path / "in").mkdir()
    clip(tmp_path / "in" / f"{stem}.mp4")
    for again in (0, 1):
        run("--input", tmp_path / "in", "--output", tmp_path / "in")
        assert capsys.readouterr().err.count("is there already") == again
    assert len(list((tmp_path / "in").iterdir())) == 4
    run("--input", tmp_path / "in" / f"{stem}.mp4", "--output", tmp_path / f"{stem}.mp4")
    assert len(images(tmp_path / f"{stem}.mp4")) == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "漢" * 84 + ".mp4"], "its name takes 256 bytes, wanted 255 at most"),
        (["--output", "o.mp4", "--compare", "x" * 252 + ".mp4"], "its name takes 256 bytes, wanted 255 at most"),
        (["--output", "o" * 256 + "/o.mp4"], "File name too long"),
        (["--output", ".", "--codec", "png"], "in which this command runs"),
        (["--output", "..", "--codec", "png"], "in which this command runs"),
        (["--output", "file", "--codec", "png"], "file is a file, wanted a folder"),
        (["--output", "file"], "file is a file, wanted a folder"),
    ],
)
def test_outputs_that_cannot_be_are_one_line_before_the_work(folder, monkeypatch, capsys, words, said):
    monkeypatch.chdir(folder)
    (folder / "file").touch()
    monkeypatch.setattr(app_run, "write_result", None)
    with pytest.raises(SystemExit) as stop:
        run("--input", folder / "a.mp4", *words)
    assert stop.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_results_that_differ_in_their_ending_have_sheets_of_their_own(tmp_path):
    clip(tmp_path / "a.mp4")
    Image.fromarray(FRAME).save(tmp_path / "a.png")
    run("--input", tmp_path / "a.mp4", tmp_path / "a.png", "--output", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*_before_after.png")) == [
        "a_2x.mp4_before_after.png", "a_2x.png_before_after.png"
    ]  # fmt: skip


def test_every_codec_has_a_limit_of_its_own(tmp_path, capsys):
    Image.fromarray(np.full((2, 1040, 3), 99, np.uint8)).save(tmp_path / "wide.png")

    def run_wide(output, *flags):
        run_upscale(["--input", str(tmp_path / "wide.png"), "--output", str(tmp_path / output), "--target", "16x",
                     "--method", "bicubic", *flags])  # fmt: skip

    run_wide("o.png")
    assert images(tmp_path / "o.png")[0].shape == (32, 16640, 3)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run_wide("o.mp4", "--codec", "h264")
    said = capsys.readouterr().err.splitlines()[-1]
    assert "16640x32 is too large for h264, wanted 2x2 to 16384x16384, or --codec h265 or ffv1 or prores or png" in said
    with pytest.raises(SystemExit):
        run_wide("p.png", "--compare", str(tmp_path / "both.mp4"))
    assert "is too large for h264" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "p.png").exists()
