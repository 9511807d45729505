"""Borders of a restored frame that show something else than its ground truth: black bars, repeated or mirrored edges."""

import cv2
import numpy as np

ALONG = 9  # pixels of a row or column over which differences are averaged: what is left is less like fine detail
DETAIL = 3.0  # pixels, standard deviation of the low-pass that leaves the detail
STANDS_OUT = 3.0  # times the difference further inside
LEAST_INSIDE = 0.5  # smaller differences are of less than a grey level, as in dark clips
LEAST_WIDTH = 2  # pixels: the outermost row and column differ wherever a filter ends


def border_profiles(restored: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """Return by how much the columns (W,) and the rows (H,) of a frame differ from the truth, relative to their detail.

    Args:
        restored: (H, W) float32, luma in [0, 1].
        truth: the same of the truth.
    """
    level = truth[::4, ::4].mean()
    centred = truth[::4, ::4] - level
    gain = (centred * restored[::4, ::4]).mean() / max((centred * centred).mean(), 1e-12)
    difference = restored - gain * truth - (restored[::4, ::4].mean() - gain * level)
    detail = truth - cv2.GaussianBlur(truth, (0, 0), DETAIL)
    profiles = []
    for axis, window in ((0, (1, ALONG)), (1, (ALONG, 1))):
        lost, there = (np.sqrt(np.square(cv2.blur(image, window)).mean(axis=axis)) for image in (difference, detail))
        expected = np.median(lost) * (there + 1 / 255) / np.median(there + 1 / 255)
        profiles.append(lost / np.maximum(expected, np.median(lost) + 1 / 255))
    return profiles


def border_width(profile: np.ndarray) -> int:
    """Return how many of the first values of a profile stand out against those further inside."""
    inside = max(np.median(profile[len(profile) // 16 : len(profile) // 4]), LEAST_INSIDE)
    outer = profile[: len(profile) // 8] > STANDS_OUT * inside
    width = len(outer) if outer.all() else int(np.argmin(outer))
    if width < LEAST_WIDTH:
        return 0
    # a border ends abruptly, while what is hard to restore goes over into what is not
    beyond = np.median(profile[width + 1 : 2 * width + 8])
    return width if np.median(profile[:width]) > STANDS_OUT / 2 * beyond else 0
