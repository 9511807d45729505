"""Frames that are shown at another time than in the ground truth: late, early, or twice."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

REACH = 2  # frames, in which a frame is looked for before and after its place
MOVES = 0.2 / 255  # root mean square of a change between frames of the truth, below which time cannot be told
BELONGS = 0.5  # of the truth's change between two frames: so much nearer to the other one, and a frame belongs there
REPEATS = 0.2  # of the truth's change from one frame to the next: less is no change
LEAST_SHARE = 0.1  # of the frames, and at least two, that must be at an offset for it to be named


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


def place(number: int, restored: dict[int, np.ndarray], truth: dict[int, np.ndarray]) -> Place:
    """Find the place of a restored frame among the truth's.

    Args:
        number: of the frame.
        restored: by number, this frame and the one before: (h, w) float32, low-passed luma in [0, 1].
        truth: the same of the truth, all that there are from ``number - 2`` to ``number + 2``.
    """
    here = truth[number]
    moves = {other: _difference(here, image) for other, image in truth.items() if other != number}
    told = {other: moved for other, moved in moves.items() if moved > MOVES**2}
    repeats = number - 1 in told and _difference(restored[number], restored[number - 1]) < (
        REPEATS**2 * told[number - 1]
    )
    own = _difference(restored[number], here)
    found = {other: _difference(restored[number], truth[other]) for other in told}
    # noise and errors of restoration are in every difference, so they cancel here
    better = [other for other in told if own - found[other] > BELONGS * told[other]]
    offset = number - min(better, key=lambda other: found[other]) if better else 0
    return Place(number, offset if told else None, repeats)


def _difference(image: np.ndarray, other: np.ndarray) -> float:
    """Return the mean square of what of ``image`` is not ``other`` in another brightness or contrast."""
    a, b = image - image.mean(), other - other.mean()
    covariance = float((a * b).mean())
    return float((a * a).mean()) - max(covariance, 0.0) ** 2 / max(float((b * b).mean()), 1e-12)


def common_offset(places: list[Place]) -> tuple[int | None, list[int]]:
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
