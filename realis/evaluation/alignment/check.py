"""The alignment check: whether a restored video and its ground truth show the same things at the same place and time.

A shift of one pixel, a frame of delay or a misread colour matrix changes full-reference numbers by more than methods
differ, so it is looked for before they are measured. What restoration may change is no fault: sharpness, texture, noise,
contrast.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from realis.evaluation.alignment.borders import border_profiles, border_width
from realis.evaluation.alignment.color_misread import ColorComparison
from realis.evaluation.alignment.content import ELSE, common_verdict, content_verdict
from realis.evaluation.alignment.faults import (
    border_fault,
    content_fault,
    displacement_faults,
    offset_fault,
    order_fault,
    repeated_fault,
    unsteady_fault,
)
from realis.evaluation.alignment.frame_order import REACH, Place, Thumbnail, common_offset, place, steps_back
from realis.evaluation.alignment.samples import Displacements, Pair, Sample, Samples

LOST = 1 / 32  # of the longer side: no displacement is as large by chance
LEAST_SIDE = 16  # pixels: of smaller frames only colours and time are compared
REDUCED, SMALL, TINY = 480, 320, 20  # pixels of the longer side for displacement, for time, for colour
BT709_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Alignment:
    """How a restored clip lies on its truth.

    Args:
        shift: mean displacement to the right and down, in pixels; ``None`` along an axis where it cannot be measured.
        scale: of the width and the height, relative to the truth's; ``None`` as in ``shift``.
        displacement: the largest along an axis anywhere in the frame, in pixels; ``None``: cannot be measured.
        frame_offset: frames by which the clip is late; below 0: early; ``None``: too little moves for it to be told, or
            the frames are in another order.
        repeated: numbers, from 0, of the frames that show the frame before them again, although the truth moves.
        border: pixels at the left, right, top and bottom that show something else; ``None``: frames are too small.
        color: root mean square difference of small averages, in levels of 255; ``None``: too dark or too bright.
        faults: a sentence for each; none: full-reference metrics can be trusted.
    """

    shift: tuple[float | None, float | None]
    scale: tuple[float | None, float | None]
    displacement: float | None
    frame_offset: int | None
    repeated: tuple[int, ...]
    border: tuple[int, int, int, int] | None
    color: float | None
    faults: tuple[str, ...]


class AlignmentCheck:
    """Examines two videos of the same size frame by frame. Of most frames it keeps a few numbers only, however many there are."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._frames = 0
        self._window: deque[Pair] = deque(maxlen=2 * REACH + 1)
        self._places: list[Place] = []
        self._samples = Samples()
        self._colors = ColorComparison()

    def add(self, restored: torch.Tensor, truth: torch.Tensor) -> None:
        """Examine the next frame of both videos, (3, H, W) float32 in [0, 1]."""
        frames = [frame.cpu().numpy() for frame in (restored, truth)]
        h, w = self._size = frames[0].shape[1:]
        examined = min(h, w) >= LEAST_SIDE and self._samples.wants(self._frames)
        profiles = border_profiles(*map(_luma, frames)) if examined else ()
        frames = [np.stack([_halved(plane, REDUCED) for plane in planes]) for planes in frames]
        self._colors.add(*(np.stack([_reduced(p, TINY).ravel() for p in planes], axis=1) for planes in frames))
        luma = [_luma(planes) for planes in frames]
        # a fourth of the size is what the method was given: it may have invented everything above that
        side = max(min(SMALL, max(h, w) // 4), 1)
        small = [Thumbnail(cv2.GaussianBlur(_reduced(one, side), (0, 0), 1.0)) for one in luma]
        luma = [_reduced(one, REDUCED) for one in luma]
        self._window.append(Pair(self._frames, (luma[0], luma[1]), (small[0], small[1]), profiles))
        self._frames += 1
        if len(self._window) > REACH:
            self._examine(self._window[-1 - REACH])

    def _examine(self, pair: Pair) -> None:
        """Find the time of a frame once the frames around it are known, and keep it if it is wanted."""
        near = {other.number: other for other in self._window if abs(other.number - pair.number) <= REACH}
        restored, truth = ({number: other.small[i] for number, other in near.items()} for i in (0, 1))
        found = place(pair.number, restored, truth)
        self._places.append(found)
        if pair.profiles and self._samples.wants(pair.number):
            verdict = content_verdict(pair.small[0].image, truth[found.shown].image)
            self._samples.add(Sample(pair, found, near[found.shown].luma[1], verdict))

    def result(self) -> Alignment:
        """End the check, after the last frame, and return what was found."""
        for pair in list(self._window)[-REACH:]:
            self._examine(pair)
        samples = self._samples.chosen()
        displacements = Displacements(samples, self._size)
        (x, y), color, border = displacements.typical, self._colors.difference(), _border(samples)
        displaced = displacement_faults(x, y, self._size, displacements.beyond_reach) if displacements.improve else []
        shown_instead = self._shown_instead(samples, displacements)
        repeated: tuple[int, ...] = ()
        if shown_instead:  # nothing is known of the place, time and colours of what should be there
            x = y = offset = None
            faults = [content_fault(shown_instead)]
        else:
            offset, faults = self._time_and_place(displacements, displaced)
            if not faults and border and any(border):
                faults.append(border_fault(border))
            ends = abs(offset or 0)  # a clip that is late repeats its first frame
            repeated = tuple(p.number for p in self._places if p.repeats and ends < p.number < self._frames - ends)
            faults += [repeated_fault(repeated)] if repeated else []
            if color is not None and (mistake := self._colors.explanation()):
                faults.append(f"colours differ by {255 * color:.1f} levels of 255: {mistake}")
        return Alignment(
            shift=(x and (x.begin + x.end) / 2, y and (y.begin + y.end) / 2),
            scale=(x and x.scale(self._size[1]), y and y.scale(self._size[0])),
            displacement=max((axis.largest for axis in (x, y) if axis), default=None),
            frame_offset=offset,
            repeated=repeated,
            border=border,
            color=None if color is None else 255 * color,
            faults=tuple(faults),
        )

    def _shown_instead(self, samples: list[Sample], displacements: Displacements) -> str:
        """Return what the clip shows instead of the truth; empty if it shows that, be it at another place or time."""
        if steps_back(self._places)[0]:
            return ""
        pairs = zip(samples, displacements.found, strict=True)
        verdict = common_verdict(["" if found and one.verdict == ELSE else one.verdict for one, found in pairs])
        lost = any(axis and axis.largest > LOST * max(self._size) for axis in displacements.typical)
        return verdict or (ELSE if lost and not displacements.improve else "")

    def _time_and_place(self, displacements: Displacements, displaced: list[str]) -> tuple[int | None, list[str]]:
        """Return by how many frames the clip is late, and the faults of its time and place: of time first."""
        offset, late = common_offset(self._places)
        back, reverse = steps_back(self._places)
        if displacements.instead_of_time:
            offset = None if displacements.beyond_reach else 0
            if displaced and not displacements.unsteady:
                return offset, displaced
        if back:
            return None, [order_fault(back, reverse)]
        if displacements.unsteady and not offset:
            return None, [unsteady_fault(*displacements.unsteady)]
        return offset, ([offset_fault(offset, late, self._frames)] if offset else []) + displaced


def _border(samples: list[Sample]) -> tuple[int, int, int, int] | None:
    """Return the width of a border at the left, right, top and bottom, in pixels."""
    if not samples:
        return None
    typical = [np.median(profiles, axis=0) for profiles in zip(*(one.pair.profiles for one in samples), strict=True)]
    left, right, top, bottom = (border_width(profile[::step]) for profile in typical for step in (1, -1))
    return left, right, top, bottom


def _luma(planes: np.ndarray) -> np.ndarray:
    return (BT709_LUMA @ planes.reshape(3, -1)).reshape(planes.shape[1:])


def _halved(plane: np.ndarray, side: int) -> np.ndarray:
    """Average ``plane`` (H, W) to halves, which is by far the quickest, while the longer side has twice ``side`` pixels."""
    while max(plane.shape) >= 2 * side and not (plane.shape[0] % 2 or plane.shape[1] % 2):
        plane = cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return plane


def _reduced(plane: np.ndarray, side: int) -> np.ndarray:
    """Average ``plane`` (H, W) to at most ``side`` pixels along the longer side."""
    plane = _halved(plane, side)
    factor = max(plane.shape) / side
    if factor <= 1:
        return plane
    h, w = (max(round(n / factor), 1) for n in plane.shape)
    return cv2.resize(plane, (w, h), interpolation=cv2.INTER_AREA)
