"""Training: the same run whatever is interrupted, split or accumulated; what it writes opens again."""

import importlib.util
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from realis.commands.__main__ import run_train_cpc, run_train_decoder, run_train_prior, run_train_vae
from realis.commands.train_cpc import TrainCpcConfig
from realis.errors import InputError
from realis.models.cpc_controlnet import CpcControlNet
from realis.training.caption_files import caption_key, embedding_file
from realis.training.export import _write
from realis.training.loop import learning_rate
from realis.training.processes import Processes
from realis.training.run import Run
from realis.training.run_folder import checkpoints
from realis.training.settings import CpcLoopConfig, OptimizerConfig

SMALL = ["--data.count", "6", "--data.frames", "5", "--data.size", "32", "--run.threads", "1", "--run.precision", "no"]
SMALL_CPC = [*SMALL, "--loss.cell", "2"]


def train(run, folder, *flags, steps=4):
    run(
        [
            *SMALL,
            "--data.cache",
            str(folder.parent / "pairs"),
            "--run.output",
            str(folder),
            "--run.steps",
            str(steps),
            *flags,
        ]
    )


def train_cpc(folder, *flags, steps=4):
    static = [
        "--loss.cell",
        "2",
        "--controlnet.layers",
        "3",
        "--optimizer.lr",
        "1e-3",
        "--optimizer.ema",
        "0.9",
        "--run.batch",
        "2",
    ]
    train(run_train_cpc, folder, *static, *flags, steps=steps)


def exported(folder):
    return load_file(folder / "export" / "diffusion_pytorch_model.safetensors")


