"""Means over clips, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def estimate(clips: Sequence[np.ndarray]) -> Estimate:
    """Return the mean of a metric over the values of each clip, then over clips, and its interval.

    Clips are drawn anew, not frames: frames of a clip are much alike, and would make any difference look certain.

    Args:
        clips: the values of each clip, (n,), one or more.
    """
    from scipy.stats import bootstrap

    means = np.array([clip.mean() for clip in clips])
    if len(clips) < 2:
        return Estimate(float(means.mean()), None, None, len(clips))
    found = bootstrap(
        (means,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval  # fmt: skip
    return Estimate(float(means.mean()), float(found.low), float(found.high), len(clips))


def differences(clips: Sequence[np.ndarray], base: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what each clip's mean is above that of the same clip in ``base``, (1,) each, for a paired interval."""
    return [np.array([clip.mean() - other.mean()]) for clip, other in zip(clips, base, strict=True)]
