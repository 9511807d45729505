"""Two-dimensional discrete wavelet transform of the last two axes, by PyWavelets' filters, differentiable.

The signal is extended by zeros and every coefficient that can differ from zero is kept (PyWavelets' mode ``zero``), so
that an orthogonal wavelet keeps the energy of a signal of any size, odd ones included: ``sum x^2 = sum coefficient^2``.
A transform along an axis of n samples is a matrix product; latents are small enough for that to be fast.
"""

from functools import lru_cache

import numpy as np
import pywt
import torch

BANDS = ("LL", "LH", "HL", "HH")  # low or high vertically, then horizontally


def dwt2(x: torch.Tensor, wavelet: str) -> dict[str, torch.Tensor]:
    """Return the sub-bands of ``x`` (..., H, W) by name: each (..., h, w) with ``h = (H + taps - 1) // 2``.

    Args:
        x: floating point.
        wavelet: a discrete wavelet of PyWavelets.

    Returns:
        the sub-bands, keyed by :data:`BANDS`.

    >>> bands = dwt2(torch.ones(4, 6), "haar")
    >>> bands["LL"].shape, bands["HH"].abs().max().item()
    (torch.Size([2, 3]), 0.0)
    """
    vertical, horizontal = (_analysis_matrix(wavelet, n).to(x) for n in x.shape[-2:])
    h, w = len(vertical) // 2, len(horizontal) // 2
    y = vertical @ x @ horizontal.T
    return {"LL": y[..., :h, :w], "LH": y[..., :h, w:], "HL": y[..., h:, :w], "HH": y[..., h:, w:]}


@lru_cache(maxsize=64)
def _analysis_matrix(wavelet: str, length: int) -> torch.Tensor:
    """Return the matrix (2 h, length) float64 of one axis: h low-pass rows, then h high-pass rows."""
    filters = pywt.Wavelet(wavelet)
    taps = filters.dec_len
    h = (length + taps - 1) // 2
    matrix = np.zeros((2, h, length + 2 * taps))
    for band, taps_of_band in enumerate((filters.dec_lo, filters.dec_hi)):
        for i in range(h):
            start = 2 * i + 2  # sample 2 i + 1 - k meets tap k; the row is shifted by ``taps``
            matrix[band, i, start : start + taps] = taps_of_band[::-1]
    return torch.from_numpy(matrix[..., taps : taps + length].reshape(2 * h, length).copy())
