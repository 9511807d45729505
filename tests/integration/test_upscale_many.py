"""Several inputs, previews, comparisons, and what happens where memory does not do."""

import json
import os
import re
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from realis.commands import upscale
from realis.commands.__main__ import run_plan, run_upscale
from realis.methods import find_method
from realis.models.hub import PRESETS
from realis.upscaling import cpc_method
from realis.upscaling.app import estimate
from realis.upscaling.app import run as app_run
from realis.upscaling.app.inputs import find_inputs
from realis.upscaling.app.loading import Loader, is_out_of_memory
from realis.upscaling.bicubic import BicubicUpscaler
from realis.upscaling.cpc_config import CpcConfig
from realis.video.encoding import Encoding
from realis.video.journal import Journal
from realis.video.source import open_source
from realis.video.write import SegmentWriter
from videos import make, picture, seconds, sound

FRAME = np.full((30, 44, 3), 99, np.uint8)


def clip(path, count=9, seed=0):
    texture = np.kron(np.random.default_rng(seed).integers(0, 256, (15, 20, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    with SegmentWriter(path, (30, 44), Fraction(25), Encoding(crf=5)) as sink:
        sink.write(0, (np.ascontiguousarray(texture[i : i + 30, i : i + 44]) for i in range(count)))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for i, name in enumerate(("b 2", "b 10", "a")):
        clip(tmp_path / "in" / f"{name}.mp4", seed=i)
    return tmp_path / "in"


def images(path):
    with open_source(path) as source:
        return [frame.rgb for frame in source.frames()]


def run(*arguments):
    run_upscale([*map(str, arguments), "--target", "2x", "--method", "bicubic"])


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


def test_a_preview_is_a_few_frames_from_the_middle_and_a_sheet(tmp_path):
    source = clip(tmp_path / "in.mp4", 29)
    run("--input", source, "--output", tmp_path / "out.mp4", "--preview", "--compare", tmp_path / "both.mp4")
    preview, wanted = images(tmp_path / "out_preview.mp4"), images(source)[12:17]
    assert len(preview) == len(images(tmp_path / "both_preview.mp4")) == 5
    for big, small in zip(preview, wanted, strict=True):
        assert np.abs(big[::2, ::2].astype(int) - small).mean() < 12
    with Image.open(tmp_path / "out_preview.mp4_before_after.png") as sheet:
        assert sheet.width > 100
    assert not (tmp_path / "out.mp4").exists()


def test_a_preview_of_a_part_is_its_middle(tmp_path):
    frames, ticks = [picture(i) for i in range(16)], [0, 1, 2, 3, 10, 11, 20, 31, 32, 33, 34, 35, 60, 61, 62, 63]
    source = make(tmp_path / "in.mkv", frames, times=ticks, time_base=Fraction(1, 10), rate=Fraction(10))
    words = ["--output", tmp_path / "out.mkv", "--codec", "ffv1", "--start", "1", "--duration", "5"]
    run_upscale(
        [*map(str, ["--input", source, *words]), "--target", "1x", "--method", "bicubic", "--preview"]
    )  # frames 4 to 11
    for image, wanted in zip(images(tmp_path / "out_preview.mkv"), images(source)[5:10], strict=True):
        assert (image == wanted).all()


@pytest.mark.parametrize(("name", "count", "shown"), [("in.mp4", 3, 3), ("in.mp4", 6, 5), ("in.h264", 29, 5)])
def test_previews_of_short_videos_and_of_some_without_times(tmp_path, name, count, shown):
    clip(tmp_path / "in.mp4", count)
    if name == "in.h264":
        with av.open(str(tmp_path / "in.mp4")) as source, av.open(str(tmp_path / name), "w", format="h264") as raw:
            copy = raw.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    raw.mux(packet)
    run("--input", tmp_path / name, "--output", tmp_path / "out.mp4", "--preview")
    assert len(images(tmp_path / "out_preview.mp4")) == shown


def test_a_comparison_shows_bicubic_left_and_the_result_right(tmp_path):
    source, output, both = clip(tmp_path / "in.mp4", 20), tmp_path / "out.mp4", tmp_path / "both.mp4"
    run_upscale(["--input", str(source), "--output", str(output), "--target", "2x", "--compare", str(both),
                 "--tile-height", "64", "--tile-width", "64"])  # fmt: skip
    run("--input", source, "--output", tmp_path / "bicubic.mp4")
    compared, right, left = (images(path) for path in (both, output, tmp_path / "bicubic.mp4"))
    assert len(compared) == 20
    for i in (0, 17, 19):
        for half, own, other in ((slice(50, None), right, left), (slice(38), left, right)):
            error, wrong = (np.abs(compared[i][:, half].astype(int) - x[i][:, half]).mean() for x in (own, other))
            assert error < 0.8 * wrong
        assert compared[i][:, 43:45].mean() > 225


def test_a_comparison_keeps_times_and_sound(tmp_path):
    ticks = [0, 100, 133, 150, 151, 400, 433, 466, 500, 900]
    frames = [picture(i) for i in range(10)]
    source = make(
        tmp_path / "in.mp4", frames, "libx264", "yuv420p", ticks, Fraction(1, 1000), Fraction(25), extra=sound(48000, 0)
    )
    run("--input", source, "--output", tmp_path / "out.mp4", "--compare", tmp_path / "both.mp4")
    assert seconds(tmp_path / "both.mp4") == [Fraction(t, 1000) for t in ticks]
    with av.open(str(tmp_path / "both.mp4")) as container:
        assert len(container.streams.audio) == 1


def test_a_comparison_of_hdr_has_ten_bits(tmp_path):
    source = make(tmp_path / "in.mkv", [picture(0, white=65280)], form="yuv420p10le", tags=(9, 16, 9, 1))
    run("--input", source, "--output", tmp_path / "out.mp4", "--compare", tmp_path / "both.mp4")
    with av.open(str(tmp_path / "both.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.color_trc) == ("hevc", "yuv420p10le", 16)


def test_a_preview_of_images_can_be_repeated(tmp_path, capsys):
    words = ["--input", clip(tmp_path / "in.mp4", 29), "--output", tmp_path / "out", "--codec", "png", "--preview"]
    run(*words)
    run(*words)
    assert "is there already" in capsys.readouterr().err
    run(*words, "--restart")
    assert len(images(tmp_path / "out_preview")) == 5


@pytest.mark.parametrize(("codec", "crf", "most"), [("h264", 52, 51), ("h265", 60, 51), ("av1", 64, 63)])
def test_a_quality_that_a_codec_does_not_have_is_refused(folder, tmp_path, capsys, codec, crf, most):
    with pytest.raises(SystemExit):
        run("--input", folder / "a.mp4", "--output", tmp_path / "o.mp4", "--codec", codec, "--crf", crf)
    assert f"--crf: got {crf}, wanted 0 to {most} with {codec}" in capsys.readouterr().err.splitlines()[-1]


class SmallMemory(BicubicUpscaler):
    """Bicubic on a device that has no room for tiles above 64 pixels, from its second segment on."""

    calls = 0

    def upscale(self, frames, size, *, tiles, **others):
        SmallMemory.calls += 1
        if SmallMemory.calls > 1 and tiles.rows[0][1] > 64:
            raise torch.OutOfMemoryError("out of memory")
        return super().upscale(frames, size, tiles=tiles, **others)


def test_too_little_memory_is_known_on_every_device():
    with pytest.raises(RuntimeError) as of_cpu:
        torch.empty(2**50, dtype=torch.uint8)
    assert is_out_of_memory(of_cpu.value) and is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("no memory of that"))


def test_too_little_memory_halves_the_tiles_and_goes_on(tmp_path, monkeypatch, capsys):
    source, SmallMemory.calls = clip(tmp_path / "in.mp4", 29), 0
    monkeypatch.setattr(Loader, "upscaler", SmallMemory())
    run_upscale(["--input", str(source), "--output", str(tmp_path / "out.mp4"), "--target", "4x", "--tile-height", "128",
                 "--tile-width", "128"])  # fmt: skip
    said = capsys.readouterr().err
    assert "out of memory; going on with tiles of 64x64" in said and "going on from frame 8" in said
    run("--input", source, "--output", tmp_path / "whole.mp4", "--target", "4x")
    assert len(images(tmp_path / "out.mp4")) == 29
    SmallMemory.calls = 1
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(source), "--output", str(tmp_path / "no.mp4"), "--target", "4x", "--tile-height", "80",
                     "--tile-width", "80"])  # fmt: skip
    assert stop.value.code == 1 and "out of memory with tiles of" in capsys.readouterr().err.splitlines()[-1]


def test_a_dry_run_times_a_tile(tmp_path, capsys):
    source = clip(tmp_path / "in.mp4", 29)
    run_plan(["--input", str(source), "--output", str(tmp_path / "o.mp4"), "--target", "2x"])
    said = capsys.readouterr().err
    assert "timing a sample" in said and re.search(r"about [\d.]+ (s|min) for 29 frames, and [\d.]+ KiB of disk", said)
    assert (
        "MiB for the model" in said
        and "GPU" not in said
        and re.search(r"on cpu\); disk while at work: .* free: ", said)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_dry_run_of_several_times_a_tile_once_and_adds_up(folder, tmp_path, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(estimate, "time_a_tile", lambda *case: timed.append(case) or 60.0)
    run("--input", folder, "--output", tmp_path / "out", "--dry-run")
    assert [shape for _, _, shape, _ in timed] == [(8, 3, 30, 44)]
    assert "3 of 3 in all: about 6.0 min for 27 frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_a_preview_times_what_it_will_do(folder, tmp_path, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(estimate, "time_a_tile", lambda *case: timed.append(case) or 60.0)
    run_upscale(["--input", str(clip(tmp_path / "in.mp4", 29)), "--target", "2x", "--preview", "--dry-run"])
    assert [shape[0] for _, _, shape, _ in timed] == [5] and "60 s for 5 frames on cpu" in capsys.readouterr().err


def test_the_time_left_for_all_goes_by_frames(folder, tmp_path, capsys, monkeypatch):
    clip(folder / "c.mp4", 27)

    class Clock:
        now = 0.0

    def work(job, loader):
        Clock.now += 20 * job.plan.frames
        return job.output

    monkeypatch.setattr(upscale.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(upscale, "upscale_file", work)
    run("--input", folder, "--output", tmp_path / "out")
    lines = [line for line in capsys.readouterr().err.splitlines() if " of 4" in line]
    assert [re.sub(r"(realis: |: \S*in/)", " ", line).strip() for line in lines] == [
        "1 of 4 a.mp4", "2 of 4 b 2.mp4, about 15 min left for all", "3 of 4 b 10.mp4, about 12 min left for all",
        "4 of 4 c.mp4, about 9.0 min left for all", "4 of 4 done in 18 min",
    ]  # fmt: skip


def test_more_than_the_trained_factor_is_said_to_bring_little(tmp_path, capsys):
    source = clip(tmp_path / "in.mp4")
    for target, is_said in (("4x", False), ("8x", True)):
        run_plan(["--input", str(source), "--target", target])
        assert ("--target 4x (176x120) takes 25% of the time" in capsys.readouterr().err) == is_said


def test_a_cpc_that_was_trained_with_captions_asks_for_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cpc_method, "has_text_encoder", lambda folder: True)
    monkeypatch.setattr(upscale, "upscale_file", lambda job, _: job.output)
    for takes_text, words, said in (
        (True, [], "no prompt: this CPC"), (True, ["--prompt", "a cat"], ""), (False, [], ""),
        (False, ["--prompt", "a cat"], "--prompt: this CPC takes no text"),
    ):  # fmt: skip
        facts = {"window": (17, 64, 64), "text_conditioned": takes_text, "in_channels": 16}
        monkeypatch.setattr(cpc_method, "check_parts", lambda *parts, facts=facts: facts)
        run_upscale(["--input", str(clip(tmp_path / "in.mp4")), "--output", str(tmp_path / "o.mp4"), *words])
        lines = [line for line in capsys.readouterr().err.splitlines() if "this CPC" in line]
        assert len(lines) == bool(said) and all(said in line for line in lines)


def test_a_method_names_its_weights_for_headings(tmp_path):
    shutil.copytree(PRESETS / "tiny" / "controlnet", tmp_path / "cpc" / "export")
    method = find_method("cpc")
    assert method.needs(CpcConfig(), False).label == "realis-tiny"
    assert method.needs(CpcConfig(cpc=str(tmp_path / "cpc" / "export")), False).label == "cpc/export"


def test_a_stop_says_what_is_kept(tmp_path, monkeypatch, capsys):
    source, calls = clip(tmp_path / "in.mp4", 29), []

    class Interrupted(BicubicUpscaler):
        def upscale(self, frames, size, **others):
            calls.append(frames)
            if len(calls) in (1, 4):
                raise KeyboardInterrupt
            return super().upscale(frames, size, **others)

    monkeypatch.setattr(Loader, "upscaler", Interrupted())
    for wanted in ("stopped; no segment was finished, and nothing is kept",
                   "stopped; the same command (without --restart) goes on after the 16 of 29 frames that are done"):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            run("--input", source, "--output", tmp_path / "out.mp4", "--restart")
        assert stop.value.code == 130 and capsys.readouterr().err.splitlines()[-1] == f"realis: {wanted}"
    run("--input", source, "--output", tmp_path / "out.mp4")
    assert "going on from frame 16 of 29" in capsys.readouterr().err


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


def test_memory_that_does_not_do_for_a_dry_run_is_one_line(tmp_path, monkeypatch, capsys):
    source, SmallMemory.calls = clip(tmp_path / "in.mp4", 29), 1
    monkeypatch.setattr(Loader, "upscaler", SmallMemory())
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(source), "--output", str(tmp_path / "no.mp4"), "--target", "4x", "--dry-run"])
    assert stop.value.code == 1 and "out of memory with tiles of" in capsys.readouterr().err.splitlines()[-1]


def test_smaller_tiles_stay_smaller_when_the_run_goes_on(tmp_path):
    journal = Journal(tmp_path / "out.mp4", {"a": 1}, ".video", anew=False)
    journal.open()
    assert [journal.settle_tile(tile, 16) for tile in ((128, 256), (64, 128), (128, 256))] == [
        (128, 256),
        (64, 128),
        (64, 128),
    ]
    journal.close(finished=True)


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


def test_a_comparison_may_lie_beside_its_input_and_is_not_made_twice(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    clip(tmp_path / "in" / "a.mp4")
    words = ["--input", tmp_path / "in", "--output", tmp_path / "in", "--compare", tmp_path / "in" / "both.mp4"]
    run(*words)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "in").iterdir()}
    run(*words)
    assert "is there already" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "in").iterdir()}
    (tmp_path / "in" / "both.mp4").unlink()
    run(*words)
    assert len(images(tmp_path / "in" / "both.mp4")) == 9


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
    Image.fromarray(np.full((2, 8300, 3), 99, np.uint8)).save(tmp_path / "wide.png")
    run("--input", tmp_path / "wide.png", "--output", tmp_path / "o.png")
    assert images(tmp_path / "o.png")[0].shape == (4, 16600, 3)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run("--input", tmp_path / "wide.png", "--output", tmp_path / "o.mp4", "--codec", "h264")
    said = capsys.readouterr().err.splitlines()[-1]
    assert "16600x4 is too large for h264, wanted 2x2 to 16384x16384, or --codec ffv1 or prores or png" in said
    with pytest.raises(SystemExit):
        run("--input", tmp_path / "wide.png", "--output", tmp_path / "p.png", "--compare", tmp_path / "both.mp4")
    assert "is too large for h264" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "p.png").exists()
