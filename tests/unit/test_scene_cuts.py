"""Scene cuts are found where a frame shows nothing of the one before, and nowhere else."""

import numpy as np
import pytest
import torch

from realis.data.photographs import CameraMove, film, photograph
from realis.ops.scene_cuts import CutDetector

SIZE = (90, 160)


def shot(name, frames=6, speed=4.0):
    """A photograph, filmed by a camera that moves sideways by so many of 160 pixels a frame."""
    image = photograph(name)
    y, x, reach = image.shape[1] / 2, image.shape[2] / 2, speed * (frames - 1) / 2
    return film(image, CameraMove((y, x - reach), (y, x + reach)), frames, SIZE)


def cuts(frames):
    detector = CutDetector()
    return [number for number, frame in enumerate(frames) if detector(frame)]


@pytest.fixture(scope="module")
def shots():
    return shot("astronaut.png"), shot("chelsea.png"), shot("rocket.jpg")


def noisy(frames, sigma):
    return frames + sigma * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))


CHANGES = {
    "as it is": lambda frames: frames,
    "dark": lambda frames: (frames * 0.15 * 255).round() / 255,
    "noisy": lambda frames: noisy(frames, 0.1),
    "dark and noisy": lambda frames: noisy(frames * 0.15, 0.03),
    "each frame twice": lambda frames: frames.repeat_interleave(2, 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_cuts_are_found_and_shots_are_not_cut(shots, change):
    frames = CHANGES[change](torch.cat(shots))
    times = len(frames) // len(torch.cat(shots))
    assert cuts(frames) == [6 * times, 12 * times]


def test_each_of_unrelated_pictures_is_a_shot(shots):
    assert cuts([shots[i % 3][i] for i in range(6)]) == [1, 2, 3, 4, 5]


def test_a_fast_pan_is_no_cut():
    assert cuts(shot("astronaut.png", frames=12, speed=10)) == []


def test_flashes_and_fades_are_no_cuts(shots):
    frames = shots[0]
    light = torch.tensor([1, 1, 0.3, 0.6, 1, 1]).view(-1, 1, 1, 1)
    fade = torch.tensor([1, 0.6, 0.2, 0, 0, 0.5]).view(-1, 1, 1, 1)
    assert cuts(frames * light + 1 - light) == cuts(frames * fade) == cuts(1 - fade + frames * fade) == []


def test_frames_may_be_tiny_or_flat():
    assert cuts([torch.zeros(3, 1, 1), torch.ones(3, 1, 1), torch.zeros(3, 1, 1)]) == []
    stripes = torch.from_numpy(np.indices((3, 6, 9))[2] % 2).float()
    assert cuts([stripes, stripes]) == []
