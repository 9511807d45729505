"""Training: the same run whatever is interrupted, split or accumulated; what it writes opens again."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from benchmark_files import load_benchmark
from commands import Command
from reads import unread_fields
from realis.commands import train_tiny
from realis.commands.__main__ import run_train_cpc, run_train_tiny
from realis.commands.train_cpc import ControlConfig, TrainCpcConfig
from realis.commands.train_decoder import TrainDecoderConfig
from realis.commands.train_prior import TrainPriorConfig
from realis.commands.train_tiny import TrainTinyConfig
from realis.commands.train_vae import TrainVaeConfig
from realis.core.errors import TerminatedError
from realis.data.clips_config import ClipsConfig
from realis.data.pairs_config import DataConfig
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.hub import PRESETS
from realis.parallel.distributed import Processes
from realis.training import loop
from realis.training.loop import learning_rate
from realis.training.run import Run
from realis.training.run_folder import checkpoints
from realis.training.settings import CpcLoopConfig, OptimizerConfig
from realis.upscaler import Placement
from realis.upscaling.cpc_config import CpcConfig
from realis.upscaling.cpc_method import METHOD
from training_runs import SMALL_CPC, assert_equal, exported, train_cpc
from windows import restore_window

ROOT = Path(__file__).parents[2]
OWN_CPC = PRESETS / "tiny" / "controlnet"


def assert_same_training(one, two):
    """The same run but for rounding: what the output projections, zero at the start, have learned in two steps.

    Not weight by weight: Adam turns a gradient that is rounding noise into a full step of either sign.
    """
    a, b = (load_file(run / "checkpoint-000002" / "trained.safetensors") for run in (one, two))
    assert a.keys() == b.keys()
    a, b = (torch.cat([x[name].flatten() for name in sorted(x) if ".proj_out." in name]) for x in (a, b))
    assert a.norm() > 0.1
    assert (a - b).norm() < 0.02 * a.norm()


def test_resume_is_exact_to_the_bit(tmp_path):
    train_cpc(tmp_path / "whole", "--optimizer.warmup", "2", "--optimizer.final-lr", "0.1")
    split = ["--optimizer.warmup", "2", "--optimizer.final-lr", "0.1", "--run.save-every", "2"]
    train_cpc(tmp_path / "whole2", *split)
    resumed = tmp_path / "whole2"
    shutil.rmtree(resumed / "checkpoint-000004")
    shutil.rmtree(resumed / "export")
    train_cpc(resumed, *split, "--run.resume", "latest")
    assert (
        yaml.safe_load((resumed / "config.yaml").read_text())["run"]["resume"] == ""
    )  # still a recipe of the whole run
    assert_equal(exported(tmp_path / "whole"), exported(resumed))
    last = [load_file(f / "checkpoint-000004" / "trained.safetensors") for f in (tmp_path / "whole", resumed)]
    assert_equal(*last)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    """SIGKILL in the first saving, in a later one while an old checkpoint is being removed, and while training; SIGTERM
    to the process that trains and those that read, which is answered by saving."""
    trial, kills, steps = load_benchmark("kill_training"), load_benchmark("kills"), 6
    manifest, whole = trial.make_footage(tmp_path), tmp_path / "whole"

    def run(output):
        return lambda: run_train_cpc(trial.flags(manifest, output, steps))

    began = time.perf_counter()
    operations = kills.count_operations(run(whole), trial.WATCHED)
    seconds = time.perf_counter() - began
    for i, share in enumerate((0.1, 0.75)):
        kills.killed_at_operation(run(tmp_path / f"run{i}"), trial.WATCHED, int(share * operations))
        kills.finish(run(tmp_path / f"run{i}"))
        assert trial.differences(whole, tmp_path / f"run{i}", steps) == []
    kills.killed_after(run(tmp_path / "run"), seconds / 2)
    kills.finish(run(tmp_path / "run"))
    assert trial.differences(whole, tmp_path / "run", steps) == []

    # SIGTERM to all of its process group, in a run that would save nothing before its last step
    def rarely():
        run_train_cpc([*trial.flags(manifest, tmp_path / "told", steps), "--run.save-every", "99"])

    def told_in_the_third_step():
        os.setsid()
        take_turn = loop.take_turn

        def told(run, step, *arguments, **options):
            if step.number == 2:
                assert multiprocessing.active_children()  # the process that reads clips
                os.killpg(0, signal.SIGTERM)
            return take_turn(run, step, *arguments, **options)

        loop.take_turn = told
        rarely()

    child = kills.in_child(told_in_the_third_step)
    child.join()
    assert child.exitcode == 143
    assert [c.name for c in checkpoints(tmp_path / "told")] == ["checkpoint-000003"]
    assert not (tmp_path / "told" / "export").exists()
    kills.finish(rarely)
    assert trial.differences(whole, tmp_path / "told", steps) == []


def test_accumulation_equals_one_large_batch(tmp_path):
    train_cpc(tmp_path / "large", "--run.batch", "4", steps=2)
    train_cpc(tmp_path / "accumulated", "--run.batch", "1", "--run.accumulation", "4", steps=2)
    assert_same_training(tmp_path / "large", tmp_path / "accumulated")


def test_what_a_run_writes(tmp_path):
    with unread_fields(TrainCpcConfig) as unread:
        train_cpc(tmp_path / "run", "--run.save-every", "1", "--run.keep", "2", "--run.sample-every", "2")
    # Those of footage: test_validation
    assert not {name for name in unread if not name.startswith(("ClipsConfig.", "ValidationConfig."))}
    run = tmp_path / "run"
    assert sorted(p.name for p in run.glob("checkpoint-*")) == ["checkpoint-000003", "checkpoint-000004"]
    assert (run / "samples" / "step-000002.png").is_file()
    assert list((run / "tensorboard").glob("events*"))
    trained = load_file(run / "checkpoint-000004" / "trained.safetensors")
    assert all(name.startswith("controlnet.") for name in trained)  # no frozen weight in it
    controlnet = CpcControlNet.from_pretrained(run / "export")
    assert controlnet.config.num_layers == 3
    assert any(p.any() for p in controlnet.proj_out.parameters())
    weights = exported(run)
    assert {x.dtype for name, x in weights.items() if name.startswith("proj_out")} == {torch.bfloat16}
    assert "realis-tiny" in (run / "export" / "README.md").read_text()
    again = tmp_path / "again"
    run_train_cpc([str(run / "config.yaml"), "--run.output", str(again)])
    assert_equal(exported(run), exported(again))


def test_a_cpc_that_is_trained_on_begins_with_its_weights_and_keeps_its_settings(tmp_path):
    """At a rate of next to nothing realis-tiny's own comes out as it went in; only its window is that of the clips."""
    run = ["--data.cache", str(tmp_path / "pairs"), "--run.steps", "1", "--run.output", str(tmp_path / "run")]
    run_train_cpc([*SMALL_CPC, *run, "--cpc", "realis-tiny", "--optimizer.lr", "1e-20"])
    assert_equal(load_file(OWN_CPC / "diffusion_pytorch_model.safetensors"), exported(tmp_path / "run"))
    own, config = (json.loads((f / "config.json").read_text()) for f in (OWN_CPC, tmp_path / "run" / "export"))
    assert config["window"] == [5, 32, 32]
    assert {**config, "window": own["window"]} == own


