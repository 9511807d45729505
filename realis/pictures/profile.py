"""Draw temporal profiles: one row of every frame of a video, stacked over time.

Steady motion gives clean slanted lines, flicker gives stripes across, trembling gives ragged edges.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from realis.pictures.sheet import grid_sheet

LEAST_WIDTH, LEAST_HEIGHT = 640, 120  # pixels of a profile in a sheet


class TemporalProfile:
    """Collects one row of the frames of a video; nothing else of them is kept.

    Args:
        row: which one. For a column, transpose the frames.
    """

    def __init__(self, row: int) -> None:
        self.row = row
        self._rows: list[np.ndarray] = []

    def add(self, frame: np.ndarray) -> None:
        """Take the row of the next frame, (H, W, 3) uint8."""
        self._rows.append(frame[self.row].copy())  # a view would keep the whole frame

    def image(self) -> np.ndarray:
        """Return the profile, (F, W, 3) uint8: time runs down."""
        return np.stack(self._rows)


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


def profile_sheet(profiles: Mapping[str, np.ndarray]) -> Image.Image:
    """Draw the profiles of several videos, one under the other, all of one shape.

    Args:
        profiles: (F, W, 3) uint8 by label. Pixels of small ones are repeated, in time until stripes can be seen.
    """
    frames, width, _ = next(iter(profiles.values())).shape
    zoom = math.ceil(LEAST_WIDTH / width)
    repeats = math.ceil(LEAST_HEIGHT / (zoom * frames))
    stretched = ((label, profile.repeat(repeats, axis=0)) for label, profile in profiles.items())
    return grid_sheet(stretched, 1, zoom * width)
