"""What a training run refuses before it starts, and how runs in one folder are kept apart."""

import importlib.util
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from realis.commands.__main__ import run_precompute, run_train_cpc, run_train_decoder, run_train_prior, run_train_tiny
from realis.commands.train_cpc import TrainCpcConfig
from realis.core.errors import InputError
from realis.data.caption_files import caption_key, embedding_file
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.hub import PRESETS
from realis.training.export import Card, _write
from realis.training.run_folder import checkpoints, claim_run, damage, held_alone, read_position
from realis.training.settings import LoopConfig
from training_runs import SMALL_CPC, assert_equal, exported, refuses, train_cpc


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
    refuses(["--data.degradations", "heavy"], capsys, "realbasicvsr")
    refuses(["--loss.filters", "bior2.2"], capsys, "orthogonal")
    refuses(["--data.size", "32"], capsys, "--loss.hog 0")
    refuses(["--controlnet.window", "10", "100", "100"], capsys, "--controlnet.window")
    refuses(["--controlnet.shift", "0"], capsys, "--controlnet.shift", "above 0")
    refuses(["--cpc", "realis-tiny", "--controlnet.steps", "4"], capsys, "--controlnet", "--cpc", "config.json")
    refuses(["--cpc", tmp_path], capsys, "config.json")
    own = tmp_path / "own" / "export"
    shutil.copytree(PRESETS / "tiny" / "controlnet", own)
    refuses(["--cpc", own, "--run.output", own.parent], capsys, "--export", "own", "--cpc")
    model = shutil.copytree(PRESETS / "tiny", tmp_path / "model")
    refuses(["--model", model, "--export", model / "transformer"], capsys, "--export", "a part of --model")
    refuses(["--export", tmp_path], capsys, "other things")
    refuses([*SMALL_CPC, "--run.output", tmp_path / "run", "--controlnet.layers", "5"], capsys, "never be read")
    run = [*SMALL_CPC, "--run.output", tmp_path / "run"]
    refuses([*run, "--run.resume", tmp_path / "checkpoint-000003"], capsys, "--run.resume", "checkpoint-000003")
    if not importlib.util.find_spec("wandb"):
        refuses([*run, "--run.tracker", "wandb"], capsys, "--run.tracker wandb", "pip install wandb")
    refuses([*run, "--run.sequence-parallel", "3"], capsys, "--run.sequence-parallel", "tokens")
    refuses([*run, "--run.sequence-parallel", "2"], capsys, "--run.sequence-parallel", "processes", "train/launch")
    checkpoint(tmp_path / "run" / "checkpoint-000002", 2)
    (tmp_path / "run" / "checkpoint-²").mkdir()  # not ours
    refuses(run, capsys, "earlier run", "--run.resume latest")
    refuses([*run, "--run.resume", "latest", "--run.steps", "1"], capsys, "--run.steps", "step 2")
    refuses([*run, "--run.resume", "latest"], capsys, "not those of this model")
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
    refuses(
        [*clips, "--clips.workers", "0", "--run.output", tmp_path / "run"],
        capsys,
        "clip.mp4",
        "too many cannot be read: 1",
    )


def test_a_model_that_reads_text_wants_embeddings(tmp_path, capsys):
    """Found out before torch is imported, by the model's folder alone."""
    model = tmp_path / "model"
    shutil.copytree(PRESETS / "tiny", model)
    (model / "text_encoder").mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"")
    (tmp_path / "clips.jsonl").write_text('{"file_name": "clip.mp4", "caption": "a clip"}\n')
    flags = ["--model", model, "--clips.manifest", tmp_path / "clips.jsonl"]
    refuses(flags, capsys, "train/precompute.py", "--clips.embeddings")
    refuses([*flags, "--clips.embeddings", tmp_path / "none"], capsys, "no embedding", "train/precompute.py")


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
    saved = tmp_path / "run" / "checkpoint-000001"
    for name in ("average", "optimizer"):  # averages are read first
        shutil.copyfile(saved / f"{name}.safetensors", tmp_path / "whole")
        save_file({"x": torch.zeros(2)}, saved / f"{name}.safetensors")
        with pytest.raises(SystemExit):
            train_cpc(tmp_path / "run", "--run.resume", "latest", steps=2)
        assert f"{name}.safetensors does not belong to the weights beside it" in capsys.readouterr().err
        shutil.copyfile(tmp_path / "whole", saved / f"{name}.safetensors")
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
        _write(part, tmp_path / "late", TrainCpcConfig(), Card("nothing"), "", lambda part, folder: None, {})
    assert (tmp_path / "late" / "notes.txt").read_text() == "precious"


