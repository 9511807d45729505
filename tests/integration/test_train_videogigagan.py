"""Training of VideoGigaGAN: its rows over an image generator, what is exported, resuming, processes, losses, refusals."""

import errno
import json
import re
import shutil
from functools import partialmethod
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from command_lines import ROOT
from gloo import in_processes
from reads import unread_fields
from realis.commands.__main__ import run_train_comparator, run_upscale
from realis.commands.train_comparator import parse_train_comparator, train_comparator
from realis.comparators.videogigagan.config import VideoGigaGanConfig
from realis.comparators.videogigagan.discriminator import Discriminator
from realis.comparators.videogigagan.method import METHOD
from realis.comparators.videogigagan.step import VideoGigaGanStep
from realis.comparators.videogigagan.training import TRAINING
from realis.comparators.videogigagan.training_config import VideoGigaGanTrainingConfig
from realis.core.errors import InputError
from realis.losses.adversarial import r1_penalty
from realis.losses.charbonnier import charbonnier
from realis.models.optical_flow import neighbours
from realis.ops.pixels import planes_to_image, to_uint8
from realis.training.lpips import load_lpips, lpips
from realis.training.settings import LoopConfig, OptimizerConfig
from realis.upscaler import Placement
from small_basicvsr import moving_clip, small_weights
from small_videogigagan import (
    DISCRIMINATOR_WIDTHS,
    SIZES,
    flows_between,
    randomise,
    save_small_videogigagan,
    small_discriminator,
)
from training_runs import assert_equal

FEW = ["--method", "videogigagan", "--data.frames", "3", "--data.crop", "8", "--data.count", "4", "--run.threads", "1",
       "--run.precision", "no", "--run.tracker", "none"]  # fmt: skip
WEIGHTS = "export/diffusion_pytorch_model.safetensors"
OF_DISCRIMINATOR = "export/discriminator/diffusion_pytorch_model.safetensors"
KEPT = ("generator-trained", "generator-average", "discriminator-trained")  # in float32


