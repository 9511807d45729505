"""Clips that show the same are found; the split keeps footage apart and is the same for the same seed."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from footage import film
from realis.builder.clip import Clip, Dropped
from realis.builder.duplicates import DuplicatesConfig, duplicates, first_near_clip, hashes, near_clips
from realis.builder.split import SplitConfig, split
from realis.video.encoding import Encoding
from realis.video.read import VideoReader
from realis.video.write import SegmentWriter


def hashed(path, frames=12):
    (clip,) = hashes(Clip(path.stem, str(path), frames=frames, rate=Fraction(25)), path.parent, 0.2)
    return clip


def test_the_same_scene_is_found_again_in_another_encoding(tmp_path):
    one = hashed(film(tmp_path / "one.mp4", frames=12))
    small = hashed(film(tmp_path / "small.mkv", frames=12, codec="mpeg4", options={"q": "12"}))
    other = hashed(film(tmp_path / "other.mp4", frames=12, place=180))
    first, second, third = duplicates([one, other, small], DuplicatesConfig())
    assert (first.name, second.name) == ("one", "other")
    assert third == Dropped("small", "shows the same as another", "one")
    every = duplicates([one, other, small], DuplicatesConfig(distance=-1))
    assert [clip.name for clip in every] == ["one", "other", "small"]


def test_videos_that_show_the_same_are_linked_over_others():
    """The first and the third have nothing in common but the second, which is dropped."""
    shown = {"a": "00", "b": "00ff", "c": "ff", "d": "f0"}
    hashed = [
        Clip(video, f"{video}.mp4", hash="".join(8 * byte for byte in hash_of(shows))) for video, shows in shown.items()
    ]
    kept = [one for one in duplicates(hashed, DuplicatesConfig()) if isinstance(one, Clip)]
    of_video = {clip.video: clip.group for clip in kept}
    assert of_video.keys() == {"a.mp4", "c.mp4", "d.mp4"}
    assert of_video["a.mp4"] == of_video["c.mp4"] != of_video["d.mp4"]


def hash_of(shows):
    return [shows[i : i + 2] for i in range(0, len(shows), 2)]


def test_what_is_left_out_takes_no_others_with_it():
    hashes_of = [np.array([value], np.uint64) for value in (0, 0b111, 0b111111)]
    assert first_near_clip(near_clips(hashes_of, 3)) == [0, 0, 2]


@pytest.mark.parametrize("count", [1, 50, 5000])
def test_every_pair_is_compared(count):
    every = np.random.default_rng(0).integers(0, 2**63, (count, 2), dtype=np.uint64)
    every[-1, 1] = every[0, 0]
    assert first_near_clip(near_clips(list(every), 2)) == [*range(count - 1), 0]


def test_a_film_that_begins_later_is_linked(tmp_path):
    """Frames are hashed at equal times, not at equal shares of the clip."""
    long, late = film(tmp_path / "long.mp4", frames=40, size=(240, 320)), tmp_path / "late.mp4"
    with VideoReader(long) as video, SegmentWriter(late, (240, 320), video.rate, Encoding(crf=8)) as sink:
        sink.write(0, list(video)[12:])
    given = [Clip(file.stem, str(file), frames=count, rate=Fraction(25)) for file, count in ((long, 40), (late, 28))]
    hashed = [clip for one in given for clip in hashes(one, tmp_path, 0.5)]
    assert len(hashed[0].hash) // 16 == 3
    kept = [one.name for one in duplicates(hashed, DuplicatesConfig()) if isinstance(one, Clip)]
    assert kept == ["long"]


def test_flat_frames_make_nothing_alike(tmp_path):
    """Two shots with a white flash at the first frame that would be hashed."""
    for number in range(2):
        with VideoReader(film(tmp_path / f"{number}.mp4", frames=12, place=180 * number)) as video:
            images = list(video)
        images[1:4] = [np.full_like(images[0], 255)] * 3
        with SegmentWriter(tmp_path / f"{number}f.mp4", images[0].shape[:2], Fraction(25), Encoding(crf=8)) as sink:
            sink.write(0, images)
    found = [hashed(tmp_path / f"{number}f.mp4") for number in range(2)]
    assert all(len(clip.hash) == 16 for clip in found)  # of frames 2 and 7 the latter
    assert all(isinstance(one, Clip) for one in duplicates(found, DuplicatesConfig()))


def clips(videos, each):
    return [Clip(f"{v}-{i}", f"{v}.mp4", group=f"{v // 2}") for v, i in itertools.product(range(videos), range(each))]


@pytest.mark.parametrize(
    ("videos", "each", "test", "dropped"),
    [(1000, 1, 140, 0), (500, 2, 140, 0), (400, 3, 140, 4), (50, 2, 14, 2), (4, 1, 1, 1), (2, 5, 0, 0), (4, 10, 6, 14)],
)
def test_no_group_of_videos_is_on_both_sides(videos, each, test, dropped):
    """Two videos each are of one group here."""
    given = clips(videos, each)
    outcomes = list(split(given, SplitConfig()))
    kept = [one for one in outcomes if isinstance(one, Clip)]
    assert [one.name for one in outcomes] == [clip.name for clip in given]
    assert len({(clip.group, clip.split) for clip in kept}) == videos // 2
    assert Counter(clip.split for clip in kept)["test"] == test
    assert len(given) - len(kept) == dropped
    assert outcomes == list(split(given, SplitConfig()))
    assert test < 10 or outcomes != list(split(given, SplitConfig(seed=1)))


def test_a_large_group_is_not_given_up_for_a_few_test_clips():
    given = [Clip(f"{i}", "film.mp4", group="film") for i in range(900)] + clips(100, 1)
    for seed in range(3):
        outcomes = list(split(given, SplitConfig(seed=seed)))
        assert all(isinstance(one, Clip) for one in outcomes)
        assert 90 <= sum(one.split == "test" for one in outcomes) <= 100


def test_who_comes_or_goes_hardly_changes_who_is_tested():
    given = clips(2400, 1)
    tested = [
        {one.name for one in split(some, SplitConfig()) if one.split == "test"}
        for some in (given, given[2:], given[:-9])
    ]
    assert all(len(one) == 140 for one in tested)
    assert len(tested[0] & tested[1]) >= 138 and len(tested[0] & tested[2]) >= 136


def test_only_so_many_are_drawn():
    outcomes = list(split(clips(60, 2), SplitConfig(clips=100, test=20)))
    assert sum(isinstance(one, Clip) for one in outcomes) >= 97
    assert sum(one == Dropped(one.name, "not drawn") for one in outcomes) == 20