def test_the_window_is_that_of_the_clips_unless_it_is_given():
    clips = ClipsConfig(manifest="x", frames=9, buckets=("192x128", "256x256"))
    assert TrainCpcConfig(clips=clips).window == (9, 128, 192)
    assert TrainCpcConfig(data=DataConfig(frames=5, size=64)).window == (5, 64, 64)
    given = ControlConfig(window=(17, 256, 256))
    assert TrainCpcConfig(clips=clips, controlnet=given).window == (17, 256, 256)
    assert TrainCpcConfig(clips=ClipsConfig(manifest="x")).window == (49, 480, 832)


def small_recipes(folder, **settings):
    """Recipes of the four parts, two steps each unless ``settings`` of the runs say otherwise."""
    data = {"count": 6, "frames": 5, "size": 32, "cache": str(folder / "pairs"), "degradations": ["light", "bi"]}
    run = {"steps": 2, "batch": 2, "precision": "no", "tracker": "none"} | settings
    cpc = {"controlnet": {"layers": 3, "time_conditioned": False, "text_conditioned": False}}
    cpc["controlnet"] |= {"steps": 1, "sampler": "euler"}
    cpc |= {"loss": {"cell": 2}}
    special = {
        "vae": {},
        "prior": {},
        "cpc": cpc,
        "decoder": {"optimizer": {"lr": 0.001}, "oracle_steps": 1, "decoded_frames": 2},
    }
    for name, own in special.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"data": data, "run": run} | own))
    return folder


