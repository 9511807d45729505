"""Means over frames and clips, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

RESAMPLES, CONFIDENCE, SEED = 9999, 0.95, 0


@dataclass(frozen=True)
class Estimate:
    """A mean over clips.

    Args:
        mean: of the values.
        low, high: a 95 % interval: the percentile bootstrap over clips (Efron 1979); ``None`` for fewer than two clips.
        clips: how many.
    """

    mean: float
    low: float | None
    high: float | None
    clips: int


def estimate(clips: Sequence[np.ndarray], over: Literal["clips", "frames"]) -> Estimate:
    """Return the mean of a metric, and its interval.

    Clips are drawn anew, not frames: frames of a clip are much alike, and would make any difference look certain.

    Args:
        clips: the values of each clip, (n,), one or more.
        over: ``clips``: every clip counts the same; ``frames``: every value does.
    """
    from scipy.stats import bootstrap

    sums, counts = np.array([clip.sum() for clip in clips]), np.array([len(clip) for clip in clips])
    if over == "clips":
        sums, counts = sums / counts, np.ones(len(clips))
    mean = float(sums.sum() / counts.sum())
    if len(clips) < 2:
        return Estimate(mean, None, None, len(clips))

    def ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return sums.sum(axis) / counts.sum(axis)

    found = bootstrap(
        (sums, counts), ratio, paired=True, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval  # fmt: skip
    return Estimate(mean, float(found.low), float(found.high), len(clips))


def differences(clips: Sequence[np.ndarray], base: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what each clip's mean is above that of the same clip in ``base``, (1,) each, for a paired interval."""
    return [np.array([clip.mean() - other.mean()]) for clip, other in zip(clips, base, strict=True)]
