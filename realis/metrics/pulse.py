"""Pulses: quality that comes and goes with the frames that one latent frame covers."""

import numpy as np


def pulse(values: np.ndarray, period: int = 4) -> tuple[float, float]:
    """Tell a figure of merit that rises and falls every ``period`` frames from one that only varies.

    The first frame, which a latent frame covers alone, and a linear trend are left out.

    Args:
        values: (F,), one a frame, of ``period`` + 1 frames or more, such as the PSNR.
        period: in frames.

    Returns:
        The amplitude of the sinusoid of that period, in the unit of ``values``, and the median amplitude of those of
        other periods. Without a pulse they are about equal.

    Raises:
        ValueError: there are fewer frames.
    """
    n = (len(values) - 1) // period * period
    if n < period:
        raise ValueError(f"got {len(values)} frames, wanted at least {period + 1} to find a pulse of {period}")
    t, y = np.arange(n), np.asarray(values, np.float64)[1 : n + 1]
    amplitudes = 2 / n * np.abs(np.fft.rfft(y - np.polyval(np.polyfit(t, y, 1), t)))
    return float(amplitudes[n // period]), float(np.median(np.delete(amplitudes, [0, n // period])))
