"""JPEG compression of frames, by Pillow's codec."""

import io

import numpy as np
import torch
from PIL import Image


def jpeg(frames: torch.Tensor, quality: int) -> torch.Tensor:
    """Encode and decode each frame.

    Args:
        frames: (F, 3, H, W) in [0, 1]; clamped and rounded to 8 bits first.
        quality: 1 to 100, as Pillow counts it.

    Returns:
        (F, 3, H, W) float32 in [0, 1].
    """
    pixels = (frames.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    decoded = np.stack([_jpeg_image(image, quality) for image in pixels])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255


def _jpeg_image(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
