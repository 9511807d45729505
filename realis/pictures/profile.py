"""Draw temporal profiles: one row of every frame of a video, stacked over time.

Steady motion gives clean slanted lines, flicker gives stripes across, trembling gives ragged edges.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from realis.pictures.sheet import grid_sheet

LEAST_HEIGHT = 120  # pixels of a profile in a sheet
FULL = 0.95  # share of the width of a sheet that its profiles fill at least


def busiest_row(frames: Iterable[np.ndarray]) -> int:
    """Return the row that changes most from frame to frame; of a video at rest, the middle one.

    Args:
        frames: (H, W, 3) uint8 each, at least one; of the ground truth, so that all methods are shown at one place.
    """
    frames = iter(frames)
    before = next(frames).astype(np.int16)
    change = np.zeros(len(before), np.int64)
    for frame in frames:
        now = frame.astype(np.int16)
        change += np.abs(now - before).sum(axis=(1, 2))
        before = now
    return int(change.argmax()) if change.any() else len(change) // 2


def profile_sheet(profiles: Sequence[tuple[str, np.ndarray]], width: int) -> Image.Image:
    """Draw the profiles of several videos, one under the other, all of one shape.

    Args:
        profiles: labels and profiles (F, W, 3) uint8. Pixels of small ones are repeated, in time until stripes can be seen;
            of wide ones, those columns are shown that change most in the first.
        width: pixels that they take at most.
    """
    frames, across, _ = profiles[0][1].shape
    zoom = max(width // across, 1)
    zoom += zoom * across < FULL * width  # some columns are left out rather than part of the sheet
    columns = min(width // zoom, across)
    left = busiest_columns(profiles[0][1], columns)
    repeats = math.ceil(LEAST_HEIGHT / frames)
    stretched = (
        (label, profile[:, left : left + columns].repeat(repeats, axis=0).repeat(zoom, axis=1))
        for label, profile in profiles
    )
    return grid_sheet(stretched, 1, zoom * columns)


def busiest_columns(profile: np.ndarray, count: int) -> int:
    """Return the first of ``count`` adjacent columns that change most over time; of a video at rest, of the middle ones.

    Args:
        profile: (F, W, 3) uint8.
        count: W at most.
    """
    change = np.abs(np.diff(profile.astype(np.int16), axis=0)).sum(axis=(0, 2))
    sums = np.cumsum([0, *change])
    within = sums[count:] - sums[:-count]
    return int(within.argmax()) if within.any() else len(within) // 2
