"""The alignment check: whether a restored video and its ground truth show the same things at the same place and time.

A shift of one pixel, a frame of delay or a misread colour matrix changes full-reference numbers by more than methods
differ, so it is looked for before they are measured. What restoration may change is no fault: sharpness, texture, noise,
contrast.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from realis.evaluation.alignment.borders import border_profiles, border_width
from realis.evaluation.alignment.color_misread import ColorComparison
from realis.evaluation.alignment.faults import LIMIT, border_fault, displacement_faults, offset_fault, repeated_fault
from realis.evaluation.alignment.frame_order import REACH, Place, common_offset, place
from realis.evaluation.alignment.registration import Displacement, Registration, register

LARGEST_UNCERTAINTY = 0.12  # pixels: above it nothing is known, as where frames are flat
IMPROVES = 1.08  # times the difference that is left must be what it was before: else the displacement is by chance
CLEARLY = 1.5  # the same, for a frame that is displaced and at another time too
EXAMINED = 5  # frames of a clip whose displacement is measured
REDUCED, SMALL, TINY = 480, 320, 20  # pixels of the longer side for displacement, for time, for colour
BT709_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class Alignment:
    """How a restored clip lies on its truth.

    Args:
        shift: mean displacement to the right and down, in pixels; ``None`` along an axis where it cannot be measured.
        scale: of the width and the height, relative to the truth's; ``None`` as in ``shift``.
        displacement: the largest along an axis anywhere in the frame, in pixels; ``None``: cannot be measured.
        frame_offset: frames by which the clip is late; below 0: early; ``None``: too little moves for it to be told.
        repeated: numbers, from 0, of the frames that show the frame before them again, although the truth moves.
        border: pixels at the left, right, top and bottom that show something else.
        color: root mean square difference of small averages, in levels of 255; ``None``: too dark or too bright.
        faults: a sentence for each; none: full-reference metrics can be trusted.
    """

    shift: tuple[float | None, float | None]
    scale: tuple[float | None, float | None]
    displacement: float | None
    frame_offset: int | None
    repeated: tuple[int, ...]
    border: tuple[int, int, int, int]
    color: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """What is kept of a restored frame and of its truth: luma for displacement, and a small low-passed one for time."""

    number: int
    luma: tuple[np.ndarray, np.ndarray]
    small: tuple[np.ndarray, np.ndarray]


class AlignmentCheck:
    """Examines two videos of the same size frame by frame; the memory that it needs does not grow with their length.

    Args:
        frames: how many there will be.
    """

    def __init__(self, frames: int) -> None:
        self._examined = {int((i + 0.5) * frames / EXAMINED) for i in range(EXAMINED)}
        self._size = (0, 0)
        self._frames = 0
        self._window: deque[_Pair] = deque(maxlen=2 * REACH + 1)
        self._places: list[Place] = []
        self._registrations: list[Registration] = []
        self._elsewhere: list[bool] = []  # of examined frames that seem to be at another time: whether they are
        self._profiles: list[list[np.ndarray]] = []
        self._colors = ColorComparison()

    def add(self, restored: torch.Tensor, truth: torch.Tensor) -> None:
        """Examine the next frame of both videos, (3, H, W) float32 in [0, 1]."""
        frames = [list(frame.cpu().numpy()) for frame in (restored, truth)]
        self._size = frames[0][0].shape
        if self._frames in self._examined:
            self._profiles.append(border_profiles(*map(_luma, frames)))
        frames = [[_reduce(plane, REDUCED) for plane in planes] for planes in frames]
        self._colors.add(*(np.stack([_reduce(p, TINY).ravel() for p in planes], axis=1) for planes in frames))
        luma = _luma(frames[0]), _luma(frames[1])
        # a fourth of the size is what the method was given: it may have invented everything above that
        side = min(SMALL, max(self._size) // 4)
        small = (cv2.GaussianBlur(_reduce(one, side), (0, 0), 1.0) for one in luma)
        self._window.append(_Pair(self._frames, luma, (next(small), next(small))))
        self._frames += 1
        if len(self._window) > REACH:
            self._examine(self._window[-1 - REACH])

    def _examine(self, pair: _Pair) -> None:
        """Find the time of a frame, and in some frames the displacement, once the frames around it are known."""
        number = pair.number
        near = {other.number: other for other in self._window if abs(other.number - number) <= REACH}
        found = place(
            number,
            {key: other.small[0] for key, other in near.items()},
            {key: other.small[1] for key, other in near.items()},
        )
        self._places.append(found)
        if number not in self._examined:
            return
        registered = register(*pair.luma, self._size)
        if found.offset:
            # in a pan a displaced frame is like one of another time; it is one if it then lies as it should
            other = register(pair.luma[0], near[number - found.offset].luma[1], self._size)
            lies_well = other.largest <= LIMIT or CLEARLY * other.residual < registered.residual
            self._elsewhere.append(lies_well)
            registered = other if lies_well else registered
        self._registrations.append(registered)

    def result(self) -> Alignment:
        """End the check, after the last frame, and return what was found."""
        for pair in list(self._window)[-REACH:]:
            self._examine(pair)
        offset, late = common_offset(self._places)
        if self._elsewhere and not np.mean(self._elsewhere) >= 0.5:
            offset, late = 0, []
        ends = abs(offset or 0)  # a clip that is late repeats its first frame
        repeated = tuple(p.number for p in self._places if p.repeats and ends < p.number < self._frames - ends)
        x, y = (_typical([getattr(one, axis) for one in self._registrations]) for axis in "xy")
        left, right, top, bottom = self._border()
        color = self._colors.difference()

        displaced: list[str] = []
        if np.median([one.unregistered / max(one.residual, 1e-9) for one in self._registrations]) > IMPROVES:
            displaced = displacement_faults(x, y, self._size)
        faults = list(displaced)
        faults += [offset_fault(offset, late, self._frames)] if offset else []
        faults += [repeated_fault(repeated)] if repeated else []
        if not displaced and left + right + top + bottom:
            faults.append(border_fault((left, right, top, bottom)))
        if color is not None and (mistake := self._colors.explanation()):
            faults.append(f"colours differ by {255 * color:.1f} levels of 255: {mistake}")
        return Alignment(
            shift=(x and (x.begin + x.end) / 2, y and (y.begin + y.end) / 2),
            scale=(x and x.scale(self._size[1]), y and y.scale(self._size[0])),
            displacement=max((axis.largest for axis in (x, y) if axis), default=None),
            frame_offset=offset,
            repeated=repeated,
            border=(left, right, top, bottom),
            color=None if color is None else 255 * color,
            faults=tuple(faults),
        )

    def _border(self) -> list[int]:
        """Return the width of a border at the left, right, top and bottom, in pixels."""
        typical = [np.median(profiles, axis=0) for profiles in zip(*self._profiles, strict=True)]
        return [border_width(profile[::step]) for profile in typical for step in (1, -1)]


def _typical(displacements: Sequence[Displacement]) -> Displacement | None:
    """Return the median of those that are certain enough; ``None`` if most are not."""
    known = [one for one in displacements if one.uncertainty <= LARGEST_UNCERTAINTY]
    if 2 * len(known) < len(displacements):
        return None
    return Displacement(*np.median([(one.begin, one.end, one.uncertainty) for one in known], axis=0).tolist())


def _luma(planes: Sequence[np.ndarray]) -> np.ndarray:
    red, green, blue = (np.float32(weight) * plane for weight, plane in zip(BT709_LUMA, planes, strict=True))
    return red + green + blue


def _reduce(plane: np.ndarray, side: int) -> np.ndarray:
    """Average ``plane`` (H, W) to at most ``side`` pixels along the longer side."""
    factor = max(plane.shape) / side
    if factor <= 1:
        return plane
    h, w = (max(round(n / factor), 1) for n in plane.shape)
    return cv2.resize(plane, (w, h), interpolation=cv2.INTER_AREA)