def test_the_four_parts_build_a_model_that_upscales(tmp_path):
    model, words = tmp_path / "model", ["--recipes", str(small_recipes(tmp_path)), "--threads", "1"]
    with unread_fields(TrainTinyConfig, TrainVaeConfig, TrainPriorConfig, TrainDecoderConfig) as unread:
        run_train_tiny(["--output", str(model), *words])
    assert unread == set()
    lr, upscaler = (
        torch.zeros(1, 3, 5, 32, 32),
        METHOD.load(CpcConfig(str(model), tile_overlap=16, segment_overlap=1), Placement(), [""]),
    )
    restored = restore_window(upscaler.window(""), lr, torch.randn(1, 16, 2, 4, 4))
    assert restored.shape == lr.shape and restored.isfinite().all()

    # The decoder's run trained the CPC on; started again without that part, it ends with the same bytes
    flow_cpc, cpc = (load_file(f / "diffusion_pytorch_model.safetensors")
                     for f in (tmp_path / "model_runs" / "controlnet", model / "controlnet"))  # fmt: skip
    assert any(not torch.equal(flow_cpc[name], cpc[name]) for name in cpc)
    assert all("name_or_path" not in config.read_text() for config in model.glob("*/config.json"))
    shutil.rmtree(model / "controlnet")
    shutil.rmtree(tmp_path / "model_runs" / "decoder")
    run_train_tiny(["--output", str(model), *words])
    assert_equal(cpc, load_file(model / "controlnet" / "diffusion_pytorch_model.safetensors"))


def test_a_model_is_not_gone_on_with_by_other_settings(tmp_path, capsys):
    words = ["--output", f"{tmp_path}/model/", "--recipes", str(small_recipes(tmp_path)), "--threads", "1"]
    run_train_tiny(words)
    before = {file: file.read_bytes() for file in (tmp_path / "model").rglob("*.safetensors")}
    with pytest.raises(SystemExit):
        run_train_tiny([*words, "--seed", "1"])
    assert "its vae was trained with other settings (run.seed 0 -> 1)" in capsys.readouterr().err.splitlines()[-1]
    assert before == {file: file.read_bytes() for file in (tmp_path / "model").rglob("*.safetensors")}


def test_a_model_whose_training_is_told_to_stop_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def told(_):
        raise TerminatedError("stopped by SIGTERM after step 2; --run.resume latest goes on")  # no flag of this command

    monkeypatch.setattr(train_tiny, "train_vae", told)
    with pytest.raises(SystemExit) as stop:
        run_train_tiny(["--output", str(tmp_path / "model"), "--recipes", str(small_recipes(tmp_path))])
    said = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 143 and said == "realis: stopped by SIGTERM; the same command goes on"


def test_a_model_whose_training_was_killed_twice_ends_with_the_same_bytes(tmp_path):
    words = ["--recipes", str(small_recipes(tmp_path, steps=6, save_every=2)), "--threads", "1"]
    run_train_tiny(["--output", str(tmp_path / "whole"), *words])
    for part in ("prior", "decoder"):
        process = Command("train/train_tiny.py", "--output", tmp_path / "killed", *words)
        while process.poll() is None and not list((tmp_path / "killed_runs" / part).glob("checkpoint-*")):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run_train_tiny(["--output", str(tmp_path / "killed"), *words])
    for file in (tmp_path / "whole").rglob("*.safetensors"):
        assert file.read_bytes() == (tmp_path / "killed" / file.relative_to(tmp_path / "whole")).read_bytes(), file


