"""Colours that were written by one matrix or range of Y'CbCr and read by another."""

from itertools import product

import numpy as np

CERTAIN = 0.6  # of the difference between restored and truth may be left by an explanation
LEAST_DIFFERENCE = 1.0 / 255  # root mean square: smaller ones are a method's drift
LEAST_SAMPLES = 100
NEITHER_CLIPPED = (0.04, 0.96)  # of the range: outside these a misread range may have clipped

# Weights of red and blue in luma (ITU-T H.273)
MATRICES = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}
# by what luma and chroma are multiplied, and what is added to luma
RANGES = {
    "": (1.0, 1.0, 0.0),
    "limited range shown as full": (219 / 255, 224 / 255, 16 / 255),
    "full range shown as limited": (255 / 219, 255 / 224, -16 / 219),
}


def to_ycbcr(matrix: str) -> np.ndarray:
    """Return the matrix (3, 3) from RGB to full-range Y'CbCr."""
    red, blue = MATRICES[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, (np.eye(3)[2] - luma) / (2 - 2 * blue), (np.eye(3)[0] - luma) / (2 - 2 * red)])


def misread(written: str, read: str, range: str) -> np.ndarray:
    """Return the map (4, 3) of RGB and 1 to RGB that a wrong matrix or range makes."""
    luma, chroma, offset = RANGES[range]
    linear = np.linalg.inv(to_ycbcr(read)) @ np.diag([luma, chroma, chroma]) @ to_ycbcr(written)
    return np.vstack([linear.T, np.full(3, offset)])


def _explanations() -> dict[str, np.ndarray]:
    found = {}
    for written, read, range in product(MATRICES, MATRICES, RANGES):
        matrix = f"Y'CbCr of {written} read as {read}" if written != read else ""
        found[" and ".join(filter(None, (matrix, range)))] = misread(written, read, range)
    return found | {"red and blue exchanged": np.eye(4, 3)[:, ::-1]}


EXPLANATIONS = _explanations()  # the one without a name: nothing was misread


class ColorComparison:
    """Compares the colours of two videos by moments of small, low-passed frames: the memory it needs stays the same."""

    def __init__(self) -> None:
        self._samples = 0
        self._moments = np.zeros((7, 7))  # of red, green, blue of the truth, 1, and the three of the restored video

    def add(self, restored: np.ndarray, truth: np.ndarray) -> None:
        """Add a frame: both (pixels, 3) float32 in [0, 1], means of parts of the frame."""
        both = np.hstack([truth, np.ones_like(truth[:, :1]), restored]).astype(float)
        low, high = NEITHER_CLIPPED
        both = both[((both[:, [0, 1, 2, 4, 5, 6]] > low) & (both[:, [0, 1, 2, 4, 5, 6]] < high)).all(axis=1)]
        self._samples += len(both)
        self._moments += both.T @ both

    def difference(self) -> float | None:
        """Return the root mean square of the difference; ``None``: too little was seen."""
        return self._left("", self._moments) if self._samples >= LEAST_SAMPLES else None

    def explanation(self) -> str:
        """Return the mistake that explains most of a difference; empty if none does, or if there is hardly any."""
        plain = self.difference()
        if plain is None or plain < LEAST_DIFFERENCE:
            return ""
        best = min(EXPLANATIONS, key=lambda name: self._left(name, self._moments))
        # without the means too: a little darker, and bright colours alone would fit another range
        means = self._moments[3]
        centred = self._moments - np.outer(means, means) / self._samples
        both = (self._moments, centred)
        return best if all(self._left(best, some) < CERTAIN * self._left("", some) for some in both) else ""

    def _left(self, explanation: str, moments: np.ndarray) -> float:
        """Return the root mean square of what an explanation leaves of the difference."""
        left = np.vstack([EXPLANATIONS[explanation], -np.eye(3)])
        return max(float(np.trace(left.T @ moments @ left)) / (3 * self._samples), 0.0) ** 0.5
