"""The seam of the methods: one written here alone is a method like any other; and weights are loaded once for a run."""

import gc
import json
import weakref
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import UMT5EncoderModel

import realis
from conftest import randomise_projections
from realis.commands.__main__ import run_upscale
from realis.core.errors import InputError
from realis.methods import registry
from realis.methods.flags import parse_upscale
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.wan import loading
from realis.ops.resize import resize
from realis.upscaler import MethodCard, Needs, Segments

SEEN = []  # frames of each segment


@dataclass(frozen=True)
class DoublingConfig:
    """Twice as large, every pixel four times, times a gain."""

    PREFIX: ClassVar = "doubling"

    network: str = ""  # a folder with the gain
    offset: float = 0.0  # added to every pixel


class DoublingUpscaler:
    def __init__(self, needs, gain, offset):
        self.needs, self.gain, self.offset = needs, gain, offset

    def upscale(self, frames, size, *, tiles, noise, carry, prompt, advance):
        assert len(tiles) == 1 and noise is None and size == (2 * frames.shape[2], 2 * frames.shape[3])
        SEEN.append(len(frames))
        advance(1.0)
        return doubled(frames) * self.gain + self.offset, {}


class DoublingMethod:
    Config = DoublingConfig
    card = MethodCard("Doubling", "tests", "all else", "2", "little", "--method doubling")

    def needs(self, config, prompted):
        if not (Path(config.network) / "gain.safetensors").is_file():
            raise InputError(f"--doubling.network {config.network}: no gain there")
        weights = {"network": Path(config.network)}
        return Needs(Segments(3), scales=(2,), weights=weights, sampling="no steps at all", label="by a test")

    def load(self, config, placement, prompts):
        gain = load_file(Path(config.network) / "gain.safetensors")["gain"]
        return DoublingUpscaler(self.needs(config, False), gain, config.offset)


METHOD = DoublingMethod()


def doubled(frames):
    return frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


@pytest.fixture
def network(tmp_path, monkeypatch):
    """The method registered, and its weights."""
    monkeypatch.setitem(registry.METHODS, "doubling", f"{__name__}:METHOD")
    SEEN.clear()
    (tmp_path / "network").mkdir()
    save_file({"gain": torch.tensor(0.5)}, tmp_path / "network" / "gain.safetensors")
    return tmp_path / "network"


def write_images(folder, count=7, size=(10, 12)):
    """Frames whose levels a gain of 1/2 leaves whole, (F, 3, H, W) uint8."""
    folder.mkdir()
    levels = 2 * np.random.default_rng(0).integers(0, 128, (count, *size, 3)).astype(np.uint8)
    for number, image in enumerate(levels):
        Image.fromarray(image).save(folder / f"{number}.png")
    return torch.from_numpy(levels).permute(0, 3, 1, 2)


def read_images(folder):
    files = sorted(folder.glob("*.png"), key=lambda file: int(file.stem))
    return torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files])).permute(0, 3, 1, 2)


def test_a_method_has_its_flags_and_its_place_in_the_help(network, capsys):
    for words in ([], ["--method", "doubling"]):
        with pytest.raises(SystemExit) as stop:
            run_upscale([*words, "--help"])
        said = capsys.readouterr().out
        assert stop.value.code == 0 and f"Methods: {', '.join(registry.METHODS)}." in " ".join(said.split())
        assert ("--doubling.offset" in said) == bool(words) and ("--cpc-scale" in said) != bool(words)
    with pytest.raises(SystemExit):
        run_upscale(["--method", "doubling", "--doubling.network", "nowhere"])
    assert "--doubling.network nowhere: no gain there" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("factor", [2, 3])
def test_a_method_of_one_scale_makes_what_was_asked_for(network, tmp_path, capsys, factor):
    frames = write_images(tmp_path / "in")
    run_upscale([
        "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--target", f"{factor}x",
        "--method", "doubling", "--doubling.network", str(network), "--doubling.offset", "0.2", "--across-cuts",
    ])  # fmt: skip

    # The result: what the method makes, and at 3x the rest resized
    wanted = doubled(frames.float() / 255) * 0.5 + 0.2
    if factor == 3:
        wanted = resize(wanted, (30, 36)).clamp(0, 1)
    assert torch.equal(read_images(tmp_path / "out"), (wanted * 255).round().byte())
    assert SEEN == [3, 3, 1]

    # The plan
    (plan,) = [line for line in capsys.readouterr().err.splitlines() if "plan: " in line]
    assert f"12x10 -> {12 * factor}x{10 * factor}, 7 frames" in plan
    assert "3 segments of up to 3 frames, no steps at all; " in plan
    assert ("doubling makes 24x20, which is resized" in plan) == (factor == 3)

    # The key
    key = json.loads((tmp_path / "out.json").read_text())["made from"]
    assert key.items() >= {"method": "doubling", "doubling.offset": 0.2, "target": f"{factor}x"}.items()
    assert "content of --doubling.network" in key and "cpc_scale" not in key