def test_the_encoder_starts_at_principal_components():
    """Untrained, its latents are white and decode linearly to about what the best 16 of 192 components give."""
    import numpy as np
    from diffusers import AutoencoderKLWan

    from realis.data.photographs import training_clip
    from realis.models.wan.latents import encode_video
    from realis.tiny.pca_init import initialise_encoder

    vae = AutoencoderKLWan(
        base_dim=16, decoder_base_dim=4, patch_size=2, in_channels=12, out_channels=12, dim_mult=[1, 2, 4],
        temperal_downsample=[True, True], num_res_blocks=1, latents_mean=[0.0] * 16, latents_std=[1.0] * 16,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    frames = torch.cat([training_clip(rng, 1, 32) for _ in range(150)]) * 2 - 1
    initialise_encoder(vae, frames)
    with torch.no_grad():
        z = encode_video(vae, frames[:, :, None])[:, :, 0].permute(0, 2, 3, 1).reshape(-1, 16)
    torch.testing.assert_close(z.std(dim=0), torch.ones(16), atol=0.1, rtol=0)
    blocks = frames.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 192)

    def fit(features):
        features = torch.cat([features, torch.ones(len(features), 1)], dim=1)
        return (features @ torch.linalg.lstsq(features, blocks).solution - blocks).square().mean()

    _, vectors = torch.linalg.eigh(blocks.T @ blocks)
    assert fit(z) < 1.5 * fit(blocks @ vectors[:, -16:])


def test_the_first_step_after_the_warmup_has_the_full_rate_and_the_last_one_the_final_rate():
    def rates(steps, **config):
        return [learning_rate(step, steps, OptimizerConfig(**config)) for step in range(steps)]

    assert rates(7, warmup=2, final_lr=0.2) == pytest.approx([0.5, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert rates(7, warmup=2, final_lr=0.2)[-1] == 0.2 and rates(3, final_lr=0.0)[-1] == 0
    assert rates(3, warmup=2) == [0.5, 1, 1] and rates(3) == [1, 1, 1]
    assert rates(1, final_lr=0.1) == [1]  # a single step has nothing to decay to
    assert rates(3, warmup=2, final_lr=0.1) == [0.5, 1, 1]
    assert rates(2, warmup=4, final_lr=0.1) == [0.25, 0.5]  # ends while warming up


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_uses_the_same_samples_for_any_split(world, accumulation):
    config = CpcLoopConfig(batch=8 // world // accumulation, accumulation=accumulation)
    runs = [Run(None, Processes(row, world), TrainCpcConfig(run=config)) for row in range(world)]
    numbers = [n for run in runs for micro in range(accumulation) for n in run.sample_numbers(5, micro)]
    assert sorted(numbers) == list(range(40, 48))
    assert runs[0].samples_per_step == 8


@pytest.mark.slow
def test_bare_command_runs_the_debug_recipe(tmp_path):

    root = Path(__file__).parents[2]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "accelerate"), "launch", "--cpu", str(root / "train" / "train_cpc.py")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "debug recipe" in done.stderr
    out = tmp_path / "out" / "train_debug"
    assert yaml.safe_load((out / "config.yaml").read_text())["run"]["steps"] == 8
    assert CpcControlNet.from_pretrained(out / "export").config.num_main_layers == 6


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, capsys):
    """What reproduces it is kept: the batch, and a checkpoint from which the same step fails again."""
    diverging = ["--optimizer.lr", "1e30", "--optimizer.ema", "0"]
    with pytest.raises(SystemExit) as stop:
        train_cpc(tmp_path / "run", *diverging, steps=6)
    assert stop.value.code == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: the loss is") and "samples" in line
    (stopped,) = (tmp_path / "run").glob("stopped-*")
    assert str(stopped) in line and not (tmp_path / "run" / "export").exists()
    assert {"hr_latents", "lr_latents", "number"} <= load_file(stopped / "batch-of-process-0.safetensors").keys()
    with pytest.raises(SystemExit):
        train_cpc(tmp_path / "again", *diverging, "--run.resume", str(stopped), steps=6)
    again = capsys.readouterr().err.strip().splitlines()[-1]
    assert again.replace(str(tmp_path / "again"), str(tmp_path / "run")) == line


def test_a_checkpoint_holds_what_trains_and_no_more(tmp_path):
    """Weights, and two moments each: 3 times the CPC in float32, and the same size however large the frozen model."""
    train_cpc(tmp_path / "run", "--optimizer.ema", "0", steps=1)
    size = sum(file.stat().st_size for file in (tmp_path / "run" / "checkpoint-000001").iterdir())
    controlnet = CpcControlNet.from_pretrained(tmp_path / "run" / "export")
    assert size <= 3.1 * 4 * sum(p.numel() for p in controlnet.parameters())
