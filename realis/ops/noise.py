"""Gaussian and Poisson noise of degradations, and the noise that diffusion starts from."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import cv2
import numpy as np
import torch
from PIL import Image

from realis.ops.pixels import to_bytes

CHUNK = 2**16  # samples drawn at a time
OUTCOMES = 256  # Poisson values kept for a grey level: 8 standard deviations to either side of the largest mean


def gaussian_noise(image: np.ndarray, sigma: float, rng: np.random.Generator, grey: bool = False) -> np.ndarray:
    """Add white Gaussian noise of standard deviation ``sigma`` to ``image`` (H, W, 3); ``grey``: equal in R, G, B."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))  # torch draws normals twice as fast as NumPy
    noise = torch.randn((*image.shape[:2], 1 if grey else 3), generator=generator).numpy()
    noise *= sigma
    return _added(noise, image)


def poisson_noise(image: np.ndarray, scale: float, rng: np.random.Generator, grey: bool = False) -> np.ndarray:
    """Add shot noise to ``image`` (H, W, 3) float32 in [0, 1]; ``grey``: drawn for its luma, equal in R, G, B.

    As in Real-ESRGAN: the image is rounded to 8 bits, ``n``; ``u`` is the number of its different levels, rounded up to
    a power of 2; the noise is ``scale * (Poisson(n u) / u - n)``. It is 16 times weaker if the image runs to 255.

    Eight bits have 256 levels, so there are at most 256 distributions: each is sampled by Walker's alias method
    (Walker 1977), exact to 2^-24, from 24 random bits a sample.
    """
    levels = to_bytes(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if grey else image)
    distinct = sum(count > 0 for count in Image.fromarray(levels.reshape(len(levels), -1)).histogram())
    alias, noise = _alias_tables(1 << (distinct - 1).bit_length())
    drawn = np.empty(levels.shape, np.float32)
    for part, of_level in zip(_chunks(drawn), _chunks(levels), strict=True):
        bits = rng.integers(2**32, size=part.size, dtype=np.uint32)
        cell = (of_level.astype(np.int64) << 8) | (bits & 255)
        entry = alias.take(cell)
        noise.take(np.where(bits >> 16 < entry >> 16, cell, entry & 65535), out=part)
    drawn *= scale
    return _added(drawn, image)


def _added(noise: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.add(noise, image, out=noise if noise.shape == image.shape else None)


def _chunks(array: np.ndarray) -> list[np.ndarray]:
    """Split ``array`` into flat views so small that several fit into a processor's cache."""
    return np.split(array.reshape(-1), range(CHUNK, array.size, CHUNK))


@lru_cache(maxsize=16)
def _alias_tables(peak: int) -> tuple[np.ndarray, np.ndarray]:
    """Build the alias tables of Poisson(peak * level / 255) for the 256 levels of an 8-bit image.

    Returns:
        (65536,) uint32, at ``256 * level + outcome``: threshold << 16 | cell of the alias; and (65536,) float32, the
        noise ``value / peak - level / 255`` of that outcome.
    """
    # Slow to import, and inference, which takes noise_fields from this file, draws no Poisson noise
    from scipy.stats import poisson

    means = np.arange(256)[:, None] / 255 * peak
    values = np.maximum(means.round() - OUTCOMES // 2, 0) + np.arange(OUTCOMES)
    weights = poisson.pmf(values, means)
    weights *= OUTCOMES / weights.sum(axis=1, keepdims=True)
    rows = np.arange(256)
    alias = np.tile(np.arange(OUTCOMES), (256, 1))
    threshold = np.ones((256, OUTCOMES))
    open_cells = np.ones((256, OUTCOMES), bool)
    for _ in range(OUTCOMES - 1):  # the poorest open cell is filled up from the richest, and closed
        poor = np.where(open_cells, weights, np.inf).argmin(axis=1)
        rich = np.where(open_cells, weights, -np.inf).argmax(axis=1)
        threshold[rows, poor], alias[rows, poor] = weights[rows, poor], rich
        open_cells[rows, poor] = False
        weights[rows, rich] -= 1 - weights[rows, poor]
    thresholds = (threshold * 65536).round().clip(0, 65535).astype(np.uint32)
    cells = (256 * rows[:, None] + alias).astype(np.uint32)
    noise = values / peak - rows[:, None] / 255
    return (thresholds << 16 | cells).ravel(), noise.astype(np.float32).ravel()


def noise_fields(seed: int, numbers: Iterable[int], channels: int, h: int, w: int) -> Iterator[torch.Tensor]:
    """Yield frames of global fields of Gaussian noise over a video's latent grid, one field after the other without end, so
    that segments and tiles agree on each.

    Args:
        seed: with the number of a frame, the only source of randomness; 0 to 2 ** 31 - 1.
        numbers: of the F latent frames.
        channels: of a latent.
        h: height of the grid.
        w: width of the grid.

    Yields:
        (channels, F, h, w) float32 on the CPU.
    """
    generators = [torch.Generator().manual_seed(seed * 1_000_003 + number) for number in numbers]
    while True:
        yield torch.stack([torch.randn((channels, h, w), generator=g) for g in generators], dim=1)