def test_going_back_to_an_earlier_checkpoint_does_not_mix_runs(tmp_path, capsys):
    run = tmp_path / "run"
    train_cpc(run, "--run.save-every", "1", steps=2)
    first = ["--run.resume", str(run / "checkpoint-000001"), "--run.steps", "3"]
    refuses([*SMALL_CPC, *first, "--run.output", run], capsys, "later checkpoints (checkpoint-000002)", "--run.output")
    (tmp_path / "other" / "checkpoint-000001").mkdir(parents=True)
    refuses([*SMALL_CPC, *first, "--run.output", tmp_path / "other"], capsys, "other checkpoints (checkpoint-000001)")
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
    assert "samples a step: 2 before, 4 now" in capsys.readouterr().err


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


def test_a_folder_in_which_another_process_writes_is_refused(tmp_path, capsys):
    """By every command that trains or precomputes; before torch is imported."""
    (tmp_path / "clip.mp4").write_bytes(b"")
    (tmp_path / "clips.jsonl").write_text('{"file_name": "clip.mp4"}\n')
    run, taken = tmp_path / "run", "another process is writing there; wait until it has ended, or choose another"
    prior = ["--export", str(tmp_path / "transformer"), "--run.output", str(run)]
    latents = ["--clips.manifest", str(tmp_path / "clips.jsonl"), "--clips.latents", str(run)]
    with held_alone(run, "--run.output"), held_alone(tmp_path / "tiny_runs", "--output"):
        for command, words, flag in (
            (run_train_cpc, [*SMALL_CPC, "--run.output", str(run)], "--run.output"),
            (run_train_prior, prior, "--run.output"),
            (run_precompute, latents, "--clips.latents"),
            (run_train_tiny, ["--output", str(tmp_path / "tiny")], "--output"),
        ):
            with pytest.raises(SystemExit) as stop:
                command(words)
            line = capsys.readouterr().err.strip().splitlines()[-1]
            assert stop.value.code == 2 and f"{flag} {tmp_path}" in line and f"{taken} {flag}" in line


def test_an_export_that_another_run_will_write_is_refused(tmp_path, capsys):
    """Whatever folder that run is in; also the second export of a decoder."""
    taken, link, model = tmp_path / "taken", tmp_path / "link", PRESETS / "tiny"
    link.symlink_to(taken)
    words = [*SMALL_CPC, "--run.output", tmp_path / "two", "--export"]
    decoder = ["--model", model, "--cpc", model, "--run.output", tmp_path / "two", "--export-cpc"]
    with claim_run(LoopConfig(output=str(tmp_path / "one")), {"--export": str(taken)}):
        for export in (taken, link):
            refuses([*words, export], capsys, f"--export {export}: another process is writing there")
        with pytest.raises(SystemExit):
            run_train_decoder([str(word) for word in (*decoder, taken)])
        assert f"--export-cpc {taken}: another process" in capsys.readouterr().err.splitlines()[-1]
    with claim_run(LoopConfig(output=str(tmp_path / "two")), {"--export": str(taken)}):
        pass


def test_a_process_that_outlives_the_run_does_not_hold_its_folder(tmp_path):
    """As those that read clips may, for seconds, after SIGKILL."""
    reading, writing = os.pipe()
    ready, begun = os.pipe()
    with held_alone(tmp_path, "--run.output"):
        child = os.fork()
        if not child:
            os.write(begun, b"x")
            os.close(writing)
            os.read(reading, 1)  # until the parent closes the other end
            os._exit(0)
        os.read(ready, 1)
    with held_alone(tmp_path, "--run.output"):
        pass
    os.close(writing)
    os.waitpid(child, 0)
    for end in (reading, ready, begun):
        os.close(end)


