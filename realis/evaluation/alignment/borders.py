"""Borders of a restored frame that show something else than its ground truth: black bars, repeated or mirrored edges."""

import cv2
import numpy as np

ALONG = 9  # pixels of a row or column over which differences are averaged: what is left is less like fine detail
DETAIL, DETAIL_TAPS = 3.0, 19  # pixels, standard deviation and length of the low-pass that leaves the detail
STANDS_OUT = 3.0  # times the difference further inside
LEAST_WIDTH = 2  # pixels: the outermost row and column differ wherever a filter ends


def border_profiles(restored: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """Return by how much the columns (W,) and the rows (H,) of a frame differ from the truth, relative to their detail.

    Args:
        restored: (H, W) float32, luma in [0, 1].
        truth: the same of the truth.
    """
    h, w = truth.shape
    columns, rows = (w, -(-h // ALONG)), (-(-w // ALONG), h)
    strips = [[cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (restored, truth)]
              for size in (columns, rows)]  # fmt: skip
    return [_profile(*strips[0]), _profile(*(np.ascontiguousarray(image.T) for image in strips[1]))]


def _profile(restored: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the profile (W,) of the columns of two images that were averaged along them."""
    centred = truth - truth.mean()
    gain = (centred * restored).mean() / max((centred * centred).mean(), 1e-12)
    difference = restored - restored.mean() - gain * centred
    detail = truth - cv2.GaussianBlur(truth, (DETAIL_TAPS, 1), DETAIL)
    lost, there = (np.sqrt(np.square(image).mean(axis=0)) for image in (difference, detail))
    expected = np.median(lost) * (there + 1 / 255) / np.median(there + 1 / 255)
    return lost / np.maximum(expected, np.median(lost) + 1 / 255)


def border_width(profile: np.ndarray) -> int:
    """Return how many of the first values of a profile stand out against those further inside."""
    inside = np.median(profile[len(profile) // 16 : len(profile) // 4])
    outer = profile[: len(profile) // 8] > STANDS_OUT * inside
    width = len(outer) if outer.all() else int(np.argmin(outer))
    if width < LEAST_WIDTH:
        return 0
    # a border ends abruptly, while what is hard to restore goes over into what is not
    beyond = np.median(profile[width + 1 : 2 * width + 8])
    return width if np.median(profile[:width]) > STANDS_OUT / 2 * beyond else 0
