"""Resizing with the filters by which the low-resolution training and test data of the field were made."""

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch

from realis.ops.kernels import Filter, cubic_kernel

OPENCV_FILTERS = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA, "bicubic": cv2.INTER_CUBIC}


def resample(image: np.ndarray, size: tuple[int, int], filter: Filter) -> np.ndarray:
    """Resize ``image`` (H, W, C) float32 to ``size`` = (height, width).

    ``bilinear``, ``area`` and ``bicubic`` are OpenCV's; of these only ``area`` low-passes when it shrinks.
    ``matlab_bicubic`` is MATLAB's ``imresize``: low-passing, a = -0.5, borders mirrored. ``gaussian`` is the blur
    downsampling ("BD") of video super-resolution test sets: around the centre of each output pixel a Gaussian of
    1.6 pixels that reaches 6, borders repeated.
    """
    if filter in OPENCV_FILTERS:
        return cv2.resize(image, size[::-1], interpolation=OPENCV_FILTERS[filter])
    vertical, horizontal = (_matrix(old, new, filter) for old, new in zip(image.shape, size, strict=False))
    planes = torch.from_numpy(np.stack(cv2.split(image)))
    return cv2.merge(list((vertical @ planes @ horizontal.T).numpy())).reshape(*size, -1)


@lru_cache(maxsize=64)
def _matrix(in_size: int, out_size: int, filter: Literal["matlab_bicubic", "gaussian"]) -> torch.Tensor:
    """Return the matrix (out_size, in_size) float32 of a low-passing resize along one axis."""
    step = in_size / out_size
    width = max(step, 1.0) if filter == "matlab_bicubic" else 1.0
    reach = 2 * width if filter == "matlab_bicubic" else 6.0
    centres = (np.arange(out_size) + 0.5) * step - 0.5
    pixels = np.arange(math.floor(-reach), in_size + math.ceil(reach) + 1)
    distance = (pixels - centres[:, None]) / width
    if filter == "matlab_bicubic":
        weights = cubic_kernel(distance)
        mirrored = pixels % (2 * in_size)
        source = np.minimum(mirrored, 2 * in_size - 1 - mirrored)
    else:
        weights = np.where(np.abs(distance) < reach, np.exp(-0.5 * (distance / 1.6) ** 2), 0)
        source = pixels.clip(0, in_size - 1)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((in_size, out_size))
    np.add.at(matrix, source, weights.T)
    return torch.from_numpy(matrix.T.astype(np.float32))
