"""Colours of a result: those of its source, steady in time, nothing else changed."""

import pytest
import torch

from realis.ops.resize import resize
from realis.upscaling.color_fix import ColorFix, low_frequencies


@pytest.fixture
def pair():
    """A source and a result of four times its size with more detail and another tint."""
    source = torch.rand(3, 24, 40, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    detail = 0.05 * torch.randn(3, 96, 160, generator=torch.Generator().manual_seed(1))
    tint = torch.tensor([1.1, 0.95, 0.9]).view(3, 1, 1)
    return resize(source, (96, 160)) * tint + detail, source


def test_the_coarse_part_is_the_sources(pair):
    frame, source = pair
    fixed, wanted = ColorFix("wavelet", {})(frame, source), resize(source, (96, 160))
    assert low_frequencies(fixed - wanted).abs().max() < 0.3 * low_frequencies(frame - wanted).abs().max()
    fine = (fixed - low_frequencies(fixed)) - (frame - low_frequencies(frame))
    assert fine.abs().mean() < 0.1 * (frame - low_frequencies(frame)).abs().mean()


def test_coarse_keeps_what_is_flat_and_drops_what_is_fine():
    assert torch.allclose(low_frequencies(torch.full((3, 20, 30), 0.3)), torch.tensor(0.3))
    stripes = torch.tensor([0.0, 1.0]).repeat(3, 80, 80)
    assert (low_frequencies(stripes) - 0.5).abs()[:, :, 40:-40].max() < 1e-3


def test_statistics_are_the_sources_and_follow_slowly(pair):
    frame, source = pair
    fix = ColorFix("adain", {})
    fixed = fix(frame, source)
    for got, wanted in zip(torch.std_mean(fixed, dim=(1, 2)), torch.std_mean(source, dim=(1, 2)), strict=True):
        assert torch.allclose(got, wanted, atol=0.01)
    flash = fix(frame + 0.2, source)  # one frame off: a tenth of it is taken back
    assert (flash - fixed).mean() == pytest.approx(0.18 * fix.state["gain"].mean().item(), abs=0.02)
    again = ColorFix("adain", fix.state)
    assert torch.equal(again(frame, source), fix(frame, source))


def test_none_changes_nothing(pair):
    assert ColorFix("none", {})(*pair) is pair[0]