def test_a_strength_blends_the_result_with_the_resized_input(network, tmp_path, capsys):
    frames = write_images(tmp_path / "in").float() / 255

    def upscaled(name, *words):
        run_upscale(["--input", str(tmp_path / "in"), "--output", str(tmp_path / name), "--target", "3x", *words])
        return read_images(tmp_path / name)

    def strength_of(name):
        return json.loads((tmp_path / f"{name}.json").read_text())["made from"].get("strength")

    ours = ["--method", "doubling", "--doubling.network", str(network)]
    bicubic, whole = upscaled("bicubic", "--method", "bicubic"), upscaled("whole", *ours)
    assert torch.equal(upscaled("none", *ours, "--strength", "0"), bicubic)
    assert torch.equal(upscaled("all", *ours, "--strength", "1"), whole)

    # Blended on the size asked for, where the method makes another
    half = upscaled("half", *ours, "--strength", "0.5")
    resized, result = (resize(x, (30, 36)).clamp(0, 1) for x in (frames, doubled(frames) * 0.5))
    assert (half - (resized + result) / 2 * 255).abs().max() <= 0.5 + 1e-3
    said = capsys.readouterr().err.splitlines()
    assert ["strength 0.5" in line for line in said if "plan: " in line] == [False] * 4 + [True]

    # The key; of bicubic, which is the resized input, it is not in it
    assert [strength_of(name) for name in ("whole", "none", "half", "bicubic")] == [1, 0, 0.5, None]
    with pytest.raises(SystemExit):
        upscaled("half", *ours, "--strength", "0.6")
    assert "strength" in capsys.readouterr().err.splitlines()[-1]
    assert torch.equal(upscaled("bicubic", "--method", "bicubic", "--strength", "0.5"), bicubic)
    assert "--strength 0.5: changes nothing" in capsys.readouterr().err


@pytest.fixture
def loads(monkeypatch):
    """For each network that was opened, in order, its class, and the classes of those that were there already."""
    found, alive = [], []

    def noted(network):
        gc.collect()
        found.append((type(network).__name__, [type(there()).__name__ for there in alive if there()]))
        alive.append(weakref.ref(network))

    load_part, from_pretrained = loading.load_part, UMT5EncoderModel.from_pretrained

    def counted_part(*arguments):
        part = load_part(*arguments)
        noted(part)
        return part

    def counted_encoder(*arguments, **options):
        loaded = from_pretrained(*arguments, **options)
        noted(loaded[0])
        return loaded

    monkeypatch.setattr(loading, "load_part", counted_part)
    monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", counted_encoder)
    return found


def test_three_videos_with_three_prompts_load_the_model_once(wan_folder, transformer, tmp_path, loads):
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2, window=(5, 32, 32)))
    controlnet.save_pretrained(tmp_path / "cpc")
    prompts = {"one": "a cat", "two": "close up of a cat", "three": "of"}
    for name in prompts:
        write_images(tmp_path / name, 1, (16, 16))
    lines = [json.dumps({"file": name, "prompt": prompt}) for name, prompt in prompts.items()]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
    run_upscale([
        "--input", *(str(tmp_path / name) for name in prompts), "--output", str(tmp_path / "out"), "--target", "2x",
        "--model", str(wan_folder), "--cpc", str(tmp_path / "cpc"), "--prompt-file", str(tmp_path / "prompts.jsonl"),
        "--negative-prompt", "up", "--guidance", "20", "--segment-overlap", "1", "--tile-overlap", "16",
        "--dtype", "float32",
    ])  # fmt: skip

    results = [read_images(tmp_path / "out" / f"{name}_2x") for name in prompts]
    assert all(result.shape == (1, 3, 32, 32) for result in results)
    assert all(not torch.equal(one, other) for one, other in zip(results, results[1:] + results[:1], strict=True))
    names = [name for name, _ in loads]
    assert Counter(names) == dict.fromkeys(
        ("CpcControlNet", "UMT5EncoderModel", "ControlledWanTransformer3DModel", "AutoencoderKLWan"), 1
    )
    # The text encoder, the largest of all, is gone before the transformer comes
    there = dict(loads)
    assert "UMT5EncoderModel" not in there["ControlledWanTransformer3DModel"] + there["AutoencoderKLWan"]


def test_a_flag_of_another_method_is_said_to_be_one():
    with pytest.raises(InputError, match="--steps: is a flag of --method cpc, not of bicubic"):
        parse_upscale(["--method", "bicubic", "--steps", "3"])


def test_a_flag_of_another_method_in_a_recipe_is_said_to_be_one(tmp_path):
    (tmp_path / "recipe.yaml").write_text("method: bicubic\nmodel: realis-tiny\n")
    with pytest.raises(InputError, match="--model: is a flag of --method cpc, not of bicubic"):
        parse_upscale([str(tmp_path / "recipe.yaml")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--segment-frames", "6"], "--segment-frames, --segment-overlap: got 6 frames with an overlap of 5"),
        (["--segment-frames", "5"], "--segment-frames, --segment-overlap: got an overlap of 5 of 5 frames"),
        (["--tile-width", "40"], "--tile-width: got 40, wanted multiples of 16"),
    ],
)
def test_sizes_that_do_not_fit_name_their_flags(words, message):
    with pytest.raises(InputError, match=message):
        registry.find_method("cpc").needs(parse_upscale(words).options, prompted=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "bicubic", "steps": 3}, "--steps: is a flag of --method cpc"),
        ({"metod": "bicubic"}, "--metod: no such flag; did you mean --method"),
        ({"crf": "high"}, "--crf: got 'high', wanted a whole number"),
        ({"target": 2}, "--target"),
    ],
)
def test_options_from_python_are_checked_as_flags_are(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        realis.upscale_video(tmp_path / "in.png", **options)


def test_a_prompt_for_one_input_stops_no_other(tmp_path, capsys):
    """Of a model without a text encoder, which refuses it."""
    for name in ("a", "b"):
        Image.fromarray(np.full((32, 32, 3), 99, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "prompts.jsonl").write_text('{"file": "a.png", "prompt": "a cat"}')
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--output", str(tmp_path / "out"),
                     "--target", "2x", "--prompt-file", str(tmp_path / "prompts.jsonl")])  # fmt: skip
    assert stop.value.code == 2 and "1 of 2 done" in capsys.readouterr().err
    assert (tmp_path / "out" / "b_2x.png").exists()
