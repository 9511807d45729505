"""DOVER: what is kept of a clip that goes by, the order in which its networks see it, and how their scores are fused.

The authors' package, which is not for commercial use, is not installed with realis: what draws frames and fragments stands
in for it here.
"""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from realis.core.errors import InputError
from realis.metrics import dover
from realis.metrics.base import Moment, Tools
from realis.metrics.dover import CLIPS, LENGTH, MEAN, STD, DoverMeter, fuse

TOTAL = 300
SIDE = 8  # of what the networks see, which is 224: there are millions of pixels in their views


class Sampler:
    """Every clip from a third of the video on, or frames all over the video, from the same random frame."""

    def __init__(self, length, clips, stride):
        self.length, self.clips, self.stride = length, clips, stride

    def __call__(self, total):
        starts = np.arange(self.clips) * (total // self.clips) + np.random.randint(0, 4)
        return np.concatenate([start + np.arange(self.length) * self.stride for start in starts]) % total


def first_pixels(video, *sizes, aligned):
    """Fragments, of which those of each clip are brighter than those of the clip before."""
    assert aligned == 1 and video.shape[1] == CLIPS
    return video[..., :1, :1].expand(-1, -1, SIDE, SIDE).float() + torch.arange(CLIPS).view(1, -1, 1, 1)


@pytest.fixture(autouse=True)
def package(monkeypatch):
    monkeypatch.setattr(dover, "SIDE", SIDE)
    datasets = SimpleNamespace(UnifiedFrameSampler=Sampler, get_spatial_fragments=first_pixels)
    monkeypatch.setitem(sys.modules, "dover", SimpleNamespace(datasets=datasets))
    monkeypatch.setitem(sys.modules, "dover.datasets", datasets)


def measured(network, total=TOTAL, frames=TOTAL):
    meter, tools = DoverMeter(), Tools(networks={"dover": network})
    for number in range(frames):
        meter.add(Moment(torch.full((3, 9, 16), number / 255).clamp(max=1), None, None, tools, total))
    return meter


def test_networks_see_the_sampled_frames_technical_first():
    seen = []
    values = measured(lambda *views: seen.append(views) or torch.tensor([0.2, -0.05])).values()
    assert values.shape == (1,) and values[0] == pytest.approx(fuse(0.2, -0.05))
    technical, aesthetic = (views.movedim(1, -1) * STD + MEAN for views in seen[0])  # as bytes again
    assert technical.shape == (CLIPS, LENGTH, SIDE, SIDE, 3) and aesthetic.shape == (1, LENGTH, SIDE, SIDE, 3)
    first, every = technical[:, :, 0, 0, 0].round(), aesthetic[0, :, 0, 0, 0].round()
    assert (first[0, 1:] - first[0, :-1] == 2).all() and first[1, 0] - first[0, 0] == TOTAL // CLIPS + 1
    assert (every[1:20] - every[:19] == TOTAL // LENGTH).all()


def test_no_more_is_kept_than_what_is_sampled():
    meter = measured(lambda *_: torch.zeros(2))
    assert len(meter._fragments) == CLIPS * LENGTH and len(meter._whole) == LENGTH
    assert {view.dtype for view in (*meter._fragments.values(), *meter._whole.values())} == {torch.uint8}


def test_draws_are_the_same_every_time_and_change_no_others():
    seen = []
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    for _ in range(2):
        measured(lambda technical, _: seen.append(technical) or torch.zeros(2)).values()
    assert torch.equal(*seen)
    assert states[:2] == (random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(states[2], torch.get_rng_state())


def test_short_clips_are_sampled_over_and_over():
    assert measured(lambda *_: torch.zeros(2), total=5, frames=5).values().shape == (1,)


def test_a_clip_of_another_length_than_it_was_said_to_have_is_refused():
    with pytest.raises(InputError, match="DOVER: got 9 frames, wanted 10, as the clip was said to have"):
        measured(lambda *_: torch.zeros(2), total=10, frames=9).values()


def test_a_file_that_does_not_say_its_length_is_refused():
    with pytest.raises(InputError, match="DOVER: got a file that does not say how many frames it has"):
        measured(lambda *_: torch.zeros(2), total=0, frames=9)


def test_scores_are_fused_as_by_the_authors():
    assert fuse(0.1107, -0.08285) == 50  # their means
    assert fuse(0.1107 + 0.07355, -0.08285) == pytest.approx(100 / (1 + np.exp(-0.6104)))
    assert fuse(0.1107, -0.08285 + 0.03774) == pytest.approx(100 / (1 + np.exp(-0.3896)))
