"""Training of BasicVSR at a small size: what is exported, resuming, processes, what is frozen, LPIPS, and refusals."""

import shutil
from functools import partialmethod
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gloo import in_processes
from reads import unread_fields
from realis.commands.__main__ import run_train_comparator
from realis.commands.train_comparator import parse_train_comparator, train_comparator
from realis.comparators.basicvsr.config import BasicVsrConfig
from realis.comparators.basicvsr.method import METHOD
from realis.comparators.basicvsr.training import TRAINING
from realis.comparators.basicvsr.training_config import BasicVsrTrainingConfig
from realis.models.recurrent_trunk import ResidualBlock
from realis.ops.warp import warp
from realis.tiling.plan import plan_tiles
from realis.training.settings import LoopConfig
from realis.upscaler import Placement
from realis.upscaling.stream import Frame, upscale_stream
from small_basicvsr import moving_clip, small_weights
from training_runs import assert_equal

FEW = ["--method", "basicvsr", "--data.frames", "3", "--data.crop", "16", "--data.count", "4", "--run.threads", "1",
       "--run.precision", "no", "--run.tracker", "none"]  # fmt: skip
TRAINED = "checkpoint-000004/trained.safetensors"  # in float32
WEIGHTS = "export/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """A file with the weights of a small BasicVSR, which has a SpyNet."""
    file = tmp_path_factory.mktemp("flow") / "basicvsr.safetensors"
    save_file(small_weights(), file)
    return file


def words(flow, folder, *flags, steps=4, batch=2):
    return [
        *FEW, "--data.cache", str(flow.parent / "pairs"), "--run.output", str(folder), "--run.steps", str(steps),
        "--run.batch", str(batch), "--run.save-every", "2", "--optimizer.lr", "1e-3", "--validation.every", "2",
        "--validation.samples", "2", *flags,
    ]  # fmt: skip


def new(flow):
    return ["--basicvsr.channels", "4", "--basicvsr.blocks", "2", "--basicvsr.flow-weights", str(flow)]


def train(flow, folder, *flags, **numbers):
    run_train_comparator(words(flow, folder, *new(flow), *flags, **numbers))
    return load_file(folder / WEIGHTS)


@pytest.fixture(scope="module")
def whole(flow, tmp_path_factory):
    """A run of four steps, and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(flow, folder)


def prepared(precision="no", **flags):
    """The training as the command prepares it, without its loop."""
    run = SimpleNamespace(
        accelerator=SimpleNamespace(device=torch.device("cpu")), config=LoopConfig(precision=precision)
    )
    return TRAINING.prepare(BasicVsrTrainingConfig(**flags), run)


def batch_of(*shades):
    """Clips of bytes, each darker by its number."""
    hr, lr = (moving_clip(3, 24 * scale, 32 * scale).transpose(0, 1) for scale in (4, 1))
    return {
        "number": torch.tensor(shades),
        "hr": torch.stack([hr * 255 - shade for shade in shades]).clamp(0, 255).byte(),
        "lr": torch.stack([lr * 255 - shade for shade in shades]).clamp(0, 255).byte(),
    }


def test_the_export_is_what_the_method_takes_and_training_has_seen(whole):
    """Its frames are those that validation measures, but for the clamp and the layout in memory."""
    export = whole[0] / "export"
    upscaler = METHOD.load(BasicVsrConfig(str(export)), Placement(), [""])
    assert upscaler.needs.label == "export"
    state = upscaler.network.state_dict()
    assert_equal({name: tensor.float() for name, tensor in whole[1].items()}, state)
    tiles = plan_tiles((96, 128), None, 0, 4)
    frames = map(Frame, moving_clip(3, 24, 32))
    (segment,) = upscale_stream(upscaler, frames, (96, 128), tiles, 0, lambda share: None)
    training = prepared(weights=str(export))
    restored = training.restore(training.step, training.encode(batch_of(0)))[0].transpose(0, 1)
    torch.testing.assert_close((restored / 2 + 0.5).clamp(0, 1), segment.frames, atol=1e-4, rtol=0)
    card = (export / "README.md").read_text()
    assert "none but for its optical flow" in card and "license: apache-2.0" in card and "BasicVsrModel" in card


