"""Forms of a frame: planes (3, H, W) float32 tensor, image (H, W, 3) float32 array, both in [0, 1], and 8-bit image."""

from collections.abc import Iterable

import cv2
import numpy as np
import torch


def to_bytes(image: np.ndarray) -> np.ndarray:
    """8-bit image of a float one: clamped to [0, 1] and rounded; an 8-bit one stays as it is."""
    return image if image.dtype == np.uint8 else cv2.multiply(image, 255.0, dtype=cv2.CV_8U).reshape(image.shape)


def to_float(image: np.ndarray) -> np.ndarray:
    """Float image of an 8-bit one; a float one stays as it is."""
    return np.multiply(image, np.float32(1 / 255), dtype=np.float32) if image.dtype == np.uint8 else image


def planes_to_image(planes: torch.Tensor) -> np.ndarray:
    """(3, H, W) float32 or uint8 -> (H, W, 3) of the same type."""
    return cv2.merge(list(planes.numpy()))


def image_to_planes(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 or float32 -> (3, H, W) float32."""
    return torch.from_numpy(to_float(np.stack(cv2.split(image))))


def to_uint8(pixels: torch.Tensor) -> torch.Tensor:
    """Float of any shape -> uint8: clamped to [0, 1] and rounded."""
    return (pixels.clamp(0, 1) * 255).round().byte()


def stack_uint8(frames: Iterable[torch.Tensor]) -> torch.Tensor:
    """Frames (3, H, W) float in [0, 1] -> (3, F, H, W) uint8. One by one they stay in the cache: three times as fast."""
    return torch.stack([to_uint8(frame) for frame in frames], dim=1)


def signed(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 of any shape -> float32 in [-1, 1], as models want it."""
    return pixels.float() / 127.5 - 1


def check_finite(values: torch.Tensor, what: str) -> None:
    """Make sure that what a network returned is numbers: anything else would become black pixels.

    Raises:
        FloatingPointError: one is not finite.
    """
    # their sum is finite only if all are; a mask of a 4K segment would take half a gigabyte
    if not values.sum(dtype=torch.float32).isfinite():
        raise FloatingPointError(
            f"{what} is not finite; --dtype float32 helps where numbers grew too large, else the weights or the prompt "
            "embeddings are damaged"
        )