def flags_of(**fields):
    """Words of the command line; a field that is ``False`` is turned off."""
    words = []
    for name, value in fields.items():
        name = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--videogigagan.{'' if value else 'no-'}{name}")
        else:
            words += [f"--videogigagan.{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return words


NEW_PROPAGATION = flags_of(propagation_channels=4, propagation_blocks=1)
OF_IMAGES = {"temporal": False, "propagation": False, "blur_pool": False, "hf_shuttle": False}
NETWORK = {name: size for name, size in SIZES.items() if not name.startswith("propagation")}
NEW = flags_of(**NETWORK, discriminator_widths=DISCRIMINATOR_WIDTHS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def train(cache):
    """Train in a folder, and return the last checkpoint by name."""

    def run(folder, *flags, steps=2, batch=2):
        run_train_comparator(words(cache, folder, *flags, steps=steps, batch=batch))
        return checkpoint(folder, steps)

    return run


def words(cache, folder, *flags, steps, batch):
    return [
        *FEW, "--data.cache", str(cache), "--run.output", str(folder), "--run.steps", str(steps), "--run.batch", str(batch),
        "--run.save-every", "2", "--run.keep", "9", "--optimizer.lr", "1e-3", "--optimizer.ema", "0.9", "--validation.every",
        "2", "--validation.samples", "1", *flags,
    ]  # fmt: skip


def checkpoint(folder, step):
    return {file.stem: load_file(file) for file in (folder / f"checkpoint-{step:06d}").glob("*.safetensors")}


def gains(folder):
    rows = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    return [row["gain over bicubic, dB"] for row in rows]


@pytest.fixture(scope="module")
def image(train, tmp_path_factory):
    """The export of an image upsampler, trained for two steps."""
    folder = tmp_path_factory.mktemp("image")
    train(folder, *NEW, *flags_of(**OF_IMAGES), "--data.frames", "1")
    return folder / "export"


@pytest.fixture(scope="module")
def whole(cache, image, tmp_path_factory):
    """A run of four steps with all parts over the image upsampler, its last checkpoint, and the flags that it did not read."""
    folder = tmp_path_factory.mktemp("whole")
    # R1 in steps 0 and 3, with a weight that makes it matter for a new discriminator
    own = [*flags_of(model=image, r1_every=3, r1=1e4), *NEW_PROPAGATION]
    config = parse_train_comparator(words(cache, folder, *own, steps=4, batch=2))
    with unread_fields(VideoGigaGanTrainingConfig) as unread:
        train_comparator(config)
    return folder, checkpoint(folder, 4), unread, own


def loaded(model):
    return METHOD.load(VideoGigaGanConfig(model=str(model)), Placement(), [""]).generator


def test_the_export_is_a_model_with_its_discriminator_beside_it(whole, image):
    folder, saved, unread, _ = whole
    assert unread == set()
    assert [path.name for path in (folder / "export").iterdir() if path.is_dir()] == ["discriminator"]
    generator, averages = loaded(folder / "export"), saved["generator-average"]
    assert_equal({f"generator.{name}": x for name, x in generator.state_dict().items()},
                 {name: x.bfloat16().float() for name, x in averages.items()})  # fmt: skip
    discriminator = Discriminator.from_pretrained(folder / "export/discriminator", torch_dtype=torch.float32)
    assert discriminator.config.heads == 2 and discriminator.config.temporal
    assert_equal({f"discriminator.{name}": x for name, x in discriminator.state_dict().items()},
                 {name: x.bfloat16().float() for name, x in saved["discriminator-trained"].items()})  # fmt: skip
    card = (folder / "export/README.md").read_text()
    assert f"**Base model**: {image}" in card and "license: other" in card and "VideoGigaGan" in card


def test_an_export_is_whole_or_not_there(train, image, tmp_path, monkeypatch, capsys):
    def fail(*arguments, **named):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(Discriminator, "save_pretrained", fail)
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, *flags_of(model=image, propagation=False), "--validation.every", "0", steps=1)
    assert stop.value.code == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "export: writing failed (disk full); the last checkpoint has the weights" in said
    assert (tmp_path / "checkpoint-000001").is_dir() and not any(path.is_dir() for path in tmp_path.glob("*export*"))


def test_it_is_measured_on_the_way(whole):
    first, last = gains(whole[0])
    assert first != last  # the network has moved


def test_it_resumes_to_the_bit(train, whole, tmp_path):
    """Generator and discriminator, their averages and their optimizers."""
    folder, saved, _, own = whole
    shutil.copytree(folder, tmp_path / "again")
    shutil.rmtree(tmp_path / "again/checkpoint-000004")
    again = train(tmp_path / "again", *own, "--run.resume", "latest", steps=4)
    assert again.keys() == saved.keys() >= {*KEPT, "generator-optimizer", "discriminator-optimizer"}
    for name, tensors in saved.items():
        assert_equal(again[name], tensors)
    for name in (WEIGHTS, OF_DISCRIMINATOR):
        assert_equal(load_file(tmp_path / "again" / name), load_file(folder / name))


def test_two_processes_take_the_steps_of_one(train, whole, tmp_path):
    """Those with R1 among them."""
    _, saved, _, own = whole
    in_processes(lambda: train(tmp_path / "two", *own, steps=4, batch=1))
    two = checkpoint(tmp_path / "two", 4)
    for name in KEPT:
        assert all(torch.allclose(two[name][key], x, atol=1e-5) for key, x in saved[name].items()), name


def test_a_model_is_trained_on_with_its_discriminator(train, whole, tmp_path, capsys):
    folder, *_ = whole
    train(tmp_path, *flags_of(model=folder / "export"), "--optimizer.lr", "1e-30", "--optimizer.ema", "0", steps=1)
    for name in (WEIGHTS, OF_DISCRIMINATOR):
        assert_equal(load_file(tmp_path / name), load_file(folder / name))
    said = capsys.readouterr().err
    assert "is changed" not in said and "the discriminator is new" not in said
    assert "LPIPS is no part of the loss: --videogigagan.lpips-weights names no weights of VGG16" in said
    assert f"to upscale with it: --method videogigagan --videogigagan.model {tmp_path}/export" in said


ROWS = {  # of Table 1: each is that before it and a part more
    "temporal": {"propagation": False, "blur_pool": False, "hf_shuttle": False},
    "propagation": {"blur_pool": False, "hf_shuttle": False},
    "blur_pool": {"hf_shuttle": False},
    "hf_shuttle": {},
}
FILTERS = ("blur_pool", "hf_shuttle")


def changes(network, said):
    """What a run says that it changes of a network, by name; the order does not matter."""
    (line,) = re.findall(f"the {network} is changed: (.*)", said)
    return dict(change.split(" ", 1) for change in line.split(", "))


RECIPES = ROOT / "train/recipes/comparators"


@pytest.mark.parametrize("name", ["videogigagan", "videogigagan_tiny"])
def test_the_rows_of_the_recipes_are_those_of_the_ablation(name):
    """Their flags, which stand in a comment of one for both, are taken together with the recipe."""
    commented = re.findall(r"^#   \+ .*: +(none|--.*)$", (RECIPES / "videogigagan.yaml").read_text(), re.M)
    assert len(commented) == len(ROWS)
    for flags, (row, expected) in zip(commented, ROWS.items(), strict=True):
        words = [] if flags == "none" else [*flags.split(), "--run.output", "out/run", "--export", f"out/{row}"]
        config = parse_train_comparator([str(RECIPES / f"{name}.yaml"), *words])
        on = {part: getattr(config.options, part) for part in ("temporal", "propagation", *FILTERS)}
        assert on == {part: expected.get(part, True) for part in on}, row
        assert not words or config.export == f"out/{row}"


def test_the_small_recipe_names_the_exports_of_its_rows():
    comment = (RECIPES / "videogigagan_tiny.yaml").read_text()
    named = re.search(r"--export out/videogigagan_tiny_(\w+), \.\.\._(\w+), \.\.\._(\w+)$", comment, re.M)
    assert named and [*named.groups(), "hf_shuttle"] == [*ROWS]


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_ablation_trains_over_the_image_upsampler(train, image, tmp_path, capsys, row):
    propagates = ROWS[row].get("propagation", True)
    flags = [*flags_of(model=image, **ROWS[row]), *(NEW_PROPAGATION if propagates else [])]
    weights = train(tmp_path, *flags)["generator-trained"]
    changed = {"temporal": "False -> True"} | {name: "False -> True" for name in FILTERS if ROWS[row].get(name, True)}
    changed |= {"propagation_channels": "0 -> 4", "propagation_blocks": "30 -> 1"} if propagates else {}
    said = capsys.readouterr().err
    assert changes("generator", said) == changed and changes("discriminator", said) == {"temporal": "False -> True"}
    base = {f"generator.{name}": x.float() for name, x in load_file(image / WEIGHTS.rpartition("/")[2]).items()}
    moved = [name for name, x in base.items() if not torch.equal(weights[name], x)]
    assert "generator.conv_in.weight" in moved and "generator.conv_out.weight" in moved
    added = {name: x for name, x in weights.items() if name not in base}
    parts = {"conv_features", "propagation"} if propagates else set()
    assert {name.split(".")[1] for name in added} == {"temporal_modules"} | parts
    begins_at_zero = ("attention.to_out.weight", ".conv.weight", "conv_features.weight")
    assert all(x.abs().max() > 0 for name, x in added.items() if name.endswith(begins_at_zero))
    config = json.loads((tmp_path / "export/config.json").read_text())
    on = {name: config[name] for name in ("temporal", *FILTERS)}
    assert on == {name: ROWS[row].get(name, True) for name in on}
    assert (
        config["propagation_channels"] == (4 if propagates else 0)
        and torch.isfinite(torch.tensor(gains(tmp_path))).all()
    )
    loaded(tmp_path / "export")


def test_parts_without_weights_may_be_turned_off_again_and_others_not(whole, train, tmp_path, capsys):
    model = whole[0] / "export"
    train(tmp_path, *flags_of(model=model, blur_pool=False, hf_shuttle=False), steps=1)
    config = json.loads((tmp_path / "export/config.json").read_text())
    assert not config["blur_pool"] and not config["hf_shuttle"] and config["temporal"]
    for name in ("temporal", "propagation"):
        wanted = f"--videogigagan.no-{name}: got --videogigagan.model {model}, wanted a model without"
        refuses(flags_of(model=model, **{name: False}), capsys, wanted)


def test_x8_trains_on_hr_that_is_eight_times_as_large(train, tmp_path, monkeypatch):
    seen, losses = [], VideoGigaGanStep.generator_losses

    def recorded(step, batch):
        seen.append([(*batch[name].shape,) for name in ("hr", "lr")])
        return losses(step, batch)

    monkeypatch.setattr(VideoGigaGanStep, "generator_losses", recorded)
    train(tmp_path, *NEW, *flags_of(**OF_IMAGES, upsampling_widths=(8, 4, 4)), steps=1)
    assert seen == [[(2, 3, 3, 64, 64), (2, 3, 3, 8, 8)]]
    assert loaded(tmp_path / "export").scale == 8


def test_blurred_clips_are_trained_on(train, tmp_path):
    train(tmp_path, *NEW, *NEW_PROPAGATION, "--data.degradation", "bd", steps=1)
    assert "degradation: bd" in (tmp_path / "export/README.md").read_text()


# Optical flow


@pytest.fixture(scope="module")
def spynet_file(tmp_path_factory):
    """Weights of a small BasicVSR, for their optical flow."""
    file = tmp_path_factory.mktemp("flow") / "basicvsr.safetensors"
    save_file(small_weights(), file)
    return file


def test_flow_is_between_neighbours(model):
    """Also of a clip that runs backwards."""
    clip = moving_clip(3, 40, 48)
    clips = (255 * torch.stack([clip, clip.flip(0)]).transpose(1, 2)).round().byte()
    batch = prepared(model).encode({"number": torch.arange(2), "hr": clips, "lr": clips})
    flows = batch["to_next"], batch["to_previous"]
    for forwards, there, back in zip(flows_between(clip), flows, reversed(flows), strict=True):
        assert forwards.abs().max() > 0.5 and there.dtype == torch.float32
        torch.testing.assert_close(there[:1], forwards, atol=1e-3, rtol=0)
        torch.testing.assert_close(back[1:].flip(2), forwards, atol=1e-3, rtol=0)
    batch = prepared(model).encode(batch | {"hr": clips, "lr": clips[:, :, :1]})
    assert not batch["to_next"].any() and not batch["to_previous"].any()  # a frame alone has no neighbours


def test_flow_is_estimated_once_a_batch(train, image, tmp_path, monkeypatch):
    """Not anew for each network that has its turn; and not at all without propagation."""
    shapes, estimate = [], neighbours.flows_of_clips

    def counted(lr, estimate_flow):
        shapes.append((*lr.shape,))
        return estimate(lr, estimate_flow)

    monkeypatch.setattr(neighbours, "flows_of_clips", counted)
    train(tmp_path / "whole", *flags_of(model=image), *NEW_PROPAGATION, "--validation.every", "0", steps=3)
    assert shapes == [(2, 3, 3, 8, 8)] * 3
    train(tmp_path / "temporal", *flags_of(model=image, propagation=False), "--validation.every", "0", steps=1)
    assert len(shapes) == 3


def test_a_model_says_by_which_flow_it_was_trained(train, image, spynet_file, tmp_path, capsys):
    """And a run by which flags it is used; by another flow, there is a remark."""
    own = flags_of(model=image, flow_weights=spynet_file)
    train(tmp_path / "run", *own, *NEW_PROPAGATION, "--validation.every", "0", steps=1)
    export = tmp_path / "run/export"
    assert json.loads((export / "config.json").read_text())["flow_weights"] == spynet_file.name
    (use,) = re.findall("to upscale with it: (.*)", capsys.readouterr().err)
    assert f"--videogigagan.flow-weights {spynet_file} --videogigagan.model {export}" in use

    (tmp_path / "in").mkdir()
    for number, frame in enumerate(moving_clip(2, 16, 16)):
        Image.fromarray(planes_to_image(to_uint8(frame))).save(tmp_path / "in" / f"{number}.png")
    remark = f"was trained with optical flow by the weights {spynet_file.name}: --videogigagan.flow-weights FILE"
    others = ["--method", "videogigagan", "--videogigagan.model", str(export)]
    for name, flags, remarked in (("same", use.split(), False), ("other", others, True)):
        words = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / name), "--target", "4x", "--device", "cpu"]
        run_upscale([*words, *flags])
        assert (f"{export} {remark}" in capsys.readouterr().err) == remarked
        assert len(list((tmp_path / name).glob("*.png"))) == 2


