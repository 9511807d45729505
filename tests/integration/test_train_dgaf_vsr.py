"""Training of DGAF-VSR's guiding U-Net over a small upscaler: what is exported, resuming, and what is refused. What it shares
with StableVSR's training is tested there."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from reads import unread_fields
from realis.commands.__main__ import run_train_comparator
from realis.commands.train_comparator import parse_train_comparator, train_comparator
from realis.comparators.dgaf_vsr.config import DgafVsrConfig
from realis.comparators.dgaf_vsr.method import METHOD
from realis.comparators.dgaf_vsr.training_config import DgafVsrTrainingConfig
from realis.upscaler import Placement
from training_runs import assert_equal

FEW = ["--method", "dgaf_vsr", "--data.frames", "2", "--data.crop", "8", "--data.count", "4", "--run.threads", "1",
       "--run.precision", "no", "--run.tracker", "none"]  # fmt: skip
UNMEASURED = ["--validation.every", "0"]
WEIGHTS = "export/guiding_unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def model(sd_x4_folder, tmp_path_factory):
    """The small upscaler, which samples in two steps."""
    folder = shutil.copytree(sd_x4_folder, tmp_path_factory.mktemp("model") / "model")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"steps": 2}))
    return folder


def words(model, folder, *flags, steps=4):
    return [
        *FEW, "--dgaf-vsr.model", str(model), "--data.cache", str(model.parent / "pairs"), "--run.output", str(folder),
        "--run.steps", str(steps), "--run.batch", "1", "--run.save-every", "2", "--optimizer.lr", "1e-3", *flags,
    ]  # fmt: skip


def train(model, folder, *flags, steps=4):
    run_train_comparator(words(model, folder, *UNMEASURED, *flags, steps=steps))
    return load_file(folder / WEIGHTS)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """A run of four steps, its weights, and the flags that it did not read."""
    folder = tmp_path_factory.mktemp("whole")
    flags = ["--validation.every", "2", "--validation.samples", "1"]
    config = parse_train_comparator(words(model, folder, *flags))
    with unread_fields(DgafVsrTrainingConfig) as unread:
        train_comparator(config)
    return folder, load_file(folder / WEIGHTS), unread


def loaded(model, **flags):
    return METHOD.load(DgafVsrConfig(model=str(model), steps=2, **flags), Placement(), [""])


def test_the_export_is_a_network_for_the_model(model, whole):
    folder, weights, unread = whole
    assert unread == set()
    assert [path.name for path in (folder / "export").iterdir() if path.is_dir()] == ["guiding_unet"]
    assert_equal(loaded(model, guiding_unet=str(folder / "export")).guiding.state_dict(), weights)
    zeros = [tensor for name, tensor in weights.items() if name.startswith("zero_convs")]
    assert len(zeros) == 20 and all(tensor.abs().max() > 0 for tensor in zeros)
    card = (folder / "export/README.md").read_text()
    assert f"**Base model**: {model}" in card and "GuidingUNet" in card


def test_it_is_measured_on_the_way(whole):
    rows = [json.loads(line) for line in (whole[0] / "validation.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert rows[0]["PSNR, dB"] != rows[1]["PSNR, dB"]  # the network has moved


def test_it_resumes_to_the_bit(model, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "again")
    shutil.rmtree(tmp_path / "again/checkpoint-000004")
    flags = ["--validation.every", "2", "--validation.samples", "1", "--run.resume", "latest"]
    run_train_comparator(words(model, tmp_path / "again", *flags))
    for name in (WEIGHTS, "checkpoint-000004/trained.safetensors"):  # the latter in float32
        assert_equal(*(load_file(folder / name) for folder in (tmp_path / "again", whole[0])))


def test_a_network_is_trained_on_from_its_weights(model, whole, tmp_path):
    flags = ["--dgaf-vsr.guiding-unet", str(whole[0] / "export"), "--optimizer.lr", "1e-30"]
    assert_equal(train(model, tmp_path, *flags, steps=1), whole[1])
    assert f"**Base model**: {whole[0] / 'export'}" in (tmp_path / "export/README.md").read_text()


def test_a_network_without_noise_levels_is_trained_from_one_that_has_them(model, whole, tmp_path):
    flags = ["--dgaf-vsr.guiding-unet", str(whole[0] / "export"), "--dgaf-vsr.most-noise", "off"]
    weights = train(model, tmp_path, *flags, steps=1)
    assert whole[1].keys() - weights.keys() == {"unet.class_embedding.weight"}
    config = json.loads((tmp_path / "export/guiding_unet/config.json").read_text())
    assert config["unet_config"]["num_class_embeds"] is None
    for level in ("off", "auto"):  # a network with levels takes one without
        guiding = loaded(model, guiding_unet=str(tmp_path / "export"), noise_level=level).guiding
        assert guiding.unet.class_embedding is None


def test_a_new_network_may_be_smaller(model, whole, tmp_path):
    flags = ["--dgaf-vsr.no-guide-attention", "--dgaf-vsr.encoder-only", "--dgaf-vsr.most-noise", "off"]
    weights = train(model, tmp_path, *flags, steps=1)
    guiding = loaded(model, guiding_unet=str(tmp_path / "export")).guiding
    assert_equal(guiding.state_dict(), weights)
    assert guiding.config.encoder_only and len(guiding.zero_convs) == 5
    assert not any("attentions" in name or "up_blocks" in name or "class_embedding" in name for name in weights)
    assert {"attentions", "up_blocks", "class_embedding"} <= {part for name in whole[1] for part in name.split(".")}


# Refusals


def refuses(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run_train_comparator(["--method", "dgaf_vsr", *map(str, arguments)])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(word) in line for word in words), line


def test_what_cannot_be_trained_is_refused(model, whole, capsys):
    guiding, own = ["--dgaf-vsr.guiding-unet", whole[0] / "export"], ["--dgaf-vsr.model", model]
    for flag, value in (("no-guide-attention", False), ("encoder-only", True)):
        named = flag.removeprefix("no-")
        said = f"--dgaf-vsr.{named}: got {value}, wanted nothing with --dgaf-vsr.guiding-unet, whose files say it"
        refuses([*own, *guiding, f"--dgaf-vsr.{flag}"], capsys, said)
    refuses([*own, "--data.frames", "1"], capsys, "--data.frames: got 1, wanted 2 or more for --method dgaf_vsr")
    refuses([*own, "--dgaf-vsr.rescaling-factor", "17"], capsys, "--dgaf-vsr.rescaling-factor: got 17")
    refuses([*own, "--dgaf-vsr.most-noise", "1000"], capsys, "--dgaf-vsr.most-noise: got 1000, wanted 0 to 999")
    refuses([*own, "--dgaf-vsr.guiding-unet", model], capsys, "--dgaf-vsr.guiding-unet", "has no guiding U-Net")
    refuses([*own, *guiding, "--export", whole[0] / "export"], capsys, "--export", "of its own")


@pytest.mark.parametrize(("flags", "level"), [([], 100), (["--dgaf-vsr.most-noise", "50"], 50)])
def test_a_network_is_not_told_of_levels_that_it_was_not_made_for(model, whole, tmp_path, capsys, flags, level):
    other = shutil.copytree(whole[0] / "export" / "guiding_unet", tmp_path / "guiding_unet")
    content = json.loads((other / "config.json").read_text())
    content["unet_config"]["num_class_embeds"] = 50
    (other / "config.json").write_text(json.dumps(content))
    arguments = ["--dgaf-vsr.model", model, "--dgaf-vsr.guiding-unet", other, *flags]
    refuses(
        arguments, capsys, f"--dgaf-vsr.most-noise: got {level}, wanted up to 49, which is what {other} was made for"
    )


def test_weights_that_are_not_finite_are_refused(model, whole, tmp_path, capsys):
    other = shutil.copytree(whole[0] / "export" / "guiding_unet", tmp_path / "guiding_unet")
    file = other / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["zero_convs.0.bias"] = torch.full_like(weights["zero_convs.0.bias"], torch.nan)
    save_file(weights, file, {"format": "pt"})
    refuses(words(model, tmp_path, *UNMEASURED, "--dgaf-vsr.guiding-unet", other), capsys, other, "finite")
