"""Pictures in training: sampled as inference samples, by what the CPC's config.json says."""

import json
from dataclasses import replace

import pytest
import torch

from conftest import randomise_projections
from realis.data.randomness import sample_generator
from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss
from realis.methods.registry import find_method
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.hub import PRESETS
from realis.models.wan.latents import decode_video, encode_video
from realis.models.wan.loading import Wan, load_controlnet
from realis.training.settings import FlowConfig
from realis.training.steps.cpc import CpcStep
from realis.upscaler import Placement
from realis.upscaling.cpc_config import CpcConfig
from windows import restore_window

METHOD = find_method("cpc")


@pytest.fixture(scope="module")
def wan():
    return Wan(PRESETS / "tiny", torch.float32, torch.float32, "cpu")


@pytest.fixture
def make_cpc(wan, tmp_path):
    def make(**sampling):
        controlnet = CpcControlNet.from_transformer(wan.transformer, 3, **sampling)
        randomise_projections(controlnet).save_pretrained(tmp_path)
        return controlnet, CpcConfig(cpc=str(tmp_path), decoder="wan")

    return make


def sampling_of(cpc, **flags):
    """How ``upscale`` samples a CPC of realis-tiny."""
    settings = METHOD.needs(CpcConfig(cpc=str(cpc), **flags), False).settings
    return {name: settings[name] for name in ("steps", "shift", "sampler")}


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_a_picture_of_training_is_what_inference_makes_of_the_same_noise(wan, make_cpc, sampler):
    controlnet, options = make_cpc(steps=3, shift=5.0, sampler=sampler)
    prompt, lr = wan.encode_prompts([""])[0], torch.rand(1, 3, 5, 32, 32) * 2 - 1
    step = CpcStep(
        ControlledWan(wan.transformer, controlnet, prompt), HrLoss(HrLossConfig()), FlowConfig(shift=2.0), 0, "no"
    )
    with torch.no_grad():
        latents = step({"lr_latents": encode_video(wan.vae, lr), "number": torch.tensor([7])}, "sample")
        noise = torch.randn(1, *latents.shape[1:], generator=sample_generator(0, 7, "noise"))
        upscaler = METHOD.load(options, Placement(), [""])
        torch.testing.assert_close(decode_video(wan.vae, latents), restore_window(upscaler.window(""), lr, noise))


def test_what_is_given_at_inference_comes_before_what_the_cpc_says(make_cpc):
    _, options = make_cpc(steps=3, shift=5.0, sampler="unipc")
    asked = {"steps": 2, "shift": 4.0, "sampler": "euler"}
    assert sampling_of(options.cpc) == {"steps": 3, "shift": 5.0, "sampler": "unipc"}
    assert sampling_of(options.cpc, **asked) == asked
    sampling = METHOD.load(replace(options, **asked), Placement(), [""]).sampling
    assert (sampling.steps, sampling.shift, sampling.sampler) == (2, 4.0, "euler")


def test_a_cpc_that_names_no_sampler_is_sampled_as_it_was_made_for(make_cpc, tmp_path):
    make_cpc(steps=3, shift=5.0, sampler="unipc")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps({n: x for n, x in config.items() if n not in ("shift", "sampler")})
    )
    c = load_controlnet(tmp_path, torch.float32).config
    assert (c.steps, c.shift, c.sampler) == (3, 3.0, "euler")
    assert sampling_of(tmp_path) == {"steps": 3, "shift": 3.0, "sampler": "euler"}


@pytest.mark.parametrize(("said", "wanted"), [({"strength": 0.3}, 0.3), ({}, 1)])
def test_a_cpc_says_how_much_of_its_result_is_taken(make_cpc, said, wanted):
    _, options = make_cpc(**said)
    assert METHOD.needs(options, False).strength == wanted