def test_flow_is_frozen_and_exported_in_float32(flow, whole):
    of_file, of_export = (
        {name: tensor for name, tensor in tensors.items() if name.startswith("spynet.")}
        for tensors in (load_file(flow), whole[1])
    )
    assert_equal(of_export, of_file)
    assert {tensor.dtype for name, tensor in whole[1].items() if name not in of_export} == {torch.bfloat16}
    trained = load_file(whole[0] / TRAINED)
    assert trained and not any("spynet" in name for name in trained)


def test_it_resumes_to_the_bit(flow, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "again")
    shutil.rmtree(tmp_path / "again/checkpoint-000004")
    assert_equal(train(flow, tmp_path / "again", "--run.resume", "latest"), whole[1])
    assert_equal(*(load_file(folder / TRAINED) for folder in (tmp_path / "again", whole[0])))


def test_two_processes_take_the_steps_of_one(flow, whole, tmp_path):
    in_processes(lambda: train(flow, tmp_path / "two", batch=1))
    one, two = (load_file(folder / TRAINED) for folder in (whole[0], tmp_path / "two"))
    # Adam makes steps of 1e-3 of gradients however small, those that are rounding errors among them
    assert all(torch.allclose(two[name], x, atol=1e-4) for name, x in one.items())


def test_it_is_trained_on_from_a_file_or_an_export_and_says_how_its_export_is_used(flow, whole, tmp_path, capsys):
    rounded = {name: x if "spynet" in name else x.bfloat16() for name, x in load_file(flow).items()}
    for name, weights, expected in (("file", flow, rounded), ("export", whole[0] / "export", whole[1])):
        flags = ["--basicvsr.weights", str(weights), "--optimizer.lr", "1e-30", "--validation.every", "0"]
        run_train_comparator(words(flow, tmp_path / name, *flags, steps=1, batch=1))
        assert_equal(load_file(tmp_path / name / WEIGHTS), expected)
        card = (tmp_path / name / "export/README.md").read_text()
        assert f"**Base model**: {weights}" in card and "license: other" in card
        use = f"to upscale with it: --method basicvsr --basicvsr.weights {tmp_path / name}/export"
        assert use in capsys.readouterr().err


# Batches


def test_clips_side_by_side_are_enlarged_as_each_by_itself(flow):
    training = prepared(weights=str(flow))
    together = training.restore(training.step, training.encode(batch_of(0, 60)))
    for clip, shade in zip(together, (0, 60), strict=True):
        alone = training.restore(training.step, training.encode(batch_of(shade)))[0]
        torch.testing.assert_close(clip, alone, atol=1e-4, rtol=0)
    assert (together[0] - together[1]).abs().mean() > 0.1


def test_flow_is_in_float32_whatever_the_precision(flow, monkeypatch):
    """It is estimated with the batch, once, and no part of what is trained."""
    training, used = prepared("bf16", weights=str(flow)), []

    def recorded(features, along):
        used.append(along)
        return warp(features, along)

    monkeypatch.setattr("realis.comparators.basicvsr.network.warp", recorded)
    batch = training.encode(batch_of(0))
    forwards, backwards = batch["to_next"], batch["to_previous"]
    clip = (batch["lr"] + 1) / 2
    torch.testing.assert_close(forwards[:, :, 0], training.network.spynet(clip[:, :, 0], clip[:, :, 1]))
    torch.testing.assert_close(backwards[:, :, 2], training.network.spynet(clip[:, :, 2], clip[:, :, 1]))
    assert not forwards[:, :, 2].any() and not backwards[:, :, 0].any() and not forwards.requires_grad
    monkeypatch.setattr(training.network.spynet, "forward", None)
    training.step(batch)["loss"].backward()
    assert used and {x.dtype for x in used} == {torch.float32}
    assert all(p.grad is not None for p in training.step.parameters())


def test_a_new_network_begins_with_blocks_near_the_identity(flow):
    network = prepared(channels=4, blocks=2, flow_weights=str(flow)).network
    blocks = [block for block in network.modules() if isinstance(block, ResidualBlock)]
    assert len(blocks) == 2 * 2
    features = torch.randn(1, 4, 32, 32)
    with torch.no_grad():
        for block in blocks:
            assert 0 < (block(features) - features).std() < 0.1


