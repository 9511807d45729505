"""What is wrong with how a restored video lies on its ground truth, in sentences: the fault, its size, its probable cause."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from realis.evaluation.alignment.frame_order import REACH, Place
from realis.evaluation.alignment.registration import Displacement

LIMIT = 0.25  # pixels of displacement anywhere in the frame; more is a fault
SURE = 4.0  # standard errors that a displacement must have to be believed
# (s - 1) / 2 for resizes by s = 2, 4 and 8: by that much conventions of where pixels are differ
CONVENTIONS = (0.5, 1.5, 3.5)
CLOSE = 0.15  # pixels, within which a displacement is taken for one of these
FITS = 0.8  # correlation of a part with where it was cut from
SIDES = ("left", "right", "top", "bottom")
LISTED = 5  # numbers of frames in a sentence


def content_fault(instead: str) -> str:
    """Describe a clip that shows something else."""
    return f"does not show what the truth shows: {instead}"


def displacement_faults(
    x: Displacement | None, y: Displacement | None, size: tuple[int, int], perhaps_time: bool
) -> list[str]:
    """Describe a displacement, if it is a fault.

    Args:
        x: along the rows; ``None``: not known.
        y: along the columns.
        size: (H, W) of the frames.
        perhaps_time: whether it may be one in time instead.
    """
    wrong = [axis for axis in (x, y) if axis and axis.largest > max(LIMIT, SURE * axis.uncertainty)]
    if not wrong:
        return []
    if all(abs(axis.end - axis.begin) / 2 <= LIMIT for axis in wrong):
        what, cause = _shift_fault(x if x in wrong else None, y if y in wrong else None)
    else:
        what, cause = _scale_fault(x, y, size)
    return [f"{what}: {f'shown at another time, more than {REACH} frames off, or ' if perhaps_time else ''}{cause}"]


def _shift_fault(x: Displacement | None, y: Displacement | None) -> tuple[str, str]:
    along = {
        ("to the right" if right else "down", "to the left" if right else "up"): (axis.begin + axis.end) / 2
        for axis, right in ((x, True), (y, False)) if axis
    }  # fmt: skip
    sizes = [f"{abs(shift):.2f} px {words[shift < 0]}" for words, shift in along.items()]
    cause = "cropped or padded at one side and not put back, or a filter beside its centre"
    if all(_is_convention(shift) for shift in along.values()):
        cause = "resized by another convention of where the centres of pixels are"
    return f"shifted by {' and '.join(sizes)}", cause


def _scale_fault(x: Displacement | None, y: Displacement | None, size: tuple[int, int]) -> tuple[str, str]:
    axes = [(axis, name, length) for axis, name, length in ((x, "width", size[1]), (y, "height", size[0])) if axis]
    changes = [f"{100 * (axis.scale(length) - 1):+.2f} % in {name}" for axis, name, length in axes]
    largest = max(axis.largest for axis, _, _ in axes)
    growth = [(axis.end - axis.begin) / 2 for axis, _, _ in axes]
    centred = all(abs(axis.begin + axis.end) / 2 <= LIMIT for axis, _, _ in axes)
    if centred and all(abs(grown - growth[0]) < CLOSE and _is_convention(grown) for grown in growth):
        cause = "resized with the centres of the corner pixels aligned (align_corners=True)"
    elif min(growth) < -LIMIT:
        cause = "padded, and resized to the size instead of cropped to it"
    elif centred:
        cause = "cropped around the centre and resized to the size"
    else:
        cause = "cropped at some sides and resized to the size"
    return f"stretched by {' and '.join(changes)}, by up to {largest:.2f} px at the borders", cause


def _is_convention(displacement: float) -> bool:
    return any(abs(abs(displacement) - known) < CLOSE for known in CONVENTIONS)


def unsteady_fault(least: float, largest: float) -> str:
    """Describe a shift along an axis that changes from frame to frame, in pixels."""
    shifts = "a shift of {:+.1f} px in some frames, {:+.1f} px in others".format(
        *(round(n, 1) + 0.0 for n in (least, largest))
    )
    return f"shown at other times, more than {REACH} frames off, or unsteady: {shifts}"


def order_fault(back: Sequence[Place], reverse: bool) -> str:
    """Describe frames at which time runs backwards; ``reverse``: it nearly always does."""
    if reverse:
        return "frames are in reverse order"
    listed = ", ".join(f"{one.number} shows the truth's {one.shown}" for one in back[:LISTED])
    return f"frames are in another order: {listed}{f' and {len(back) - LISTED} more' if len(back) > LISTED else ''}"


def offset_fault(offset: int, numbers: Sequence[int], frames: int) -> str:
    """Describe frames that are shown late, or early if ``offset`` is below 0; ``numbers`` is which of all ``frames``."""
    count = "one frame" if abs(offset) == 1 else f"{abs(offset)} frames"
    count = f"at least {count}" if abs(offset) == REACH else count
    # at its ends a clip repeats frames where it lacks others: of these nothing is known
    whole = numbers[0] <= 2 * abs(offset) and numbers[-1] >= frames - 1 - 2 * abs(offset)
    which = "" if whole else f"frames {numbers[0]} to {numbers[-1]} are "
    cause = "frames were dropped" if offset < 0 else "frames were repeated or added"
    where = "at the beginning" if numbers[0] <= 2 * abs(offset) else "before these"
    return f"{which}shown {count} {'late' if offset > 0 else 'early'}: {cause} {where}"


def repeated_fault(numbers: Sequence[int]) -> str:
    """Describe frames that repeat the one before them."""
    if len(numbers) == 1:
        return f"frame {numbers[0]} repeats frame {numbers[0] - 1}: a frame was lost, and another written in its place"
    more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
    which = ", ".join(map(str, numbers[:LISTED]))
    return f"frames {which}{more} repeat the frames before them: frames were lost, and others written in their places"


def border_fault(border: Sequence[int]) -> str:
    """Describe pixels at the left, right, top and bottom that show something else."""
    sides = " and ".join(f"{width} px at the {side}" for width, side in zip(border, SIDES, strict=True) if width)
    return f"a border of {sides} differs: cropped and padded, or cut off at the edge of a tile"


def size_fault(restored: torch.Tensor, truth: torch.Tensor) -> str | None:
    """Describe what makes the sizes of two frames differ; ``None`` if they are the same.

    Args:
        restored: (3, h, w) float32 in [0, 1].
        truth: (3, H, W) of the same.
    """
    (h, w), (H, W) = restored.shape[1:], truth.shape[1:]
    if (h, w) == (H, W):
        return None
    sizes = f"{w}x{h} pixels instead of {W}x{H}"
    if h <= H and w <= W and (place := _place_of(restored, truth)):
        top, left = place
        how = "cropped"
        if abs(2 * top - (H - h)) <= 1 and abs(2 * left - (W - w)) <= 1:
            how = "centre-cropped"
        elif not top and not left:
            how = "cropped at the right and bottom"
        return f"{sizes}; fits the truth at ({top}, {left}): {how}"
    if h >= H and w >= W and (place := _place_of(truth, restored)):
        return f"{sizes}; holds the truth at {place}: padded and not cropped back"
    if abs(h * W - w * H) <= 2 * max(H, W):
        return f"{sizes}: {w / W:.3g} times the size, upscaled by another factor"
    return f"{sizes}, and neither fits into the other"


def _place_of(part: torch.Tensor, whole: torch.Tensor) -> tuple[int, int] | None:
    """Return the row and column at which ``part`` was cut from ``whole``, if it was."""
    images = [frame.mean(dim=0).cpu().numpy() for frame in (whole, part)]
    match = cv2.matchTemplate(images[0], images[1], cv2.TM_CCOEFF_NORMED)
    _, highest, _, (left, top) = cv2.minMaxLoc(np.nan_to_num(match, posinf=0, neginf=0))
    return (int(top), int(left)) if highest > FITS else None
