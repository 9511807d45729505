"""Configuration of HR-Loss. No torch, so that a wrong flag is reported at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pywt

from realis.core.errors import require


@dataclass(frozen=True)
class HrLossConfig:
    """Terms of HR-Loss (RealisVSR, Eqs. 3 to 6); a weight of 0 leaves the term out."""

    rec: float = 1.0  # weight of the rectified-flow term
    wavelet: float = 1.0  # weight of the wavelet term
    hog: float = 1.0  # weight of the HOG term
    domain: Literal["velocity", "clean"] = "velocity"  # what wavelet and HOG compare: velocities, or clean estimates
    filters: str = "haar"  # an orthogonal wavelet of PyWavelets
    levels: int = 1  # of the wavelet transform
    band_weights: tuple[float, float, float, float] = (1.0, 2.0, 2.0, 2.0)  # LL, LH, HL, HH
    cell: int = 4  # side of a HOG cell in latent pixels
    block: int = 2  # side of a HOG block in cells
    bins: int = 9  # orientations
    binning: Literal["soft", "hard"] = "soft"  # soft: each gradient counts for the two nearest orientations

    def __post_init__(self) -> None:
        weights = (self.rec, self.wavelet, self.hog)
        require(min(weights) >= 0 and sum(weights) > 0, "--loss: rec, wavelet, hog", weights, "from 0, not all 0")
        require(min(self.band_weights) >= 0, "--loss.band-weights", self.band_weights, "numbers from 0")
        require(self.bins >= 2, "--loss.bins", self.bins, "at least 2")
        for name in ("levels", "cell", "block"):
            require(getattr(self, name) >= 1, f"--loss.{name}", getattr(self, name), "at least 1")
        require(is_orthogonal(self.filters), "--loss.filters", repr(self.filters),
                "an orthogonal wavelet of PyWavelets, such as haar, db2 or sym4: only those keep a signal's energy")  # fmt: skip


def is_orthogonal(wavelet: str) -> bool:
    """Whether ``wavelet`` is a discrete wavelet of PyWavelets whose filters are orthonormal to 1e-6.

    Measured, not only looked up: PyWavelets calls the truncated Meyer wavelet (dmey) orthogonal, which is 0.5 % off.
    """
    if wavelet not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(wavelet).orthogonal:
        return False
    taps = np.array(pywt.Wavelet(wavelet).dec_lo)
    shifted = [float(taps[k:] @ taps[: len(taps) - k]) for k in range(0, len(taps), 2)]
    return bool(np.allclose(shifted, np.eye(1, len(shifted))[0], atol=1e-6))
