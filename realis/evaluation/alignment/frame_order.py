"""Frames that are shown at another time than in the ground truth: late, early, twice, or in another order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REACH = 8  # frames, in which a frame is looked for before and after its place
MOVES = 0.2 / 255  # root mean square of a change between frames of the truth, below which time cannot be told
BELONGS = 0.5  # of the truth's change between two frames: so much nearer to the other one, and a frame belongs there
CORRELATED = 16  # pixels of a thumbnail that have an error in common
SURE = 4.0  # standard errors
REPEATS = 0.2  # of the truth's change from one frame to the next: less is no change
LEAST_SHARE = 0.1  # of the frames, and at least two, that must be at an offset for it to be named
MOSTLY = 0.75  # of the steps from frame to frame
LEAST_STEPS_BACK = 0.02  # of the frames, and at least one, after which time runs backwards


class Thumbnail:
    """A small image whose difference from others is quickly found."""

    def __init__(self, image: np.ndarray) -> None:
        """Prepare ``image`` (h, w) float32, low-passed luma in [0, 1]."""
        self.image = image
        self.centred = (image - image.mean()).ravel()
        self.energy = float(self.centred @ self.centred)

    def difference(self, other: "Thumbnail") -> float:
        """Return the mean square of what of this is not ``other`` in another brightness or contrast."""
        alike = max(float(self.centred @ other.centred), 0.0) ** 2 / max(other.energy, 1e-12)
        return max(self.energy - alike, 0.0) / self.centred.size


@dataclass(frozen=True)
class Place:
    """Where a restored frame is found in the truth.

    Args:
        number: of the frame.
        offset: how many frames late it is shown; ``None``: too little moves for it to be told.
        repeats: whether it is the frame before it again, although the truth moves.
    """

    number: int
    offset: int | None
    repeats: bool

    @property
    def shown(self) -> int:
        """The number of the truth's frame that it shows."""
        return self.number - (self.offset or 0)


def place(number: int, restored: Mapping[int, Thumbnail], truth: Mapping[int, Thumbnail]) -> Place:
    """Find the place of a restored frame among the truth's.

    Args:
        number: of the frame.
        restored: by number, this frame and the one before.
        truth: the truth's frames among which it is looked for, by number.
    """
    here = truth[number]
    moves = {other: here.difference(image) for other, image in truth.items() if other != number}
    told = {other: moved for other, moved in moves.items() if moved > MOVES**2}
    repeats = number - 1 in told and restored[number].difference(restored[number - 1]) < REPEATS**2 * told[number - 1]
    own = restored[number].difference(here)
    found = {other: restored[number].difference(truth[other]) for other in told}
    # errors of restoration are in every difference, so they cancel; noise does but for its chance likeness to a change
    noise = min([own, *found.values()]) * CORRELATED / here.image.size
    told = {other: moved for other, moved in told.items() if BELONGS * moved > SURE * 2 * (noise * moved) ** 0.5}
    better = [other for other in told if own - found[other] > BELONGS * told[other]]
    offset = number - min(better, key=lambda other: found[other]) if better else 0
    return Place(number, offset if told else None, repeats)


def common_offset(places: Sequence[Place]) -> tuple[int | None, list[int]]:
    """Return by how many frames a clip is late, and the numbers of the frames that are; ``None`` if it cannot be told.

    Of several offsets the one with most frames counts. Single frames are none: their time is a guess of a method.
    """
    told = [one for one in places if one.offset is not None]
    if not told:
        return None, []
    counts = Counter(one.offset for one in told if one.offset and not one.repeats)
    offset, count = max(counts.items(), key=lambda item: item[1], default=(0, 0))
    if count < max(2, LEAST_SHARE * len(told)):
        return 0, []
    return offset, [one.number for one in told if one.offset == offset and not one.repeats]


def steps_back(places: Sequence[Place]) -> tuple[list[Place], bool]:
    """Return the frames at which a clip's time runs backwards, and whether it nearly always does; none if they are few.

    They and the frames before them are away from their places: a single frame that is, is a guess of a method.
    """
    told = [one for one in places if one.offset is not None and not one.repeats]
    steps = [(a, b) for a, b in zip(told, told[1:], strict=False) if _within_reach(a) and _within_reach(b)]
    back = [b for a, b in steps if b.shown < a.shown]
    if len(back) < max(1, LEAST_STEPS_BACK * len(told)):
        return [], False
    return back, len(back) >= max(2, MOSTLY * len(steps))


def _within_reach(one: Place) -> bool:
    return bool(one.offset) and abs(one.offset or 0) < REACH