def test_a_model_of_flow_without_weights_says_so(model, spynet_file):
    own = VideoGigaGanConfig(str(model), flow_weights=str(spynet_file))
    wanted = f"{model} was trained with optical flow by Farneback's method, without --videogigagan.flow-weights"
    assert METHOD.needs(own, False).remarks == [f"{wanted}; results may be worse by another"]
    assert METHOD.needs(VideoGigaGanConfig(str(model)), False).remarks == []


# Losses


def prepared(model, samples_per_step=2, **flags):
    """The training as the command prepares it, without its loop; its discriminator is random throughout."""
    run = SimpleNamespace(
        accelerator=SimpleNamespace(device=torch.device("cpu")), config=LoopConfig(precision="no"),
        optimizer=OptimizerConfig(), samples_per_step=samples_per_step,
    )  # fmt: skip
    config = VideoGigaGanTrainingConfig(model=str(model), discriminator_widths=DISCRIMINATOR_WIDTHS, **flags)
    training = TRAINING.prepare(config, run)
    randomise(training.step.discriminator)
    return training


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small generator all of whose parts matter, without a discriminator."""
    return save_small_videogigagan(tmp_path_factory.mktemp("model") / "model")


def batch_of(training, *numbers):
    """An encoded batch of clips, each with less contrast than that before it."""
    hr, lr = (moving_clip(3, 8 * scale, 8 * scale).transpose(0, 1) for scale in (4, 1))
    clips = {
        name: torch.stack([255 * clip / (i + 1) for i in range(len(numbers))]).round().byte()
        for name, clip in (("hr", hr), ("lr", lr))
    }
    return training.encode({"number": torch.tensor(numbers)} | clips)


@pytest.mark.parametrize(
    ("numbers", "due"), [((0, 1), True), ((2, 3), True), ((4, 5), False), ((6, 7), False), ((8, 9), True)]
)
def test_r1_is_of_all_samples_of_one_optimizer_step_in_so_many(model, numbers, due):
    """Of four samples, which two processes or passes share; it counts as many times as there are steps to one of them."""
    training = prepared(model, samples_per_step=4, r1=1e5, r1_every=2)
    step, batch = training.step, batch_of(training, *numbers)
    losses = step.discriminator_losses(batch)
    penalty = r1_penalty(step.discriminator, batch["hr"])
    expected = 1e5 * 2 * penalty if due else torch.zeros(())
    torch.testing.assert_close(losses["loss"] - losses["gan"], expected, atol=1e-5, rtol=1e-4)
    assert losses.keys() == {"loss", "gan", "real", "fake"} | ({"r1"} if due else set()) and 2e5 * penalty > 0.01
    if due:
        torch.testing.assert_close(losses["r1"], penalty.detach())
        assert not losses["r1"].requires_grad


def test_nothing_is_computed_for_r1_without_weight(model, monkeypatch):
    training = prepared(model, r1=0.0, r1_every=1)
    monkeypatch.setattr("realis.comparators.videogigagan.step.r1_penalty", None)
    losses = training.step.discriminator_losses(batch_of(training, 0, 1))
    assert "r1" not in losses and losses["loss"].item() == losses["gan"].item()


def test_steps_in_bfloat16_move_all_weights(train, whole, tmp_path, monkeypatch):
    """With R1 and propagation; weights and flow are in float32, losses finite."""
    model, seen = whole[0] / "export", []

    def recorded(losses):
        def record(step, batch):
            terms, flows = losses(step, batch), (batch["to_next"], batch["to_previous"])
            seen.append((torch.is_autocast_enabled("cpu"), {flow.dtype for flow in flows}, terms))
            return terms

        return record

    for name in ("generator_losses", "discriminator_losses"):
        monkeypatch.setattr(VideoGigaGanStep, name, recorded(getattr(VideoGigaGanStep, name)))
    saved = train(tmp_path, *flags_of(model=model, r1_every=1), "--run.precision", "bf16")
    assert len(seen) == 4 and all(is_bfloat16 and of_flows == {torch.float32} for is_bfloat16, of_flows, _ in seen)
    assert all(value.isfinite() for *_, terms in seen for value in terms.values())
    assert [terms["r1"] > 0 for *_, terms in seen if "r1" in terms] == [True, True]
    for part, file in (("generator", WEIGHTS), ("discriminator", OF_DISCRIMINATOR)):
        trained = saved[f"{part}-trained"]
        still = [
            name for name, x in load_file(whole[0] / file).items() if torch.equal(trained[f"{part}.{name}"], x.float())
        ]
        assert still == [] and {x.dtype for x in trained.values()} == {torch.float32}


def test_losses_are_weighed_and_leave_gradients_where_they_belong(model):
    training = prepared(model, gan=2.0, charbonnier=3.0)
    step, batch = training.step, batch_of(training, 0, 1)
    losses = step.generator_losses(batch)
    restored = step.restore(batch, step.seed)
    torch.testing.assert_close(losses["charbonnier"], charbonnier(restored, batch["hr"]).detach())
    fake = step.discriminator(restored)
    torch.testing.assert_close(losses["gan"], -fake.sigmoid().log().mean().detach())
    torch.testing.assert_close(losses["loss"].detach(), 2 * losses["gan"] + 3 * losses["charbonnier"])
    step.discriminator_losses(batch)["loss"].backward()
    assert all(weight.grad is None for weight in step.generator.parameters())
    assert step.discriminator.conv_in.weight.grad.abs().max() > 0
    losses["loss"].backward()
    silent = [
        name for name, weight in step.generator.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert silent == []


def test_noise_is_drawn_by_the_number_of_the_sample(model):
    training = prepared(model)
    step, batch = training.step, batch_of(training, 7, 9)
    for i, number in enumerate((7, 9)):
        alone = {name: x[i : i + 1] for name, x in batch.items()}
        with torch.no_grad():
            one, other_number = (
                step.restore(given, 0) for given in (alone, alone | {"number": torch.tensor([number + 1])})
            )
            torch.testing.assert_close(step.restore(batch, 0)[i : i + 1], one, atol=1e-4, rtol=1e-4)
            assert (one - other_number).abs().mean() > 0.01
            assert (one - step.restore(alone, 1)).abs().mean() > 0.01


def test_lpips_is_part_of_the_loss_where_its_weights_are_named(model, tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    pytest.importorskip("torchmetrics")
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = torchvision.models.vgg16(weights=None).state_dict()
    tensors = {  # random where they matter; the classifier, which LPIPS does not use, is one number
        name: torch.randn(like.shape) * (2 / max(1, like[0].numel())) ** 0.5 if name.startswith("features")
        else torch.zeros(()).expand(like.shape)
        for name, like in shapes.items()
    }  # fmt: skip
    torch.save(tensors, tmp_path / "vgg16.pth")
    training = prepared(model, lpips=4.0)
    step, batch = training.step, batch_of(training, 0)
    without = step.generator_losses(batch)
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="for classifier"):
        patch.setattr(nn.Linear, "__init__", partialmethod(nn.Linear.__init__, device="meta"))  # it takes seconds
        network = load_lpips(str(tmp_path / "vgg16.pth"), "--lpips", torch.device("cpu"))
        save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(InputError, match=r"^--lpips .*other.pth: got weights of another network"):
            load_lpips(str(tmp_path / "other.pth"), "--lpips", torch.device("cpu"))
    step.lpips_network = network
    losses = step.generator_losses(batch)
    assert without["lpips"] == 0 and losses["lpips"] > 0.01
    torch.testing.assert_close(losses["loss"] - without["loss"], 4 * losses["lpips"])
    lpips(network, step.restore(batch, 0), batch["hr"]).backward()
    assert step.generator.conv_in.weight.grad.abs().max() > 0
    assert lpips(network, batch["hr"], batch["hr"]) == 0


# Refusals


def refuses(arguments, capsys, *parts):
    with pytest.raises(SystemExit) as stop:
        run_train_comparator(["--method", "videogigagan", *map(str, arguments)])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(part) in line for part in parts), line


@pytest.mark.parametrize(("flags", "message"), [
    ({"widths": (8, 8, 12)}, "--videogigagan.widths: got (8, 8, 12), wanted four numbers"),
    ({"widths": (8, 8, 12, 0)}, "--videogigagan.widths: got 0, wanted 1 to"),
    ({"upsampling_widths": (8, 8, 4, 4)}, "--videogigagan.upsampling-widths: got (8, 8, 4, 4), wanted one to three"),
    ({"discriminator_widths": (8,)}, "--videogigagan.discriminator-widths: got (8,), wanted two or more"),
    ({"discriminator_widths": (8, 7)}, "--videogigagan.discriminator-widths: heads: got 2, wanted a divisor"),
    ({"heads": 3}, "--videogigagan.heads: got 3, wanted a divisor of every width that attention works at, such as 8"),
    ({"mapping_layers": 0}, "--videogigagan.mapping-layers: got 0, wanted 1 to"),
    ({"r1_every": 0}, "--videogigagan.r1-every: got 0, wanted 1 or more"),
    ({"model": "other"}, "--videogigagan.model: got 'other', wanted nothing with --videogigagan.widths, of a new network"),
    ({"gan": -1.0}, "--videogigagan.gan: got -1.0, wanted 0 or more"),
    ({"flow_weights": "none.pth"}, "--videogigagan.flow-weights none.pth: nothing there"),
    ({"lpips_weights": "none.pth"}, "--videogigagan.lpips-weights none.pth: nothing there"),
])  # fmt: skip
def test_new_networks_that_cannot_be_are_refused(capsys, flags, message):
    refuses(flags_of(**NETWORK | {"discriminator_widths": DISCRIMINATOR_WIDTHS} | flags), capsys, message)


def test_sharded_layers_are_refused(capsys, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    refuses(NEW, capsys, "accelerate's launch file: got FSDP, wanted DDP (train/launch/ddp_8gpu.yaml)")


def test_flags_that_do_not_fit_the_model_are_refused(model, image, tmp_path, capsys):
    own = flags_of(model=model)
    for name, value in {"heads": 2, "kernels": 2, "upsampling_widths": (8, 4, 4)}.items():
        wanted = "wanted nothing without --videogigagan.widths: the model has its own"
        refuses(
            [*own, *flags_of(**{name: value})],
            capsys,
            f"--videogigagan.{name.replace('_', '-')}: got {value}, {wanted}",
        )
    wanted = f"--videogigagan.propagation-channels: got 8, wanted nothing: {model} has its own, 4"
    refuses([*own, *flags_of(propagation_channels=8)], capsys, wanted)
    refuses([*own, "--export", model], capsys, "--export", "of its own")
    refuses(flags_of(model="nowhere"), capsys, "--videogigagan.model: got 'nowhere', which is no folder")
    small_discriminator().save_pretrained(tmp_path / "other")
    refuses(flags_of(model=tmp_path / "other"), capsys, "--videogigagan.model", "is no VideoGigaGAN")
    own = flags_of(model=image, discriminator_widths=DISCRIMINATOR_WIDTHS)
    wanted = (
        f"--videogigagan.discriminator-widths: got {DISCRIMINATOR_WIDTHS}, wanted nothing: {image} has a discriminator"
    )
    refuses(own, capsys, wanted)
    damaged = shutil.copytree(image, tmp_path / "image")
    (weights,) = (damaged / "discriminator").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    refuses(flags_of(model=damaged), capsys, weights, "damaged")
