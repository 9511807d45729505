"""``--vae-dtype``: float32 for a VAE as wide as Wan's own, beside a transformer in bfloat16."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file

from conftest import TINY_VAE
from realis.methods.flags import parse_upscale
from realis.methods.registry import find_method
from realis.models.hub import PRESETS, TINY, WAN_WIDTH
from realis.models.wan.latents import encode_video
from realis.upscaler import Placement
from realis.upscaling.app.plan import weights_memory
from realis.upscaling.cpc_config import CpcConfig
from windows import restore_window

METHOD = find_method("cpc")
BFLOAT16, FLOAT32 = torch.bfloat16, torch.float32


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model as realis-tiny, but for a VAE of Wan's width; its weights are stored in bfloat16."""
    folder = shutil.copytree(PRESETS / "tiny", tmp_path_factory.mktemp("model") / "wide")
    shutil.rmtree(folder / "vae")
    torch.manual_seed(0)
    AutoencoderKLWan(**TINY_VAE | {"base_dim": WAN_WIDTH}).to(BFLOAT16).save_pretrained(folder / "vae")
    return str(folder)


def needs_of(model, vae_dtype="auto"):
    return METHOD.needs(CpcConfig(model=model, vae_dtype=vae_dtype), False)


def networks_of(model, vae_dtype="auto", **placement):
    return METHOD.load(CpcConfig(model=model, vae_dtype=vae_dtype), Placement(**placement), [""]).networks


def key_of(model, vae_dtype="auto"):
    flags = ["in.mp4", "--model", model, "--vae-dtype", vae_dtype]
    return parse_upscale(flags).settings(needs_of(model, vae_dtype))


def test_auto_keeps_a_vae_of_wans_width_in_float32_and_a_smaller_one_in_dtype(wide):
    beside = networks_of(wide, dtype="bfloat16")
    assert (beside.vae.dtype, beside.controlnet.dtype) == (FLOAT32, BFLOAT16)
    for dtype in ("bfloat16", "float32"):
        assert networks_of(TINY, dtype=dtype).vae.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("vae_dtype", ["bfloat16", "float32"])
def test_what_is_asked_for_comes_before_width_and_dtype(wide, vae_dtype):
    assert list(needs_of(wide, vae_dtype).dtypes.values()) == [vae_dtype]
    for dtype in ("bfloat16", "float32"):
        networks = networks_of(TINY, vae_dtype, dtype=dtype)
        assert (networks.vae.dtype, networks.controlnet.dtype) == (getattr(torch, vae_dtype), getattr(torch, dtype))


def test_a_vae_whose_configuration_names_no_width_is_wans(tmp_path):
    model = shutil.copytree(PRESETS / "tiny", tmp_path / "model")
    file = model / "vae" / "config.json"
    config = json.loads(file.read_text())
    del config["base_dim"]  # diffusers then builds Wan's own
    file.write_text(json.dumps(config))
    assert needs_of(str(model)).settings["vae_dtype"] == "float32"


def test_a_result_belongs_to_the_dtype_that_was_chosen(wide):
    chosen = key_of(wide)
    assert chosen == key_of(wide, "float32")
    halved = key_of(wide, "bfloat16")
    assert {name for name in chosen if chosen[name] != halved[name]} == {"vae_dtype"}
    assert key_of(TINY)["vae_dtype"] == "auto"  # --dtype, which is in the key as well


def test_the_plan_names_the_dtype_counts_its_memory_and_knows_how_to_save_it(wide):
    (vae,) = (Path(wide) / "vae").glob("*.safetensors")
    parameters = sum(weight.numel() for weight in load_file(vae).values())
    plain, exact, halved = needs_of(TINY), needs_of(wide), needs_of(wide, "bfloat16")
    assert weights_memory(exact) - weights_memory(halved) == 2 * parameters
    files = sum(file.stat().st_size for file in (PRESETS / "tiny").rglob("*.safetensors"))
    assert weights_memory(plain) == files
    assert [needs.sampling.partition(", ")[2] for needs in (plain, exact, halved)] == [
        "", "VAE in float32", "VAE in bfloat16",
    ]  # fmt: skip
    assert ["--vae-dtype bfloat16" in needs.less_memory for needs in (plain, exact, halved)] == [False, True, False]


@pytest.mark.parametrize("placed", [{"offload": True}, {"offload": True, "fp8": True}])
def test_a_float32_vae_beside_offloaded_and_8_bit_weights(placed):
    generator = torch.Generator().manual_seed(1)
    lr, noise = torch.rand(1, 3, 5, 32, 32, generator=generator), torch.randn(1, 16, 2, 4, 4, generator=generator)
    config = CpcConfig(vae_dtype="float32", decoder="wan")
    whole, less = (METHOD.load(config, Placement(dtype="bfloat16", **flags), [""]).window("") for flags in ({}, placed))
    with torch.no_grad():
        assert torch.equal(encode_video(less.networks.vae, lr), encode_video(whole.networks.vae, lr))
        restored, wanted = restore_window(less, lr, noise), restore_window(whole, lr, noise)
    assert {weight.dtype for weight in less.networks.vae.parameters()} == {FLOAT32}
    torch.testing.assert_close(restored, wanted, rtol=0, atol=0.05 if "fp8" in placed else 0)
