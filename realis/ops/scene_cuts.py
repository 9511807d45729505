"""Scene cuts: where a frame shows nothing of the frame before, wherever that may have moved."""

import cv2
import numpy as np
import torch

SIDE = 32  # of the thumbnails that are compared: noise averages out, and what moves by less than 1/32 stays in place
BLUR = 3.0  # of a thumbnail, standard deviation: what is coarser, such as light and shade, is like in unlike pictures
FLAT = 1 / 255  # contrast below which a thumbnail shows nothing to compare: black, white, the end of a fade
LEAST_SIMILARITY = 0.4  # unlike pictures reach 0.3; of one shot, frames that move by 1/20 of the picture have 0.65


class CutDetector:
    """Says of each frame of a video whether it begins another shot. It compares each with the one before, and no others.

    Brightness and contrast do not count, so that flashes and fades are no cuts.
    """

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def __call__(self, frame: torch.Tensor) -> bool:
        """Return whether the next frame, (3, H, W) float32 in [0, 1], begins another shot; ``False`` for the first."""
        before, self._before = self._before, fine_structure(frame)
        return before is not None and similarity(before, self._before) < LEAST_SIMILARITY


def fine_structure(frame: torch.Tensor) -> np.ndarray:
    """Return a grey thumbnail (32, 32) of a frame (3, H, W) without what is coarse in it."""
    thumbnail = cv2.resize(frame.permute(1, 2, 0).numpy(), (SIDE, SIDE), interpolation=cv2.INTER_AREA).mean(axis=2)
    return thumbnail - cv2.GaussianBlur(thumbnail, (0, 0), BLUR)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest correlation of two thumbnails over all circular shifts, up to 1; 1 if one of them is flat."""
    if min(one.std(), other.std()) < FLAT:
        return 1.0
    correlation = np.fft.irfft2(np.fft.rfft2(one) * np.fft.rfft2(other).conj())
    return float(correlation.max() / np.sqrt((one**2).sum() * (other**2).sum()))
