"""Clips that show the same are found; the split keeps footage apart and is the same for the same seed."""

import itertools
from collections import Counter

import numpy as np
import pytest

from footage import film
from realis.dataset.clip import Clip, Dropped
from realis.dataset.duplicates import DuplicatesConfig, duplicates, first_alike, hashes
from realis.dataset.split import SplitConfig, split


def hashed(path, frames=12):
    (clip,) = hashes(Clip(path.stem, str(path), frames=frames), path.parent, DuplicatesConfig())
    return clip


def test_the_same_scene_is_found_again_in_another_encoding(tmp_path):
    one = hashed(film(tmp_path / "one.mp4", frames=12))
    small = hashed(film(tmp_path / "small.mkv", frames=12, codec="mpeg4", options={"q": "12"}))
    other = hashed(film(tmp_path / "other.mp4", frames=12, place=180))
    kept = list(duplicates([one, other, small], DuplicatesConfig()))
    assert kept == [one, other, Dropped("small", "shows the same as another", "one")]
    assert list(duplicates([one, other, small], DuplicatesConfig(distance=-1))) == [one, other, small]


def test_what_is_left_out_takes_no_others_with_it():
    hash_of = [np.array([value], np.uint64) for value in (0, 0b111, 0b111111)]
    assert first_alike(hash_of, 3) == [0, 0, 2]


@pytest.mark.parametrize("count", [1, 50, 5000])
def test_every_pair_is_compared(count):
    every = np.random.default_rng(0).integers(0, 2**63, (count, 2), dtype=np.uint64)
    every[-1, 1] = every[0, 0]
    assert first_alike(list(every), 2) == [*range(count - 1), 0]


def clips(videos, each):
    return [Clip(f"{v}-{i}", f"{v}.mp4") for v, i in itertools.product(range(videos), range(each))]


@pytest.mark.parametrize(
    ("videos", "each", "test"), [(1000, 1, 140), (500, 2, 140), (400, 3, 138), (50, 2, 14), (3, 1, 1)]
)
def test_no_video_is_on_both_sides(videos, each, test):
    outcomes = list(split(clips(videos, each), SplitConfig()))
    sides = {(clip.video, clip.split) for clip in outcomes}
    assert len(sides) == videos
    assert Counter(clip.split for clip in outcomes)["test"] == test
    assert outcomes == list(split(clips(videos, each), SplitConfig()))
    assert test < 10 or outcomes != list(split(clips(videos, each), SplitConfig(seed=1)))


def test_only_so_many_are_drawn():
    outcomes = list(split(clips(60, 2), SplitConfig(clips=100, test=20)))
    assert sum(isinstance(one, Clip) for one in outcomes) == 100
    assert sum(one == Dropped(one.name, "not drawn") for one in outcomes) == 20
