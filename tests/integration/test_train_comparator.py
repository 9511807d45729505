"""Training of comparators: the x4 upscaler over a VAE of its own, on pairs of native LR."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gloo import in_processes
from realis.commands.__main__ import run_train_comparator, run_train_image_vae
from realis.models.sd_x4.files import check_sd_x4
from training_runs import assert_equal

FEW = ["--data.frames", "2", "--data.crop", "8", "--data.count", "4", "--run.threads", "1", "--run.precision", "no",
       "--run.tracker", "none"]  # fmt: skip
NEW = ["--sd-x4.widths", "8", "8", "--sd-x4.most-noise", "30", "--sd-x4.steps", "2"]
TRAINED = "checkpoint-000004/trained.safetensors"  # in float32
WEIGHTS = "export/unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a VAE, trained for two steps."""
    folder = tmp_path_factory.mktemp("model")
    train_vae(folder)
    return folder


def train_vae(folder, *flags):
    run_train_image_vae([*FEW, "--widths", "12", "16", "20", "--data.cache", "", "--run.output", str(folder / "run"),
                         "--run.steps", "2", "--run.save-every", "1", "--export", str(folder / "vae"), *flags])  # fmt: skip


def train(model, folder, *flags, steps=4, batch=2):
    run_train_comparator([
        *FEW, *NEW, "--sd-x4.model", str(model), "--data.cache", str(model / "pairs"), "--run.output", str(folder),
        "--run.steps", str(steps), "--run.batch", str(batch), "--run.save-every", "2", "--optimizer.lr", "1e-3",
        "--validation.every", "2", "--validation.samples", "2", *flags,
    ])  # fmt: skip
    return load_file(folder / WEIGHTS)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """A run of four steps, and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(model, folder)


def test_the_export_is_a_whole_model(model, whole):
    folder, weights = whole
    facts = check_sd_x4(folder / "export")
    assert (facts.channels, facts.noise_levels, facts.multiple, facts.steps) == (4, 31, 2, 2)
    card = (folder / "export/README.md").read_text()
    assert "license: apache-2.0" in card and "scikit-image" in card and "UNet2DConditionModel" in card
    assert_equal(load_file(folder / "export/vae/diffusion_pytorch_model.safetensors"),
                 load_file(model / "vae/diffusion_pytorch_model.safetensors"))  # fmt: skip
    assert weights["conv_in.weight"].shape == (8, 7, 3, 3)


def test_it_is_measured_on_the_way_beside_bicubic(whole):
    rows = [json.loads(line) for line in (whole[0] / "validation.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert (whole[0] / "validation.png").is_file()
    restored, gains = ([row[name] for row in rows] for name in ("PSNR, dB", "gain over bicubic, dB"))
    assert restored[0] != restored[1]  # the network has moved
    assert restored[0] - gains[0] == pytest.approx(restored[1] - gains[1], abs=1e-3)  # bicubic, of the same clips


def test_it_resumes_to_the_bit(model, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "again")
    shutil.rmtree(tmp_path / "again/checkpoint-000004")
    assert_equal(train(model, tmp_path / "again", "--run.resume", "latest"), whole[1])
    assert_equal(*(load_file(folder / TRAINED) for folder in (tmp_path / "again", whole[0])))


def test_two_processes_take_the_steps_of_one(model, whole, tmp_path):
    in_processes(lambda: train(model, tmp_path / "two", batch=1))
    one, two = (load_file(folder / TRAINED) for folder in (whole[0], tmp_path / "two"))
    assert all(torch.allclose(two[name], x, atol=1e-5) for name, x in one.items())


def test_a_model_is_trained_on_from_its_weights(model, whole, tmp_path):
    on = ["--sd-x4.model", str(whole[0] / "export"), *FEW, "--data.cache", str(model / "pairs"), "--run.batch", "1",
          "--run.steps", "1", "--optimizer.lr", "1e-30", "--validation.every", "0", "--sd-x4.most-noise", "30",
          "--run.output", str(tmp_path)]  # fmt: skip
    run_train_comparator(on)
    assert_equal(load_file(tmp_path / WEIGHTS), whole[1])
    assert check_sd_x4(tmp_path / "export") == check_sd_x4(whole[0] / "export")
    card = (tmp_path / "export/README.md").read_text()
    assert "license: other" in card and f"**Base model**: {whole[0] / 'export'}" in card


def test_a_model_with_a_text_encoder_keeps_it(model, sd_x4_folder, tmp_path):
    run_train_comparator(["--sd-x4.model", str(sd_x4_folder), *FEW, "--data.cache", str(model / "pairs"), "--run.steps", "1",
                          "--run.batch", "1", "--validation.every", "0", "--run.output", str(tmp_path)])  # fmt: skip
    files = {str(file.relative_to(sd_x4_folder)) for file in sd_x4_folder.rglob("*") if file.is_file()}
    assert files <= {str(file.relative_to(tmp_path / "export")) for file in (tmp_path / "export").rglob("*")}
    assert check_sd_x4(tmp_path / "export") == check_sd_x4(sd_x4_folder)


def test_footage_is_named_in_the_card(model, tmp_path):
    """Folders of frames, trained on and measured on."""
    rng = np.random.default_rng(0)
    for clip in ("trained/a", "trained/b", "held_out/c"):
        (tmp_path / clip).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / clip / f"{i:08d}.png")
    footage = ["--data.frames", "2", "--data.crop", "8", "--data.manifest", str(tmp_path / "trained"), "--data.workers", "0",
               "--run.steps", "1", "--run.precision", "no", "--run.tracker", "none"]  # fmt: skip
    run_train_image_vae([*footage, "--widths", "12", "16", "20", "--run.output", str(tmp_path / "vae_run"),
                         "--export", str(tmp_path / "vae")])  # fmt: skip
    run_train_comparator([*footage, *NEW, "--sd-x4.model", str(model), "--validation.manifest", str(tmp_path / "held_out"),
                          "--run.output", str(tmp_path / "run")])  # fmt: skip
    for card in (tmp_path / "vae/README.md", tmp_path / "run/export/README.md"):
        assert "footage (trained, clips: 2), degraded by bi" in card.read_text()
    assert len((tmp_path / "run/validation.jsonl").read_text().splitlines()) == 1


def test_an_image_vae_resumes_to_the_bit(model, tmp_path):
    shutil.copytree(model / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoint-000002")
    train_vae(tmp_path, "--run.resume", "latest")
    assert_equal(*(load_file(folder / "vae/diffusion_pytorch_model.safetensors") for folder in (model, tmp_path)))
    assert_equal(*(load_file(folder / "run/checkpoint-000002/trained.safetensors") for folder in (model, tmp_path)))


def refuses(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run_train_comparator([str(a) for a in arguments])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(word) in line for word in words), line


def test_what_cannot_be_trained_is_refused(model, whole, tmp_path, capsys):
    refuses(["--method", "cpc"], capsys, "--method", "sd_x4")
    refuses(["--sd-x4.model", model], capsys, "unet")
    own = ["--sd-x4.model", whole[0] / "export", "--sd-x4.most-noise", "30"]
    refuses([*own, "--export", whole[0] / "export"], capsys, "--export", "of its own")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("precious")
    refuses([*own, "--export", tmp_path / "taken"], capsys, "--export", "other things")
    assert (tmp_path / "taken/notes.txt").read_text() == "precious"
    refuses(["foo"], capsys, "'foo' without a flag")
    refuses([*own, "--sd-x4.noise-level", "20"], capsys, "--sd-x4.noise-level", "--sd-x4.widths")
    refuses([*own, "--sd-x4.steps", "3"], capsys, "--sd-x4.steps", "--sd-x4.widths")
    refuses(["--validation.manifest", "x.csv", "--validation.every", "0"], capsys, "--validation.every")
    refuses([*NEW, "--sd-x4.widths", "12"], capsys, "--sd-x4.widths", "multiples of 8")
    refuses(["--validation.manifest", "x.csv"], capsys, "--validation.manifest")
    refuses([*own[:2], "--sd-x4.most-noise", "31"], capsys, "--sd-x4.most-noise", "30")
