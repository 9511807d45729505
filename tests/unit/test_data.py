"""Training material: clips and pairs."""

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("scale", [4, 2, 1])
def test_pairs_depend_on_seed_and_number_alone(scale):
    config = DataConfig(count=2, frames=5, size=32, scales=(scale,))
    assert all(torch.equal(a, b) for a, b in zip(render_pair(config, 1, 7), render_pair(config, 1, 7), strict=True))
    assert not torch.equal(render_pair(config, 1, 7)[0], render_pair(config, 1, 8)[0])
    hr, lr = render_pair(config, 1, 7)
    assert hr.shape == lr.shape == (3, 5, 32, 32) and hr.dtype == lr.dtype == torch.uint8
