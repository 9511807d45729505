"""Parameters of the degradation, drawn once into plain numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class DegradationConfig:
    """Ranges to draw from, uniformly. Blur is measured in pixels of the result at x4, and scales with the factor."""

    blur_sigma: tuple[float, float] = (0.3, 2.5)
    noise_sigma: tuple[float, float] = (0.0, 15.0)  # of 255
    jpeg_quality: tuple[int, int] = (45, 95)
    clean: float = 0.1  # share of pairs that are shrunk and nothing else


@dataclass(frozen=True)
class DegradationParameters:
    """One draw: what :class:`realis.degradation.second_order.SecondOrderDegradation` applies."""

    scale: float
    blur_sigma: float
    resize: Literal["bicubic", "area"]
    noise_sigma: float
    jpeg_quality: int | None  # None: no JPEG
    noise_seed: int


def draw_parameters(config: DegradationConfig, scale: float, rng: np.random.Generator) -> DegradationParameters:
    """Draw one set of parameters for shrinking by ``scale``."""
    if rng.random() < config.clean:
        return DegradationParameters(scale, 0.0, "bicubic", 0.0, None, noise_seed=0)
    return DegradationParameters(
        scale=scale,
        blur_sigma=float(rng.uniform(*config.blur_sigma)) * scale / 4,
        resize="area" if rng.random() < 0.5 else "bicubic",
        noise_sigma=float(rng.uniform(*config.noise_sigma)) / 255,
        jpeg_quality=int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1)),
        noise_seed=int(rng.integers(2**31)),
    )