@pytest.fixture
def vgg16(tmp_path, monkeypatch):
    """Random weights of VGG16; its classifier, which LPIPS does without, takes no room."""
    models = pytest.importorskip("torchvision.models")
    pytest.importorskip("torchmetrics")
    with torch.device("meta"):
        shapes = models.vgg16(weights=None).state_dict()
    torch.manual_seed(0)
    tensors = {
        name: torch.randn(x.shape) * (2 / max(1, x[0].numel())) ** 0.5 if name.startswith("features")
        else torch.zeros(()).expand(x.shape)
        for name, x in shapes.items()
    }  # fmt: skip
    torch.save(tensors, tmp_path / "vgg16.pth")
    monkeypatch.setattr(nn.Linear, "__init__", partialmethod(nn.Linear.__init__, device="meta"))
    return tmp_path / "vgg16.pth"


@pytest.mark.filterwarnings("ignore:for classifier")
def test_lpips_is_a_part_of_the_loss(flow, vgg16, tmp_path):
    """And with it every flag is read."""
    training = prepared(weights=str(flow), lpips_weights=str(vgg16))
    terms = training.step(training.encode(batch_of(0)))
    assert terms["lpips"] > 0 and not terms["lpips"].requires_grad
    torch.testing.assert_close(terms["loss"].detach(), terms["charbonnier"] + 0.5 * terms["lpips"])
    plain = prepared(weights=str(flow))
    without = plain.step(plain.encode(batch_of(0)))
    assert without.keys() == {"loss", "charbonnier"} and without["loss"] == terms["charbonnier"]
    grads = [torch.autograd.grad(x["loss"], t.step.network["conv_last"].bias)[0]
             for x, t in ((terms, training), (without, plain))]  # fmt: skip
    assert not torch.allclose(*grads)

    flags = ["--basicvsr.lpips-weights", str(vgg16), "--validation.every", "0"]
    config = parse_train_comparator(words(flow, tmp_path / "run", *new(flow), *flags, steps=1, batch=1))
    with unread_fields(BasicVsrTrainingConfig) as unread:
        train_comparator(config)
    assert unread == set()
    trained = load_file(tmp_path / "run/checkpoint-000001/trained.safetensors")
    assert all(name.startswith("network.") for name in trained)  # LPIPS is no part of it


# Refusals


def refuses(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run_train_comparator(["--method", "basicvsr", *map(str, arguments)])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(word) in line for word in words), line


def test_what_cannot_be_trained_is_refused(flow, whole, tmp_path, capsys):
    on, over = ["--basicvsr.weights", flow], ["--basicvsr.flow-weights", flow]
    refuses([], capsys, "--basicvsr.flow-weights: got nothing, wanted", "SpyNet", "--basicvsr.weights to train on")
    for name, value in (("channels", 32), ("blocks", 8), ("flow-weights", flow)):
        wanted = f"--basicvsr.{name}: got {value}, wanted nothing with --basicvsr.weights"
        refuses([*on, f"--basicvsr.{name}", value], capsys, wanted)
    for name, wanted in (("channels", "1 or more"), ("charbonnier", "above 0"), ("lpips", "above 0")):
        refuses([*over, f"--basicvsr.{name}", "0"], capsys, f"--basicvsr.{name}: got 0", wanted)
    refuses(
        [*over, "--basicvsr.lpips", "2"], capsys, "--basicvsr.lpips: got 2.0, wanted nothing without", "lpips-weights"
    )
    refuses([*over, "--basicvsr.lpips-weights", "none.pth"], capsys, "--basicvsr.lpips-weights none.pth: nothing there")
    refuses([*over, "--data.frames", "1"], capsys, "--data.frames: got 1, wanted 2 or more for --method basicvsr")
    export = whole[0] / "export"
    refuses(["--basicvsr.weights", export, "--export", export], capsys, "--export", "of its own")
    (tmp_path / "empty").mkdir()
    refuses(["--basicvsr.weights", tmp_path / "empty"], capsys, "is a folder; wanted a file such as BasicVSR_REDS4.pth")
    quick = ["--run.output", tmp_path / "run", "--data.cache", ""]
    save_file({"conv_first.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "other.pth")
    other = tmp_path / "other.pth"
    refuses([*quick, "--basicvsr.weights", other], capsys, other, "wanted those of BasicVSR")
    refuses([*quick, "--basicvsr.flow-weights", other], capsys, other, "a network without SpyNet")
    save_file(small_weights() | {"conv_last.bias": torch.full((3,), torch.nan)}, tmp_path / "nan.pth")
    refuses([*quick, "--basicvsr.weights", tmp_path / "nan.pth"], capsys, "conv_last.bias", "not finite")
