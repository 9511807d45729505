"""What a CPC run says of held-out samples: figures recomputed by hand, footage, resuming, stopping."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from footage import film, manifest
from reads import unread_fields
from realis.commands.__main__ import run_train_cpc
from realis.commands.train_cpc import TrainCpcConfig
from realis.data.pairs import held_out_pairs
from realis.data.pairs_config import DataConfig
from realis.data.randomness import sample_generator
from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.hub import PRESETS
from realis.models.wan.loading import Wan
from realis.training.latents import LatentCodec
from training_runs import SMALL, refuses, train_cpc

MEASURED = ["--validation.every", "2", "--validation.samples", "3"]


def rows(folder):
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation") / "run"
    train_cpc(folder, *MEASURED, "--run.save-every", "2", "--run.seed", "5")
    return folder


@torch.no_grad()
def test_the_figures_are_those_of_what_the_model_samples(run):
    """From the weights of the checkpoint, held-out pairs and noise that no seed of a run changes."""
    wan = Wan(PRESETS / "tiny", torch.float32, torch.float32, "cpu")
    controlnet = CpcControlNet.from_transformer(wan.transformer, 3, window=(5, 32, 32), steps=2, sampler="unipc")
    weights = load_file(run / "checkpoint-000004" / "trained.safetensors")
    controlnet.load_state_dict({name.removeprefix("controlnet."): x for name, x in weights.items()})
    model, codec = ControlledWan(wan.transformer, controlnet, wan.encode_prompts([""])[0]), LatentCodec(wan.vae, "no")
    config = DataConfig(count=6, frames=5, size=32, cache=str(run.parent / "pairs"))
    found = []
    for number, batch in enumerate(held_out_pairs(config, 3, wan.vae).batches([range(n, n + 1) for n in range(3)])):
        batch, generator = codec.encode(batch), sample_generator(0, number, "noise")
        noise = torch.randn(1, *batch["lr_latents"].shape[1:], generator=generator)
        latents = model.sample(batch["lr_latents"], noise)
        errors = [(clip - batch["hr"]).square().mean() for clip in (codec.decode(latents), batch["lr_resized"])]
        ours, bicubic = (-10 * (error / 4).log10() for error in errors)
        sigma = torch.ones(1)
        loss = HrLoss(HrLossConfig(cell=2))(noise - latents, noise - batch["hr_latents"], noise, sigma)["loss"]
        found.append(torch.stack([ours, ours - bicubic, loss]))
    names = ("PSNR, dB", "gain over bicubic, dB", "HR-Loss")
    wanted = dict(zip(names, torch.stack(found).mean(0).tolist(), strict=True))
    assert rows(run)[-1] == {"step": 4} | {name: pytest.approx(x, abs=1e-3) for name, x in wanted.items()}
    assert [row["step"] for row in rows(run)] == [2, 4]


def test_a_run_that_goes_on_measures_what_is_missing_and_keeps_the_rest(run, tmp_path):
    """As after SIGTERM in the second step, which is answered before anything is measured."""
    shutil.copytree(run.parent / "pairs", tmp_path / "pairs")
    shutil.copytree(run / "checkpoint-000002", tmp_path / "run" / "checkpoint-000002")
    train_cpc(tmp_path / "run", *MEASURED, "--run.save-every", "2", "--run.seed", "5", "--run.resume", "latest")
    assert rows(tmp_path / "run") == rows(run)


def test_footage_is_measured_on_other_footage(tmp_path, capsys):
    """In clips of 80x48, as 1280x720 multiples of 16 and not of 32."""
    for i in range(3):
        film(tmp_path / f"{i}.mp4", frames=9, size=(64, 96), place=20 * i)
    clips, held_out = (
        str(manifest(tmp_path, [{"file_name": f"{i}.mp4"} for i in numbers], f"{name}.jsonl"))
        for name, numbers in (("clips", (0, 1)), ("held_out", (2,)))
    )
    flags = ["--clips.manifest", clips, "--clips.frames", "5", "--clips.buckets", "80x48", "--clips.workers", "0",
             "--controlnet.layers", "3", "--controlnet.steps", "1", "--loss.cell", "2", "--run.steps", "1", "--run.threads",
             "1", "--run.precision", "no", "--run.output", str(tmp_path / "run")]  # fmt: skip
    with unread_fields(TrainCpcConfig) as unread:
        run_train_cpc([*flags, "--validation.manifest", held_out])
    assert not {name for name in unread if not name.startswith(("DataConfig.", "TrainCpcConfig.data"))}  # test_train
    (row,) = rows(tmp_path / "run")
    assert row["step"] == 1 and row["HR-Loss"] > 0
    assert json.loads((tmp_path / "run" / "export" / "config.json").read_text())["window"] == [5, 48, 80]
    capsys.readouterr()
    refuses([*flags, "--validation.manifest", clips], capsys, "--validation.manifest", "trained on, too: 2")
    refuses([*flags, "--validation.manifest", held_out, "--validation.every", "0"], capsys, "--validation.every")
    refuses([*SMALL, "--validation.manifest", held_out], capsys, "--validation.manifest without --clips.manifest")
    (tmp_path / "run" / "validation.jsonl").write_text("{}\n")
    words = [*flags, "--validation.manifest", held_out, "--run.steps", "2", "--run.resume", "latest"]
    refuses(words, capsys, "validation.jsonl: cannot be read", "move it away")
