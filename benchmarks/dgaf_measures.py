"""The measures of DGAF-VSR's two observations: how adjacent variables correlate, and how many high frequencies they have.

T counts steps, F frames, C channels; h and w are of latents, H and W of whatever is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch

from realis.metrics.full_reference import ssim_map
from realis.metrics.psnr import psnr

WHITE = 255  # levels: the common range of all that is measured
RADIUS, RADIUS_OF = 30, 180  # of the high-pass, cycles a picture, and the lines of REDS4's latents

Curves = dict[str, dict[str, np.ndarray]]  # values along steps or factors by variable, then by measure


# 1. The common range


@dataclass(frozen=True)
class Levels:
    """A linear scale for each channel of a clip, whose range becomes 0 to 255.

    Args:
        least: the least value of each channel, (C, 1, 1).
        span: from the least to the greatest value, (C, 1, 1).
    """

    least: torch.Tensor
    span: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` (..., C, H, W) in levels."""
        return (x - self.least) / self.span * WHITE


def levels_of(x: torch.Tensor) -> Levels:
    """Return the scale on which each channel of ``x`` (..., C, H, W) goes from 0 to 255."""
    channels = x.movedim(-3, 0).flatten(1)
    least = channels.amin(dim=1)
    span = (channels.amax(dim=1) - least).clamp(min=1e-6)  # a flat channel is black
    return Levels(least[:, None, None], span[:, None, None])


# 2. Observation 1: the correlation of adjacent variables, (C, H, W) in levels each


def ssim(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the SSIM, the mean over channels."""
    return float(np.mean([ssim_map(a, b, WHITE).mean().item() for a, b in zip(one, other, strict=True)]))


def psnr_of(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the PSNR in dB."""
    return psnr((one - other).square().mean(), WHITE).item()


def distribution(x: torch.Tensor) -> torch.Tensor:
    """Return the share of the levels of ``x`` in each of 256 bins, one more counted in each, (256,) float64."""
    levels = x.round().clamp(0, WHITE).long().flatten()
    counts = torch.bincount(levels, minlength=WHITE + 1).double() + 1
    return counts / counts.sum()


def f_of_h(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return F(H) = 1 / (1 + H), where H = -sum p log q is the cross-entropy of the two distributions, in nats."""
    p, q = distribution(one), distribution(other)
    return 1 / (1 - (p * q.log()).sum().item())


def f_of_sigma(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return F(sigma) = 1 / (1 + sigma), where sigma is the standard deviation of a channel, the mean over both variables."""
    sigma = torch.stack((one, other)).flatten(2).std(dim=2, correction=0).mean().item()
    return 1 / (1 + sigma)


CORRELATIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], float]] = {
    "SSIM": ssim,
    "PSNR": psnr_of,
    "F(H)": f_of_h,
    "F(sigma)": f_of_sigma,
}


def correlations(frames: torch.Tensor) -> dict[str, float]:
    """Return the mean of each correlation over the adjacent ones of ``frames`` (F, C, H, W), in levels."""
    return {name: float(np.mean([of(*pair) for pair in pairwise(frames)])) for name, of in CORRELATIONS.items()}


# 3. Observation 2: the density of high frequencies in a channel, (H, W) in levels


def canny(channel: np.ndarray) -> float:
    """Return the mean of Canny's edges in an 8-bit channel, which are 255, and 0 elsewhere."""
    return float(cv2.Canny(channel, 100, 200).mean())


def sobel(channel: np.ndarray) -> float:
    """Return the mean length of Sobel's gradient in an 8-bit channel."""
    x, y = (cv2.Sobel(channel, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return float(np.hypot(x, y).mean())


def laplacian(channel: np.ndarray) -> float:
    """Return the mean magnitude of the Laplacian in an 8-bit channel."""
    return float(np.abs(cv2.Laplacian(channel, cv2.CV_32F)).mean())


EDGES: dict[str, Callable[[np.ndarray], float]] = {"Canny": canny, "Sobel": sobel, "Laplacian": laplacian}
HIGH_PASS = "high-pass"
DENSITIES = (*EDGES, HIGH_PASS)


def high_pass(x: torch.Tensor, radius: float) -> float:
    """Return the energy a value of what lies beyond ``radius`` cycles a picture in the spectrum of ``x`` (..., H, W).

    By Parseval's theorem, it is the mean square of ``x`` after the high-pass.
    """
    height, width = x.shape[-2:]
    v, u = (side * torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    beyond = torch.hypot(v[:, None], u[None]) > radius
    energy = torch.fft.fft2(x.double()).abs().square() / (height * width) ** 2
    return energy[..., beyond].sum(dim=-1).mean().item()


def radius_for(size: Sequence[int]) -> float:
    """Return the radius of the high-pass for latents of ``size`` = (h, w)."""
    return min(RADIUS, min(size) * RADIUS / RADIUS_OF)


def inner(x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` (..., H, W) without a tenth of each side all around."""
    height, width = x.shape[-2:]
    top, left = height // 10, width // 10
    return x[..., top : height - top, left : width - left]


def densities(x: torch.Tensor, radius: float) -> dict[str, float]:
    """Return the mean of each density over frames and channels of ``x`` (F, C, H, W), in levels."""
    channels = x.round().clamp(0, WHITE).byte().flatten(0, 1).numpy()
    edges = {name: float(np.mean([of(channel) for channel in channels])) for name, of in EDGES.items()}
    return edges | {HIGH_PASS: high_pass(x, radius)}


def edge_strength(curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the mean over the three detectors, along the same."""
    return np.mean([curves[name] for name in EDGES], axis=0)


# 4. Comparisons


def gain(before: float, after: float) -> float:
    """Return by how many percent ``after`` is above ``before``; 0 above nothing."""
    return 100 * (after / before - 1) if before else 0.0


def along(rows: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Return the values of each measure along ``rows``."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def mean_over(clips: Sequence[Curves]) -> Curves:
    """Return the mean of each curve over clips."""
    return {x: {m: np.mean([clip[x][m] for clip in clips], axis=0) for m in clips[0][x]} for x in clips[0]}
