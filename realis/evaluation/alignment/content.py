"""Whether restored frames show what the truth shows at all: by the correlation of small, band-passed luma."""

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 40  # pixels of the longer side: detail, noise and artefacts are averaged out
COARSEST = 1 / 8  # of the longer side, standard deviation: sky above and ground below make different pictures alike
ALIKE = 0.5  # correlation: of different pictures it is lower
SURELY_ALIKE = 0.97  # above it pictures are symmetric and not turned
CLEAR = 0.7  # correlation of a picture that was turned with what it was turned from
CLEARER = 0.5  # times the decorrelation may be left by an explanation
LEAST_CONTRAST = 2 / 255  # of the truth, standard deviation; flatter ones drown in noise
INVENTED = 8 / 255  # contrast of a restored frame that noise and texture beside a flat truth do not reach
LEVELS = 0.3  # between the means of two flat frames, of the range
LEAST_SHARE = 0.25  # of the frames must show something else

TURNED = {
    "mirrored left to right": lambda image: image[:, ::-1],
    "mirrored top to bottom": lambda image: image[::-1],
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "a negative": lambda image: -image,
}
ELSE = "another clip, or far from its time or place"


def content_verdict(restored: np.ndarray, truth: np.ndarray) -> str | None:
    """Return what a frame shows instead of its truth; empty: the same; ``None``: both are too flat for it to be told.

    Args:
        restored: (h, w) float32, low-passed luma in [0, 1].
        truth: the same of the truth.
    """
    image, other = _band(restored), _band(truth)
    if other.std() < LEAST_CONTRAST and image.std() < INVENTED:
        return ELSE if abs(float(restored.mean() - truth.mean())) > LEVELS else None
    plain = _correlation(image, other)
    if plain > SURELY_ALIKE:
        return ""
    found = {name: _correlation(turn(image), other) for name, turn in TURNED.items()}
    best = max(found, key=lambda name: found[name])
    # a picture that is nearly symmetric is like its mirror image, only less
    if found[best] > CLEAR and 1 - found[best] < CLEARER * (1 - plain):
        return best
    return "" if plain > ALIKE else ELSE


def common_verdict(verdicts: Sequence[str | None]) -> str:
    """Return what a clip shows instead of its truth, if many of the frames of which it can be told do; else nothing."""
    told = [one for one in verdicts if one is not None]
    wrong = Counter(filter(None, told))
    return wrong.most_common(1)[0][0] if told and wrong.total() >= max(1, LEAST_SHARE * len(told)) else ""


def _band(image: np.ndarray) -> np.ndarray:
    """Reduce an image, and take away its mean and its coarsest part."""
    factor = max(max(image.shape) / SIDE, 1)
    h, w = (max(round(n / factor), 1) for n in image.shape)
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    band = small - cv2.GaussianBlur(small, (0, 0), COARSEST * max(h, w))
    return band - band.mean()


def _correlation(image: np.ndarray, other: np.ndarray) -> float:
    return float((image * other).mean()) / max(float(image.std() * other.std()), 1e-12)
