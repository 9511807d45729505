"""Filtering of images (H, W, C) float32; borders are mirrored without repeating the edge pixel, as OpenCV's default."""

import math
from functools import lru_cache

import cv2
import numpy as np
import scipy.fft
import torch

from realis.ops.kernels import gaussian_kernel

DIRECT_SIZE = 11  # kernels up to here are faster as sums of shifted images than by Fourier transform


def filter2d(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Filter ``image`` (H, W, C) float32 with ``kernel`` (k, k), k odd and symmetric about its centre.

    The fastest way for the kernel is taken: two passes if it is separable, else directly or by Fourier transform. All
    equal ``cv2.filter2D`` to rounding.
    """
    columns, rows = kernel.sum(axis=1), kernel.sum(axis=0)
    if np.allclose(np.outer(columns, rows), kernel * kernel.sum(), rtol=0, atol=1e-9):
        return _same_shape(cv2.sepFilter2D(image, -1, rows / kernel.sum(), columns), image)
    if len(kernel) <= DIRECT_SIZE or min(image.shape[:2]) <= len(kernel):
        return _same_shape(cv2.filter2D(image, -1, kernel), image)
    return _filter_by_fourier_transform(image, kernel)


def _same_shape(filtered: np.ndarray, image: np.ndarray) -> np.ndarray:
    return filtered.reshape(image.shape)  # OpenCV drops an axis of one channel


def _filter_by_fourier_transform(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    H, W = image.shape[:2]
    margin = len(kernel) // 2
    size = [8 * scipy.fft.next_fast_len(math.ceil((n + 2 * margin) / 8)) for n in (H, W)]
    padding = (margin, size[0] - H - margin, margin, size[1] - W - margin)
    transfer = _transfer_function(torch.from_numpy(kernel).float(), *size)[..., None]
    filtered = []
    for plane in cv2.split(image):
        padded = cv2.copyMakeBorder(plane, *padding, cv2.BORDER_REFLECT_101)
        spectrum = torch.fft.rfft2(torch.from_numpy(padded))
        torch.view_as_real(spectrum).mul_(transfer)
        filtered.append(torch.fft.irfft2(spectrum, s=size).numpy()[margin : margin + H, margin : margin + W])
    return _same_shape(cv2.merge(filtered), image)


def _transfer_function(kernel: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the Fourier transform of a kernel that is symmetric about its centre: real, (height, width // 2 + 1)."""
    cos_v, sin_v = _waves(height, height, len(kernel))
    cos_h, sin_h = _waves(width, width // 2 + 1, len(kernel))
    return (cos_v @ kernel) @ cos_h.T - (sin_v @ kernel) @ sin_h.T


@lru_cache(maxsize=32)
def _waves(length: int, frequencies: int, taps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosines and sines (frequencies, taps) of a signal of ``length`` at the offsets of a kernel."""
    offsets = torch.arange(taps, dtype=torch.float64) - taps // 2
    angle = 2 * math.pi / length * torch.outer(torch.arange(frequencies, dtype=torch.float64), offsets)
    return angle.cos().float(), angle.sin().float()


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur ``image`` with an isotropic Gaussian of ``sigma`` pixels, cut off at 3 sigma; 0 changes nothing."""
    return filter2d(image, gaussian_kernel(2 * math.ceil(3 * sigma) + 1, (sigma, sigma))) if sigma else image


def unsharp_mask(
    image: np.ndarray, amount: float = 0.5, size: int = 51, sigma: float = 8.0, threshold: float = 10 / 255
) -> np.ndarray:
    """Sharpen ``image`` in [0, 1], as Real-ESRGAN and RealBasicVSR sharpen their ground truth.

    Details are scaled up by ``amount`` where they exceed ``threshold``; the mask of where that is is blurred too.
    """
    kernel = gaussian_kernel(size, (sigma, sigma))
    detail = image - filter2d(image, kernel)
    mask = filter2d((np.abs(detail) > threshold).astype(np.float32), kernel)
    return image + mask * (np.clip(image + amount * detail, 0, 1) - image)
