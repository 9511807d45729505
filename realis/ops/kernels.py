"""Kernels by formula: cubic and Lanczos interpolation, and the blur kernels of the second-order degradation.

The blur kernels are those of Real-ESRGAN (arXiv 2107.10833, sections 3.2 and 3.4). ``q = x' S^-1 x`` is the squared
distance under the covariance ``S = R diag(sigma_x^2, sigma_y^2) R'``:

    Gaussian exp(-q / 2)    generalised exp(-q^beta / 2)    plateau 1 / (1 + q^beta)    sinc w J1(w r) / (2 pi r)

Every blur kernel is (size, size) float64 and sums to 1.
"""

import math
from typing import Literal

import numpy as np

Filter = Literal["bilinear", "area", "bicubic", "matlab_bicubic", "gaussian"]  # of realis.ops.resample


def gaussian_kernel(size: int, sigma: tuple[float, float], rotation: float = 0.0, beta: float = 1.0) -> np.ndarray:
    """Return a Gaussian of standard deviations ``sigma`` = (x, y) pixels, rotated by ``rotation`` radians.

    ``beta`` other than 1 makes it a generalised Gaussian: above 1 flatter in the middle, below 1 with a sharper peak.
    """
    return _normalised(np.exp(-0.5 * _distance(size, sigma, rotation) ** beta))


def plateau_kernel(size: int, sigma: tuple[float, float], rotation: float, beta: float) -> np.ndarray:
    """Return a plateau-shaped kernel, with longer tails than a Gaussian; arguments as for :func:`gaussian_kernel`."""
    return _normalised(1 / (1 + _distance(size, sigma, rotation) ** beta))


def sinc_kernel(size: int, cutoff: float) -> np.ndarray:
    """Return a truncated ideal circular low-pass filter at ``cutoff`` radians per pixel (up to pi): it rings."""
    from scipy.special import j1  # slow to import, and every resize takes its kernel from this file

    y, x = _grid(size)
    r = np.hypot(x, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        kernel = cutoff * j1(cutoff * r) / (2 * math.pi * r)
    return _normalised(np.where(r == 0, cutoff**2 / (4 * math.pi), kernel))


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"kernel size: got {size}, wanted an odd number")
    r = np.arange(size, dtype=np.float64) - size // 2
    return np.meshgrid(r, r, indexing="ij")


def _distance(size: int, sigma: tuple[float, float], rotation: float) -> np.ndarray:
    y, x = _grid(size)
    c, s = math.cos(rotation), math.sin(rotation)
    return ((c * x + s * y) / sigma[0]) ** 2 + ((c * y - s * x) / sigma[1]) ** 2


def _normalised(kernel: np.ndarray) -> np.ndarray:
    return kernel / kernel.sum()


def cubic_kernel(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Evaluate the cubic convolution kernel (Keys 1981) at distances ``x`` (any shape); it is zero beyond 2."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def lanczos_kernel(x: np.ndarray, a: int = 3) -> np.ndarray:
    """Evaluate the Lanczos kernel ``sinc(x) sinc(x / a)`` (Duchon 1979) at distances ``x`` (any shape); it is zero beyond
    ``a``."""
    return np.where(np.abs(x) < a, np.sinc(x) * np.sinc(x / a), 0.0)
