"""Clips of a build that were damaged after they were made, or would be made of what is no number."""

from fractions import Fraction

import pytest
import torch

from footage import damage, film
from realis.builder.clip import Clip, Dropped
from realis.builder.damage import DamagedError, unreadable
from realis.builder.publish import check_smaller, lay_out, shrink
from realis.core.errors import InputError
from realis.video.fingerprint import fingerprint


@pytest.fixture
def clip(tmp_path):
    film(tmp_path / "a.mp4", frames=4)
    facts = {"height": 128, "width": 160, "rate": Fraction(25), "frames": 4, "split": "test"}
    return Clip("a", "a.mp4", file="a.mp4", digest=fingerprint(tmp_path / "a.mp4"), **facts)


def test_a_damaged_clip_is_not_published_but_removed(clip, tmp_path):
    (published,) = lay_out([clip], tmp_path, "set")
    assert published.path(tmp_path).samefile(tmp_path / "a.mp4")
    damage(tmp_path / "a.mp4")
    with pytest.raises(DamagedError, match=r"a\.mp4, and 1 other file: no longer what was made; removed"):
        lay_out([clip], tmp_path, "set")
    assert not clip.is_there(tmp_path) and not published.is_there(tmp_path)


def test_a_damaged_smaller_clip_is_removed(clip, tmp_path):
    (small,) = shrink(clip, tmp_path, "small")
    check_smaller([small], tmp_path)
    damage(small.path(tmp_path))
    with pytest.raises(DamagedError, match=r"a\.mkv: no longer what was made"):
        check_smaller([small], tmp_path)
    assert not small.is_there(tmp_path)


def test_pixels_that_are_no_numbers_make_no_black_clip(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("realis.ops.resize.resize", lambda image, size: torch.full((3, *size), float("nan")))
    with pytest.raises(FloatingPointError, match="frame 0 was resized to pixels that are no numbers"):
        list(shrink(clip, tmp_path, "small"))
    assert not list((tmp_path / "small").rglob("*.mkv"))


def test_why_a_clip_cannot_be_read(clip, tmp_path):
    """It never could; it was damaged since it was cut; it is gone, as a drive may be for a while."""
    error = InputError("a.mp4: no video")
    assert unreadable(clip, tmp_path, "damaged", error) == Dropped("a", "damaged", "a.mp4: no video")
    damage(tmp_path / "a.mp4")
    with pytest.raises(DamagedError, match="no longer what was made"):
        unreadable(clip, tmp_path, "damaged", error)
    with pytest.raises(InputError, match=r"a\.mp4: no video"):
        unreadable(clip, tmp_path, "damaged", error)