def assert_equal(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


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


def kill_training():
    file = Path(__file__).parents[2] / "benchmarks" / "kill_training.py"
    spec = importlib.util.spec_from_file_location("kill_training", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    """SIGKILL in the first saving, in a later one while an old checkpoint is being removed, and while training."""
    kill, steps = kill_training(), 6
    manifest, whole = kill.make_footage(tmp_path), tmp_path / "whole"
    began = time.perf_counter()
    operations = kill.count_operations(manifest, whole, steps)
    seconds = time.perf_counter() - began
    for i, share in enumerate((0.1, 0.75)):
        kill.killed_at_operation(manifest, tmp_path / f"run{i}", steps, int(share * operations))
        kill.finish(manifest, tmp_path / f"run{i}", steps)
        assert kill.differences(whole, tmp_path / f"run{i}", steps) == []
    kill.killed_after(manifest, tmp_path / "run", steps, seconds / 2)
    kill.finish(manifest, tmp_path / "run", steps)
    assert kill.differences(whole, tmp_path / "run", steps) == []


def test_accumulation_equals_one_large_batch(tmp_path):
    train_cpc(tmp_path / "large", "--run.batch", "4", steps=2)
    train_cpc(tmp_path / "accumulated", "--run.batch", "1", "--run.accumulation", "4", steps=2)
    assert_same_training(tmp_path / "large", tmp_path / "accumulated")


def test_what_a_run_writes(tmp_path):
    train_cpc(tmp_path / "run", "--run.save-every", "1", "--run.keep", "2", "--run.sample-every", "2")
    run = tmp_path / "run"
    assert sorted(p.name for p in run.glob("checkpoint-*")) == ["checkpoint-000003", "checkpoint-000004"]
    assert (run / "samples" / "step-000002.png").is_file()
    assert list((run / "tensorboard").glob("events*"))
    trained = load_file(run / "checkpoint-000004" / "trained.safetensors")
    assert all(name.startswith("controlnet.") for name in trained)  # no frozen weight in it
    controlnet = CpcControlNet.from_pretrained(run / "export")
    assert controlnet.config.num_layers == 3
    assert any(p.any() for p in controlnet.proj_out.parameters())
    assert "realis-tiny" in (run / "export" / "README.md").read_text()
    again = tmp_path / "again"
    run_train_cpc([str(run / "config.yaml"), "--run.output", str(again)])
    assert_equal(exported(run), exported(again))


def test_the_four_parts_build_a_model_that_upscales(tmp_path):
    model = tmp_path / "model"
    train(run_train_vae, tmp_path / "vae", "--export", str(model / "vae"), steps=2)
    train(run_train_prior, tmp_path / "prior", "--model", str(model), "--export", str(model / "transformer"), steps=2)
    train_cpc(tmp_path / "cpc", "--model", str(model), "--export", str(model / "controlnet"), steps=2)
    train(
        run_train_decoder, tmp_path / "decoder", "--model", str(model), "--cpc", str(model / "controlnet"),
        "--export", str(model / "lr_decoder"), steps=2,
    )  # fmt: skip
    from realis.upscaling.cpc import CpcPipeline, Sampling

    pipeline = CpcPipeline.from_pretrained(model, torch_dtype=torch.float32)
    lr, prompt = torch.zeros(1, 3, 5, 32, 32), torch.zeros(1, 1, 32)
    restored = pipeline(lr, torch.randn(1, 16, 2, 4, 4), prompt, prompt, Sampling())
    assert restored.shape == lr.shape and restored.isfinite().all()


def test_the_encoder_starts_at_principal_components():
    """Untrained, its latents are white and decode linearly to about what the best 16 of 192 components give."""
    import numpy as np
    from diffusers import AutoencoderKLWan

    from realis.models.wan import encode_video
    from realis.training.pca_init import initialise_encoder
    from realis.video.photographs import training_clip

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


def test_schedule():
    config = OptimizerConfig(warmup=4, final_lr=0.5)
    assert [learning_rate(step, 10, config) for step in (0, 3)] == pytest.approx([0.25, 0.85])
    assert learning_rate(10, 10, config) == pytest.approx(0.5)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_uses_the_same_samples_for_any_split(world, accumulation):
    config = CpcLoopConfig(batch=8 // world // accumulation, accumulation=accumulation)
    runs = [Run(None, Processes(row, world), TrainCpcConfig(run=config)) for row in range(world)]
    numbers = [n for run in runs for micro in range(accumulation) for n in run.sample_numbers(5, micro)]
    assert sorted(numbers) == list(range(40, 48))
    assert runs[0].samples_per_step == 8


def refuses(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run_train_cpc([str(a) for a in arguments])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(word) in line for word in words), line


def test_bad_input(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    recipe = tmp_path / "recipe.yaml"
    refuses(["--run.stepps", "3"], capsys, "stepps")
    refuses(["--run.steps", "0"], capsys, "--run.steps")
    refuses(["--data.frames", "6"], capsys, "4 n + 1")
    refuses(["--model", tmp_path / "none"], capsys, "none")
    refuses(["--model", tmp_path], capsys, "config.json")
    refuses(["--run.output", tmp_path / "file" / "run"], capsys, "cannot be written")
    recipe.write_text("run: {steps: 2\n")
    refuses([recipe], capsys, "recipe.yaml", "YAML")
    recipe.write_text("- 3\n")
    refuses([recipe], capsys, "list")
    recipe.write_text("")
    refuses([recipe], capsys, "got nothing")
    recipe.write_text("run: {steps: 3, steps: 4}\n")
    refuses([recipe], capsys, "'steps' is there twice")
    recipe.write_text("rnu: {}\n")
    refuses([recipe], capsys, "rnu", "no value")
    recipe.write_text("run: {speed: 2}\n")
    refuses([recipe], capsys, "speed")
    refuses(["--run.seed", "-1"], capsys, "--run.seed")
    refuses(["--data.scales", "200"], capsys, "--data.scales")
    refuses(["--data.degradation", "heavy"], capsys, "realbasicvsr")
    refuses(["--loss.filters", "bior2.2"], capsys, "orthogonal")
    refuses(["--data.size", "32"], capsys, "--loss.hog 0")
    refuses(["--controlnet.window", "10", "100", "100"], capsys, "--controlnet.window")
    refuses(["--export", tmp_path], capsys, "other things")
    refuses([*SMALL_CPC, "--run.output", tmp_path / "run", "--controlnet.layers", "5"], capsys, "never be read")
    run = [*SMALL_CPC, "--run.output", tmp_path / "run"]
    refuses([*run, "--run.resume", tmp_path / "checkpoint-000003"], capsys, "--run.resume", "checkpoint-000003")
    if not importlib.util.find_spec("wandb"):
        refuses([*run, "--run.tracker", "wandb"], capsys, "--run.tracker wandb", "pip install wandb")
    refuses([*run, "--run.sequence-parallel", "3"], capsys, "--run.sequence-parallel", "tokens")
    refuses([*run, "--run.sequence-parallel", "2"], capsys, "--run.sequence-parallel", "processes", "train/launch")
    earlier = tmp_path / "run" / "checkpoint-000002"
    earlier.mkdir(parents=True)
    (earlier / "state.json").write_text('{"step": 2, "samples_per_step": 1}')
    refuses(run, capsys, "earlier run", "--run.resume latest")
    refuses([*run, "--run.resume", "latest", "--run.steps", "1"], capsys, "--run.steps", "step 2")
    refuses([*run, "--run.resume", "latest"], capsys, "trained.safetensors")
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    refuses([*SMALL_CPC, "--run.output", tmp_path / "other"], capsys, "MASTER_ADDR", "WORLD_SIZE")
    monkeypatch.delenv("MASTER_ADDR")


def test_bad_footage(tmp_path, capsys):
    (tmp_path / "clip.mp4").write_bytes(b"")
    (tmp_path / "clips.jsonl").write_text('{"file_name": "clip.mp4", "caption": "a clip"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "gone.jsonl").write_text('{"file_name": "gone.mp4"}\n')
    clips = ["--clips.manifest", tmp_path / "clips.jsonl"]
    refuses(["--clips.manifest", tmp_path / "none.jsonl"], capsys, "none.jsonl", "nothing there")
    refuses(["--clips.manifest", tmp_path / "empty.jsonl"], capsys, "empty.jsonl", "no rows")
    refuses(["--clips.manifest", tmp_path / "gone.jsonl"], capsys, "gone.mp4", "missing")
    refuses([*clips, "--clips.buckets", "100x64"], capsys, "--clips.buckets", "multiples of 32")
    refuses([*clips, "--clips.buckets", "32x32"], capsys, "--loss.hog 0")
    refuses([*clips, "--clips.embeddings", tmp_path], capsys, "no embedding", "train/precompute.py")
    for caption in ("", "a clip"):
        key = caption_key(caption)
        save_file({key: torch.zeros(1, 8)}, embedding_file(tmp_path, key))
    refuses([*clips, "--clips.embeddings", tmp_path], capsys, "knows no text")
    refuses(
        [*clips, "--clips.latents", tmp_path / "none", "--run.output", tmp_path / "run"], capsys, "train/precompute.py"
    )
    refuses([*clips, "--data.count", "3"], capsys, "--data", "--clips.manifest", "wanted one")
    refuses(["--clips.workers", "0"], capsys, "--clips.manifest")
    refuses([*clips, "--clips.caption-dropout", "0.5"], capsys, "--clips.caption-dropout", "--clips.embeddings")
    refuses([*clips, "--clips.workers", "0", "--run.output", tmp_path / "run"], capsys, "clip.mp4", "1 of 1")


def test_a_model_that_reads_text_wants_embeddings(tmp_path, capsys):
    """Found out before torch is imported, by the model's folder alone."""
    from realis.models.hub import PRESETS

    model = tmp_path / "model"
    shutil.copytree(PRESETS / "tiny", model)
    (model / "text_encoder").mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"")
    (tmp_path / "clips.jsonl").write_text('{"file_name": "clip.mp4", "caption": "a clip"}\n')
    flags = ["--model", model, "--clips.manifest", tmp_path / "clips.jsonl"]
    refuses(flags, capsys, "train/precompute.py", "--clips.embeddings")
    refuses([*flags, "--clips.embeddings", tmp_path / "none"], capsys, "no embedding", "train/precompute.py")


@pytest.mark.slow
def test_bare_command_runs_the_debug_recipe(tmp_path):
    import subprocess

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


def test_a_run_that_was_killed_before_its_export_only_exports(tmp_path):
    train_cpc(tmp_path / "run", steps=2)
    before = exported(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "export")
    train_cpc(tmp_path / "run", "--run.resume", "latest", steps=2)
    assert_equal(before, exported(tmp_path / "run"))


def test_a_failed_resume_leaves_the_configuration(tmp_path, capsys):
    train_cpc(tmp_path / "run", steps=1)
    before = (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(SystemExit):
        train_cpc(tmp_path / "run", "--run.resume", "latest", "--controlnet.layers", "2", steps=2)
    assert "not those of this model" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    train_cpc(tmp_path / "plain", "--optimizer.ema", "0", steps=1)
    before = (tmp_path / "plain" / "config.yaml").read_text()
    with pytest.raises(SystemExit):
        train_cpc(tmp_path / "plain", "--run.resume", "latest", steps=2)
    assert "no averaged weights" in capsys.readouterr().err
    assert (tmp_path / "plain" / "config.yaml").read_text() == before


def test_an_export_does_not_take_the_place_of_anything_else(tmp_path, capsys):
    run = [*SMALL_CPC, "--run.output", tmp_path / "out" / "run"]
    for export in (tmp_path / "out" / "run", tmp_path / "out", tmp_path):
        refuses([*run, "--export", export], capsys, "--export", "choose")
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "notes.txt").write_text("precious")
    part = CpcControlNet((1, 2, 2), 2, 12, 16, 32, num_layers=1, num_main_layers=2)
    with pytest.raises(InputError, match="other things"):
        _write(part, tmp_path / "late", TrainCpcConfig(), "nothing")
    assert (tmp_path / "late" / "notes.txt").read_text() == "precious"


def test_going_back_to_an_earlier_checkpoint_does_not_mix_runs(tmp_path, capsys):
    run = tmp_path / "run"
    train_cpc(run, "--run.save-every", "1", steps=2)
    first = ["--run.resume", str(run / "checkpoint-000001"), "--run.steps", "3"]
    refuses([*SMALL_CPC, *first, "--run.output", run], capsys, "later checkpoints (checkpoint-000002)", "--run.output")
    (tmp_path / "other" / "checkpoint-000001").mkdir(parents=True)
    refuses([*SMALL_CPC, *first, "--run.output", tmp_path / "other"], capsys, "other checkpoints (checkpoint-000001)")
    (tmp_path / "other" / "checkpoint-000001" / "state.json").write_text("{")
    refuses([*SMALL_CPC, "--run.output", tmp_path / "other", "--run.resume", "latest"], capsys, "state.json")
    train_cpc(tmp_path / "branch", *first, steps=3)
    assert {p.name for p in run.glob("checkpoint-*")} == {"checkpoint-000001", "checkpoint-000002"}
    assert (tmp_path / "branch" / "checkpoint-000003").is_dir()


def test_checkpoints_are_ordered_by_number(tmp_path):
    for step in (999_999, 1_000_000, 5):
        (tmp_path / f"checkpoint-{step:06d}").mkdir()
    assert [int(c.name[11:]) for c in checkpoints(tmp_path)] == [5, 999_999, 1_000_000]


def test_another_number_of_samples_a_step_is_said(tmp_path, capsys):
    train_cpc(tmp_path / "run", steps=1)
    train_cpc(tmp_path / "run", "--run.resume", "latest", "--run.accumulation", "2", steps=2)
    assert "a step had 2 samples and now has 4" in capsys.readouterr().err


def test_what_a_killed_run_left_behind_is_removed(tmp_path):
    for name in (".checkpoint-000009.tmp", ".checkpoint-000001.old"):
        (tmp_path / "run" / name).mkdir(parents=True)
    train_cpc(tmp_path / "run", steps=1)
    assert not list((tmp_path / "run").glob(".checkpoint-*"))


def test_other_settings_on_resume_are_said(tmp_path, capsys):
    train_cpc(tmp_path / "run", steps=1)
    train_cpc(tmp_path / "run", "--run.resume", "latest", "--loss.hog", "0", steps=2)
    said = capsys.readouterr().err
    assert "resumed with other settings: loss.hog 1.0 -> 0.0, run.steps 1 -> 2" in said
