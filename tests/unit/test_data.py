"""Training material: clips, degradation, the loss."""

import numpy as np
import pytest
import torch

from realis.degradation.parameters import DegradationConfig, DegradationParameters, draw_parameters
from realis.degradation.second_order import SecondOrderDegradation
from realis.losses.hr_loss import HrLoss
from realis.ops.resize import resize
from realis.training.pairs import render_pair
from realis.training.settings import DataConfig
from realis.video.photographs import CameraMove, film, photograph, sample_clip, training_clip


def test_the_sample_shows_both_photographs_at_native_scale():
    frames = list(sample_clip(frames=17))
    assert len(frames) == 17 and frames[0].shape == (3, 540, 960)
    coffee = photograph("coffee.png")
    first = frames[0][:, 68:468, 160:760]
    assert (first - coffee).abs().mean() < 0.02
    assert (frames[16] - frames[0]).abs().mean() > 0.01


def test_a_pan_of_whole_pixels_is_a_crop():
    image = torch.rand(3, 40, 50)
    clip = film(image, CameraMove((20.0, 20.0), (20.0, 28.0)), 3, (16, 16))
    for i, left in enumerate((12, 16, 20)):
        torch.testing.assert_close(clip[i], image[:, 12:28, left : left + 16], atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 9])
def test_training_clips_are_reproducible_and_in_range(frames):
    for seed in range(12):
        a, b = (training_clip(np.random.default_rng(seed), frames, 32) for _ in range(2))
        assert torch.equal(a, b) and a.shape == (frames, 3, 32, 32)
        assert a.min() >= 0 and a.max() <= 1


def test_drawn_parameters_stay_in_their_ranges():
    config = DegradationConfig(clean=0.25)
    draws = [draw_parameters(config, 4.0, np.random.default_rng(i)) for i in range(2000)]
    clean = [p for p in draws if p.jpeg_quality is None]
    assert len(clean) / len(draws) == pytest.approx(0.25, abs=0.03)
    rest = [p for p in draws if p.jpeg_quality is not None]
    assert all(0.3 <= p.blur_sigma <= 2.5 and 45 <= p.jpeg_quality <= 95 for p in rest)
    assert max(p.noise_sigma for p in rest) == pytest.approx(15 / 255, rel=0.02)


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
def test_degradation_replays_and_shrinks(scale):
    hr = torch.rand(3, 3, 32, 48)
    parameters = DegradationParameters(scale, 1.0, "area", 0.05, 60, noise_seed=3)
    once, again = (SecondOrderDegradation()(hr, parameters) for _ in range(2))
    assert torch.equal(once, again)
    assert once.shape == (3, 3, round(32 / scale), round(48 / scale))
    torch.testing.assert_close(once * 255, (once * 255).round())


def test_clean_degradation_is_bicubic():
    hr = torch.rand(2, 3, 32, 48)
    lr = SecondOrderDegradation()(hr, DegradationParameters(4, 0.0, "bicubic", 0.0, None, 0))
    assert (lr - resize(hr, (8, 12)).clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6


def test_pairs_depend_on_seed_and_number_alone():
    config = DataConfig(count=2, frames=5, size=32)
    assert all(torch.equal(a, b) for a, b in zip(render_pair(config, 1, 7), render_pair(config, 1, 7), strict=True))
    assert not torch.equal(render_pair(config, 1, 7)[0], render_pair(config, 1, 8)[0])
    hr, lr = render_pair(config, 1, 7)
    assert hr.shape == lr.shape == (3, 5, 32, 32) and hr.dtype == lr.dtype == torch.uint8


def test_loss_is_the_mean_squared_error_in_float32():
    a, b = torch.randn(2, 4, 2, 3, 3), torch.randn(2, 4, 2, 3, 3)
    losses = HrLoss()(a.bfloat16(), b)
    assert losses["loss"].dtype == torch.float32
    torch.testing.assert_close(losses["loss"], (a.bfloat16().float() - b).square().mean())
