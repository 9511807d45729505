"""Frames of a clip that are kept, as many of a long one as of a short one, and what they say about displacement."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from realis.evaluation.alignment.faults import LIMIT
from realis.evaluation.alignment.frame_order import REACH, Place, Thumbnail
from realis.evaluation.alignment.registration import Displacement, Registration, register

EXAMINED = 5  # frames of a clip whose displacement is measured
LARGEST_UNCERTAINTY = 0.12  # pixels: above it nothing is known, as where frames are flat
IMPROVES = 1.08  # times the difference that is left must be what it was before: else the displacement is by chance
CLEARLY = 1.5  # the same, for a frame that is displaced and at another time too
UNSTEADY = 1.0  # pixels between the displacements of two frames


@dataclass(frozen=True)
class Pair:
    """What is kept of a restored frame and of its truth.

    Args:
        number: of the frame.
        luma: of both, (h, w) float32 in [0, 1], for displacement.
        small: of both, for time.
        profiles: of the border; none: not examined.
    """

    number: int
    luma: tuple[np.ndarray, np.ndarray]
    small: tuple[Thumbnail, Thumbnail]
    profiles: Sequence[np.ndarray]


@dataclass(frozen=True)
class Sample:
    """A frame that is examined at the end.

    Args:
        pair: the frame and its truth.
        place: where it is found in the truth.
        shown: luma of the truth's frame there.
        verdict: what it shows instead of that; see :func:`~realis.evaluation.alignment.content.content_verdict`.
    """

    pair: Pair
    place: Place
    shown: np.ndarray
    verdict: str | None


class Samples:
    """Frames at equal distances, which double whenever there are too many: the length of a clip need not be known."""

    def __init__(self) -> None:
        self._stride = 1
        self._kept: list[Sample] = []

    def wants(self, number: int) -> bool:
        """Return whether the frame of this number is to be examined."""
        return number % self._stride == 0

    def add(self, sample: Sample) -> None:
        """Keep a frame that was wanted."""
        self._kept.append(sample)
        if len(self._kept) == 2 * EXAMINED:
            self._kept = self._kept[::2]
            self._stride *= 2

    def chosen(self) -> list[Sample]:
        """Return at most ``EXAMINED`` frames, evenly spread; none only if none were added."""
        count = min(len(self._kept), EXAMINED)
        return [self._kept[int((i + 0.5) * len(self._kept) / count)] for i in range(count)]


class Displacements:
    """How the samples of a clip lie on the truth."""

    def __init__(self, samples: Sequence[Sample], size: tuple[int, int]) -> None:
        """Register ``samples`` of frames of ``size`` (H, W)."""
        self._registered: list[Registration] = []
        self._moved: list[bool] = []  # of frames that seem to be at another time: whether they are
        self.beyond_reach = False  # whether frames may be at another time that was not looked at
        for sample in samples:
            self._register(sample, size)

    def _register(self, sample: Sample, size: tuple[int, int]) -> None:
        here = register(*sample.pair.luma, size)
        if sample.place.offset:
            # in a pan a displaced frame is like one of another time; it is one if it then lies as it should
            there = register(sample.pair.luma[0], sample.shown, size)
            moved = there.largest <= LIMIT or CLEARLY * there.residual < here.residual
            if moved or _certain(here):
                self._moved.append(moved)
            self.beyond_reach |= there.largest > LIMIT and abs(sample.place.offset) == REACH
            here = there if moved else here
        self._registered.append(here)

    @property
    def instead_of_time(self) -> bool:
        """Whether frames that seem to be at another time are displaced instead."""
        return bool(self._moved) and float(np.mean(self._moved)) < 0.5

    @cached_property
    def typical(self) -> tuple[Displacement | None, Displacement | None]:
        """Along the rows and the columns, the median of those that are certain enough; ``None`` if most are not."""
        return _typical([one.x for one in self._registered]), _typical([one.y for one in self._registered])

    @property
    def found(self) -> list[bool]:
        """Of each sample, whether it shows the truth at another place, beyond doubt."""
        return [_certain(one) and _gain(one) > CLEARLY for one in self._registered]

    @property
    def improve(self) -> bool:
        """Whether the frames are more like the truth with them."""
        return bool(self._registered) and float(np.median([_gain(one) for one in self._registered])) > IMPROVES

    @property
    def unsteady(self) -> tuple[float, float] | None:
        """The second least and second largest shift along an axis, in pixels, if it changes from frame to frame.

        Not the extremes: methods that smooth along time displace the frames at the ends, which lack neighbours.
        """
        sure = [one for one in self._registered if _certain(one) and (_gain(one) > CLEARLY or one.largest <= LIMIT)]
        for axis in ("x", "y"):
            shifts = sorted((getattr(one, axis).begin + getattr(one, axis).end) / 2 for one in sure)[1:-1]
            if shifts and shifts[-1] - shifts[0] > UNSTEADY:
                return shifts[0], shifts[-1]
        return None


def _certain(registration: Registration) -> bool:
    return max(registration.x.uncertainty, registration.y.uncertainty) <= LARGEST_UNCERTAINTY


def _gain(registration: Registration) -> float:
    return registration.unregistered / max(registration.residual, 1e-9)


def _typical(displacements: Sequence[Displacement]) -> Displacement | None:
    known = [one for one in displacements if one.uncertainty <= LARGEST_UNCERTAINTY]
    if not known or 2 * len(known) < len(displacements):
        return None
    return Displacement(*np.median([(one.begin, one.end, one.uncertainty) for one in known], axis=0).tolist())
