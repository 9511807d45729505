"""Convert between the forms of a frame: planes (3, H, W) float32 tensor, image (H, W, 3) float32 array, 8-bit image.

Floats are in [0, 1].
"""

from collections.abc import Iterable

import cv2
import numpy as np
import torch


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Convert a float image to 8 bits: clamped to [0, 1] and rounded. An 8-bit one is returned as it is."""
    return image if image.dtype == np.uint8 else cv2.multiply(image, 255.0, dtype=cv2.CV_8U).reshape(image.shape)


def to_float(image: np.ndarray) -> np.ndarray:
    """Convert an 8-bit image to float32 in [0, 1]. A float one is returned as it is."""
    return np.multiply(image, np.float32(1 / 255), dtype=np.float32) if image.dtype == np.uint8 else image


def planes_to_image(planes: torch.Tensor) -> np.ndarray:
    """Convert planes (3, H, W) float32 or uint8 to an image (H, W, 3) of the same dtype."""
    return cv2.merge(list(planes.numpy()))


def image_to_planes(image: np.ndarray) -> torch.Tensor:
    """Convert an image (H, W, 3) uint8 or float32 to planes (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(to_float(np.stack(cv2.split(image))))


def to_uint8(pixels: torch.Tensor) -> torch.Tensor:
    """Convert floats of any shape to uint8: clamped to [0, 1] and rounded."""
    return (pixels.clamp(0, 1) * 255).round().byte()


def luma(planes: torch.Tensor) -> torch.Tensor:
    """Return the luma (..., H, W) of planes (..., 3, H, W), by the weights of BT.601."""
    red, green, blue = planes.unbind(dim=-3)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def stack_uint8(frames: Iterable[torch.Tensor]) -> torch.Tensor:
    """Convert frames (3, H, W) of floats to (3, F, H, W) uint8; one at a time, which fits the cache, is 3 times as fast."""
    return torch.stack([to_uint8(frame) for frame in frames], dim=1)


def signed(pixels: torch.Tensor) -> torch.Tensor:
    """Convert uint8 of any shape to float32 in [-1, 1], the range of the models."""
    return pixels.float() / 127.5 - 1


def check_finite(values: torch.Tensor, what: str) -> None:
    """Make sure that the output of a network is finite: NaN would become black pixels.

    Raises:
        FloatingPointError: one is not finite.
    """
    # their sum is finite only if all are; a mask of a 4K segment would take half a gigabyte
    if not values.sum(dtype=torch.float32).isfinite():
        raise FloatingPointError(
            f"{what} is not finite; --dtype float32 helps where numbers grew too large, else the weights or the prompt "
            "embeddings are damaged"
        )
