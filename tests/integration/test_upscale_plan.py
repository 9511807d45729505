"""What ``upscale`` says beforehand, and what happens where memory does not do."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest
import torch

from realis.commands import upscale
from realis.commands.__main__ import run_plan, run_upscale
from realis.methods.registry import find_method
from realis.models.hub import PRESETS
from realis.upscaling import cpc_method
from realis.upscaling.app import estimate
from realis.upscaling.app.loading import Loader, is_out_of_memory
from realis.upscaling.cpc_config import CpcConfig
from realis.upscaling.interpolation import InterpolationUpscaler
from realis.video.journal import Journal
from realis.video.results import notes_file
from small_clips import clip, images, run, three_clips


@pytest.fixture
def folder(tmp_path):
    return three_clips(tmp_path / "in")


class SmallMemory(InterpolationUpscaler):
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
    assert json.loads(notes_file(tmp_path / "out.mp4").read_text())["seams"]["first"] == 8
    run("--input", source, "--output", tmp_path / "whole.mp4", "--target", "4x")
    assert len(images(tmp_path / "out.mp4")) == 29
    SmallMemory.calls = 1
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(source), "--output", str(tmp_path / "no.mp4"), "--target", "4x", "--tile-height", "80",
                     "--tile-width", "80"])  # fmt: skip
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 1 and "out of memory with tiles of" in line
    assert "(--tile-height, --tile-width), fewer --segment-frames, --offload, or --device cpu" in line


def test_a_dry_run_times_a_tile(tmp_path, capsys):
    source = clip(tmp_path / "in.mp4", 29)
    run_plan(["--input", str(source), "--output", str(tmp_path / "o.mp4"), "--target", "2x"])
    said = capsys.readouterr().err
    assert "timing a sample" in said and re.search(r"about [\d.]+ (s|min) for 29 frames, and [\d.]+ KiB of disk", said)
    assert (
        "MiB for the model" in said
        and "GPU" not in said
        and re.search(r"on cpu with [\d.]+ [MG]iB of memory\); disk while at work: .* free: ", said)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def planned(folder, capsys, monkeypatch, *words):
    """What a dry run of realis-tiny says of 5 frames."""
    monkeypatch.setattr(estimate, "time_a_tile", lambda *case: estimate.Sample(60.0))
    source = folder / "in.mp4"
    if not source.exists():
        clip(source, 5)
    run_plan(["--input", str(source), *words])
    return capsys.readouterr().err


def test_tiles_are_of_the_size_that_the_model_is_made_for_and_turned_with_the_frame(tmp_path, monkeypatch, capsys):
    def said(*words):
        return planned(tmp_path, capsys, monkeypatch, *words)

    assert "4 tiles of 256x256" in said("--target", "320x400")
    small = said("--target", "640x192")
    assert "3 tiles of 256x192" in small and "smaller than a tile of 256x256: tiles are 256x192" in small
    monkeypatch.setattr(cpc_method, "check_parts", lambda *_: {"window": [17, 64, 160], "in_channels": 16})
    landscape, portrait = said("--target", "640x192"), said("--target", "192x640")
    assert "of 160x64" in landscape and "of 64x160" in portrait and "smaller than" not in landscape + portrait
    assert "of 160x64" in said("--target", "192x640", "--tile-height", "64")


def test_the_plan_counts_what_fused_tiles_keep(tmp_path, monkeypatch, capsys):
    """realis-tiny: 3 layers of 128 values a token, two tiles of 16x16 tokens, 2 latent frames, 2 bytes each: 768 KiB."""
    cases = (["fused", "--steps", "2"], ["fused"], ["independent", "--steps", "2"],
             ["fused", "--steps", "2", "--control-cache", "none"])  # fmt: skip
    said = [planned(tmp_path, capsys, monkeypatch, "--target", "480x256", "--tiling", *words) for words in cases]
    assert ["768 KiB for the control of all tiles" in one for one in said] == [True, False, False, False]


def test_what_tiles_keep_is_needed_while_they_are_sampled_only(monkeypatch):
    GiB = 2**30
    sample = estimate.Sample(60.0, [5 * GiB, GiB, GiB, 8 * GiB])  # encoding, two steps, decoding
    loader = SimpleNamespace(config=None)
    monkeypatch.setattr(estimate, "frames_memory", lambda *_: 3 * GiB)
    monkeypatch.setattr(estimate, "peak_memory", lambda: 4.0)
    for kept, on_gpu, on_cpu in ((6, "8.0 GiB of GPU memory", "10 GiB"), (9, "10 GiB of GPU memory", "13 GiB"),
                                 (0, "8.0 GiB of GPU memory", "7.0 GiB")):  # fmt: skip
        monkeypatch.setattr(estimate, "kept_memory", lambda *_, kept=kept: kept * GiB)
        said = [estimate.memory_needed(loader, None, None, one) for one in (sample, estimate.Sample(60.0))]
        assert on_gpu in said[0] and on_cpu in said[1]


def test_a_dry_run_of_several_times_a_tile_once_and_adds_up(folder, tmp_path, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(estimate, "time_a_tile", lambda *case: timed.append(case) or estimate.Sample(60.0))
    run("--input", folder, "--output", tmp_path / "out", "--dry-run")
    assert [shape for _, _, shape, _ in timed] == [(8, 3, 30, 44)]
    assert "3 of 3 in all: about 6.0 min for 27 frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_a_preview_times_what_it_will_do(folder, tmp_path, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(estimate, "time_a_tile", lambda *case: timed.append(case) or estimate.Sample(60.0))
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

    class Interrupted(InterpolationUpscaler):
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


def test_memory_that_does_not_do_for_a_dry_run_is_one_line(tmp_path, monkeypatch, capsys):
    source, SmallMemory.calls = clip(tmp_path / "in.mp4", 29), 1
    monkeypatch.setattr(Loader, "upscaler", SmallMemory())
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(source), "--output", str(tmp_path / "no.mp4"), "--target", "4x", "--dry-run"])
    assert stop.value.code == 1 and "out of memory with tiles of" in capsys.readouterr().err.splitlines()[-1]


def test_smaller_tiles_stay_smaller_when_the_run_goes_on(tmp_path):
    journal = Journal(tmp_path / "out.mp4", {"a": 1}, ".video", restart=False)
    journal.open()
    assert [journal.settle_tile(tile, 16) for tile in ((128, 256), (64, 128), (128, 256))] == [
        (128, 256),
        (64, 128),
        (64, 128),
    ]
    journal.close(finished=True)