def checkpoint(folder, step):
    """Files of a checkpoint of something small."""
    folder.mkdir(parents=True)
    names = [f"{name}.safetensors" for name in ("average", "trained", "optimizer")[: 2 + bool(step)]]
    for name in names:
        save_file({"weight": torch.zeros(9)}, folder / name)
    (folder / "state.json").write_text(json.dumps({"step": step, "samples_per_step": 1, "files": names}))
    return folder


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        ("trained.safetensors", truncate, "trained.safetensors is damaged"),
        ("optimizer.safetensors", lambda file: file.write_bytes(b""), "optimizer.safetensors is empty"),
        ("optimizer.safetensors", lambda file: file.unlink(), "optimizer.safetensors is missing"),
        ("average.safetensors", lambda file: file.write_bytes(b"x"), "average.safetensors is damaged"),
        ("average.safetensors", lambda file: file.unlink(), "average.safetensors is missing"),
        ("state.json", lambda file: file.write_bytes(b"\xff"), "state.json is damaged"),
        ("state.json", lambda file: file.write_text('{"step": -1, "samples_per_step": 1}'), "wanted 0 or more"),
        ("state.json", lambda file: file.write_text('{"step": true, "samples_per_step": 1}'), "state.json is damaged"),
        ("state.json", lambda file: file.write_text("[]"), "got list, wanted an object"),
        ("state.json", truncate, "state.json is damaged"),
        ("state.json", lambda file: file.write_text("[" * 100_000), "state.json is damaged"),
        ("state.json", lambda file: file.write_text('{"step": 1e999, "samples_per_step": 1}'), "state.json is damaged"),
        ("state.json", lambda file: file.unlink(), "state.json is damaged"),
        ("state.json", lambda file: (file.unlink(), file.mkdir()), "state.json is damaged"),
    ],
)
def test_damage_to_a_checkpoint_is_seen_without_reading_it(tmp_path, name, harm, said):
    whole, start = checkpoint(tmp_path / "checkpoint-000002", 2), checkpoint(tmp_path / "checkpoint-000000", 0)
    assert damage(whole) == damage(start) == ""
    harm(whole / name)
    assert said in damage(whole)


def test_the_latest_checkpoint_is_the_newest_that_is_whole(tmp_path, capsys):
    run, before = tmp_path / "run", tmp_path / "before"
    train_cpc(run, "--run.save-every", "1", "--run.keep", "9", steps=3)
    whole = exported(run)
    shutil.copytree(run / "checkpoint-000001", before / "checkpoint-000001")
    for step, name in ((2, "optimizer"), (3, "trained")):
        truncate(run / f"checkpoint-00000{step}" / f"{name}.safetensors")
    damaged = ["--run.output", run, "--run.resume", run / "checkpoint-000003"]
    refuses([*SMALL_CPC, *damaged], capsys, "checkpoint-000003: damaged (trained.safetensors", "--run.resume latest")
    train_cpc(run, "--run.save-every", "1", "--run.keep", "1", "--run.resume", "latest", steps=3)
    said = capsys.readouterr().err
    assert "checkpoint-000003.damaged, going on without it" in said and "going on from " in said
    assert_equal(whole, exported(run))
    assert {p.name for p in run.glob("checkpoint-*")} == {
        "checkpoint-000002.damaged", "checkpoint-000003", "checkpoint-000003.damaged",
    }  # fmt: skip

    # None is whole: the run begins anew
    truncate(before / "checkpoint-000001" / "state.json")
    train_cpc(before, "--run.resume", "latest", steps=1)
    written = {file.name for file in (before / "checkpoint-000001").iterdir()}
    assert written == {*read_position(before / "checkpoint-000001").files, "state.json"} and len(written) == 4
    assert "going on from the start" in capsys.readouterr().err


def test_weights_that_are_not_finite_are_not_trained_on(tmp_path, capsys):
    cpc = tmp_path / "cpc"
    shutil.copytree(PRESETS / "tiny" / "controlnet", cpc)
    tensors = load_file(cpc / "diffusion_pytorch_model.safetensors")
    tensors["proj_out.1.bias"][3] = float("inf")
    save_file(tensors, cpc / "diffusion_pytorch_model.safetensors")
    words = [*SMALL_CPC, "--cpc", cpc, "--run.output", tmp_path / "run"]
    refuses(words, capsys, f"{cpc}", "proj_out.1.bias has values that are not finite")
