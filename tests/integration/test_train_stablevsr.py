"""Training of StableVSR's module over a small upscaler: what is exported, resuming, processes, and what is refused."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from gloo import in_processes
from reads import unread_fields
from realis.commands.__main__ import run_train_comparator
from realis.commands.train_comparator import parse_train_comparator, train_comparator
from realis.comparators.stablevsr.config import StableVsrConfig
from realis.comparators.stablevsr.method import METHOD
from realis.comparators.stablevsr.texture_guidance import texture_guidance
from realis.comparators.stablevsr.training import TRAINING
from realis.comparators.stablevsr.training_config import StableVsrTrainingConfig
from realis.data.batch import images_of
from realis.data.randomness import sample_generator
from realis.models.optical_flow.spynet import SpyNet
from realis.models.sd_x4.latents import encode_images
from realis.models.sd_x4.loading import SdX4
from realis.training.settings import LoopConfig
from realis.upscaler import Placement
from small_basicvsr import moving_clip
from training_runs import assert_equal

FEW = ["--method", "stablevsr", "--data.frames", "3", "--data.crop", "8", "--data.count", "4", "--run.threads", "1",
       "--run.precision", "no", "--run.tracker", "none"]  # fmt: skip
NEW = ["--stablevsr.widths", "4", "6", "8", "--stablevsr.most-noise", "30"]
TRAINED = "checkpoint-000004/trained.safetensors"  # in float32
WEIGHTS = "export/controlnet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def model(sd_x4_folder, tmp_path_factory):
    """The small upscaler, which samples in two steps."""
    folder = shutil.copytree(sd_x4_folder, tmp_path_factory.mktemp("model") / "model")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"steps": 2}))
    return folder


def words(model, folder, *flags, steps=4, batch=2):
    return [
        *FEW, "--stablevsr.model", str(model), "--data.cache", str(model.parent / "pairs"), "--run.output", str(folder),
        "--run.steps", str(steps), "--run.batch", str(batch), "--run.save-every", "2", "--optimizer.lr", "1e-3",
        "--validation.every", "2", "--validation.samples", "2", *flags,
    ]  # fmt: skip


def train(model, folder, *flags, **numbers):
    run_train_comparator(words(model, folder, *NEW, *flags, **numbers))
    return load_file(folder / WEIGHTS)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """A run of four steps, its weights, and the flags that it did not read."""
    folder = tmp_path_factory.mktemp("whole")
    config = parse_train_comparator(words(model, folder, *NEW))
    with unread_fields(StableVsrTrainingConfig) as unread:
        train_comparator(config)
    return folder, load_file(folder / WEIGHTS), unread


def loaded(model, **flags):
    return METHOD.load(StableVsrConfig(model=str(model), steps=2, **flags), Placement(), [""])


def test_the_export_is_a_module_for_the_model(model, whole):
    folder, weights, unread = whole
    assert unread == set()
    assert [path.name for path in (folder / "export").iterdir() if path.is_dir()] == ["controlnet"]
    assert_equal(loaded(model, tcm=str(folder / "export")).tcm.state_dict(), weights)
    zeros = [tensor for name, tensor in weights.items() if name.startswith("controlnet_down_blocks")]
    assert all(tensor.abs().max() > 0 for tensor in zeros)
    card = (folder / "export/README.md").read_text()
    assert f"**Base model**: {model}" in card and "license: other" in card and "ControlNetModel" in card


def test_the_module_lies_beside_the_model_as_well(model, whole, tmp_path):
    both = shutil.copytree(model, tmp_path / "model")
    shutil.copytree(whole[0] / "export" / "controlnet", both / "controlnet")
    assert_equal(loaded(both).tcm.state_dict(), whole[1])


def test_it_is_measured_on_the_way(whole):
    rows = [json.loads(line) for line in (whole[0] / "validation.jsonl").read_text().splitlines()]
    restored, gains = ([row[name] for row in rows] for name in ("PSNR, dB", "gain over bicubic, dB"))
    assert [row["step"] for row in rows] == [2, 4] and restored[0] != restored[1]  # the module has moved
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


def test_a_module_is_trained_on_from_its_weights(model, whole, tmp_path):
    flags = ["--stablevsr.tcm", str(whole[0] / "export"), "--optimizer.lr", "1e-30", "--validation.every", "0"]
    run_train_comparator(words(model, tmp_path, *flags, steps=1, batch=1))
    assert_equal(load_file(tmp_path / WEIGHTS), whole[1])
    card = (tmp_path / "export/README.md").read_text()
    assert f"**Base model**: {whole[0] / 'export'}" in card and "license: other" in card


def test_a_module_without_noise_levels_is_trained_over_a_network_that_has_them(model, whole, tmp_path):
    """From a module that has them as well; the result is for an LR that is not noised."""
    flags = ["--stablevsr.tcm", str(whole[0] / "export"), "--stablevsr.most-noise", "off", "--validation.every", "0"]
    run_train_comparator(words(model, tmp_path, *flags, steps=1, batch=1))
    weights = load_file(tmp_path / WEIGHTS)
    assert whole[1].keys() - weights.keys() == {"class_embedding.weight"}
    assert loaded(model, tcm=str(tmp_path / "export"), noise_level="off").tcm.class_embedding is None


# Batches


def prepared(model, seed=0):
    """The training as the command prepares it, without its loop."""
    run = SimpleNamespace(
        accelerator=SimpleNamespace(device=torch.device("cpu")), config=LoopConfig(seed=seed, precision="no")
    )
    return TRAINING.prepare(StableVsrTrainingConfig(model=str(model), widths=(4, 6, 8)), run)


def batch_of(*numbers):
    """Clips of bytes, each by its number."""
    hr, lr = (moving_clip(3, 32 * scale // 4, 32 * scale // 4).transpose(0, 1) for scale in (4, 1))
    return {
        "number": torch.tensor(numbers),
        "hr": torch.stack([hr * 255 - number for number in numbers]).clamp(0, 255).byte(),
        "lr": torch.stack([lr * 255] * len(numbers)).byte(),
    }


def test_latents_are_drawn_from_their_posterior_by_the_number_of_the_sample(model):
    training, vae = prepared(model), SdX4(model, torch.float32, "cpu").vae
    latents = training.encode(batch_of(3, 8))["hr_latents"]
    assert latents.shape == (2, 4, 3, 8, 8)
    other_seed = prepared(model, seed=1).encode(batch_of(3, 8))["hr_latents"]
    for i, number in enumerate((3, 8)):
        batch = batch_of(number)
        torch.testing.assert_close(training.encode(batch)["hr_latents"][0], latents[i], atol=1e-5, rtol=1e-4)
        noise = torch.randn(3, 4, 8, 8, generator=sample_generator(0, number, "posterior"))
        with torch.no_grad():
            posterior = vae.encode(images_of(batch["hr"]) / 127.5 - 1).latent_dist
            means = encode_images(vae, images_of(batch["hr"]) / 127.5 - 1)
        expected = (posterior.mean + posterior.std * noise).transpose(0, 1) * 0.08333
        torch.testing.assert_close(latents[i], expected, atol=1e-5, rtol=1e-4)
        for others in (means.transpose(0, 1), other_seed[i]):
            assert (latents[i] - others).abs().mean() > 0.01


def test_only_the_module_is_trained(model):
    step = prepared(model).step
    learning = [name for name, weight in step.named_parameters() if weight.requires_grad]
    assert learning and all(name.startswith("tcm.") for name in learning)
    assert not step.base.unet.training and len(learning) == len(list(step.tcm.parameters()))


# Refusals


def refuses(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run_train_comparator(["--method", "stablevsr", *map(str, arguments)])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(word) in line for word in words), line


def test_what_cannot_be_trained_is_refused(model, whole, tmp_path, capsys):
    tcm, own = ["--stablevsr.tcm", whole[0] / "export"], ["--stablevsr.model", model]
    refuses(
        [*own, *tcm, "--stablevsr.widths", "4", "6", "8"], capsys, "--stablevsr.widths", "(4, 6, 8)", "--stablevsr.tcm"
    )
    refuses([*own, "--stablevsr.widths", "0", "6", "8"], capsys, "--stablevsr.widths: got 0, wanted 1 to")
    refuses([*own, "--stablevsr.widths", "4", "6"], capsys, "--stablevsr.widths")
    refuses([*own, "--stablevsr.most-noise", "1000"], capsys, "--stablevsr.most-noise: got 1000, wanted 0 to 999")
    refuses([*own, "--stablevsr.pure-noise", "1.5"], capsys, "--stablevsr.pure-noise: got 1.5, wanted 0 to 1")
    refuses([*own, "--stablevsr.guidance-on", "x1"], capsys, "--stablevsr.guidance-on", "x1", "x0")
    refuses([*own, "--stablevsr.flow-weights", "none.pth"], capsys, "--stablevsr.flow-weights none.pth: nothing there")
    refuses([*own, "--data.frames", "1"], capsys, "--data.frames: got 1, wanted 2 or more for --method stablevsr")
    refuses([*own, "--stablevsr.tcm", model], capsys, "--stablevsr.tcm", "no Temporal Conditioning Module")
    refuses([*tcm, *own, "--export", whole[0] / "export"], capsys, "--export", "of its own")
    refuses(["--stablevsr.model", "nowhere"], capsys, "--stablevsr.model: got 'nowhere', which is no folder")
    other = shutil.copytree(whole[0] / "export" / "controlnet", tmp_path / "controlnet")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"num_class_embeds": 100}))
    wanted = "got 100, wanted up to 99, which is what"
    refuses([*own, "--stablevsr.tcm", other], capsys, f"--stablevsr.most-noise: {wanted} {other} was made for")
    (other / "config.json").write_text(json.dumps(config | {"cross_attention_dim": 32}))
    refuses([*own, "--stablevsr.tcm", other], capsys, "--stablevsr.tcm", "cross_attention_dim: got 32, wanted 16")


@pytest.mark.parametrize(("levels", "wanted"), [(31, "at most 30"), (None, "none: ")])
def test_the_lr_is_not_noised_more_than_the_model_knows(model, tmp_path, capsys, levels, wanted):
    fewer = shutil.copytree(model, tmp_path / "model")
    file = fewer / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_class_embeds": levels}))
    words = ["--stablevsr.model", fewer, "--stablevsr.most-noise", "31"]
    refuses(words, capsys, "--stablevsr.most-noise: got 31, wanted", wanted)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_flow_is_that_of_the_weights_that_are_named_and_in_float32(model, tmp_path, monkeypatch, precision):
    """A network that estimates flow is no part of what is trained, nor of a checkpoint."""
    torch.manual_seed(0)
    file, flows = tmp_path / "basicvsr.safetensors", []
    save_file({f"spynet.{name}": tensor for name, tensor in SpyNet().state_dict().items()}, file)

    def recorded(latents, flow, back, decode, config):
        guidance = texture_guidance(latents, flow, back, decode, config)
        flows.append((flow.dtype, guidance.dtype, bool(flow.abs().sum() > 0)))
        return guidance

    monkeypatch.setattr("realis.comparators.stablevsr.step.texture_guidance", recorded)
    flags = ["--stablevsr.flow-weights", str(file), "--run.precision", precision]
    run_train_comparator(words(model, tmp_path / "run", *NEW, *flags, steps=2))
    assert flows and set(flows) == {(torch.float32, torch.float32, True)}
    trained = load_file(tmp_path / "run/checkpoint-000002/trained.safetensors")
    assert all(name.startswith("tcm.") for name in trained)


def test_the_run_says_how_its_export_is_used(model, tmp_path, capsys):
    run_train_comparator(words(model, tmp_path / "run", *NEW, steps=1))
    flags = f"--stablevsr.model {model} --stablevsr.tcm {tmp_path / 'run'}/export"
    assert f"to upscale with it: --method stablevsr {flags}" in capsys.readouterr().err
