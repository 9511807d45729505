"""How much of a result is taken over the resized input."""

import pytest
import torch

from realis.methods.flags import parse_upscale
from realis.methods.registry import find_method
from realis.ops.resize import resize
from realis.upscaler import Needs, NoiseGrid, Segments
from realis.upscaling.cpc_config import CpcConfig
from realis.upscaling.strength import blend_with_input

NETWORK = NoiseGrid(16, 4, 8)


@pytest.fixture
def pair():
    """A frame of a result, and the one of the input that it was made from."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 36, 52, generator=generator), torch.rand(3, 9, 13, generator=generator)


def test_both_ends_are_exact(pair):
    frame, source = pair
    assert torch.equal(blend_with_input(frame, source, 0.0), resize(source, (36, 52)).clamp(0, 1))
    assert torch.equal(blend_with_input(frame, source, 1.0), frame)


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.65])
def test_between_them_it_is_the_formula(pair, strength):
    frame, source = pair
    resized = resize(source, (36, 52)).clamp(0, 1)
    torch.testing.assert_close(blend_with_input(frame, source, strength), resized + strength * (frame - resized))


def test_what_is_asked_for_comes_before_what_the_model_says():
    needs = Needs(Segments(5), noise=NETWORK, strength=0.65)
    assert parse_upscale(["in.mp4"]).settings(needs)["strength"] == 0.65
    assert parse_upscale(["in.mp4", "--strength", "0.2"]).settings(needs)["strength"] == 0.2
    assert parse_upscale(["in.mp4"]).settings(Needs(Segments(5), noise=NETWORK))["strength"] == 1
    assert (
        parse_upscale(["in.mp4", "--strength", "0.2"]).strength_for(Needs(Segments(5))) == 1
    )  # the resized input itself


def test_realis_tiny_says_its_own():
    assert find_method("cpc").needs(CpcConfig(), False).strength == 0.65
