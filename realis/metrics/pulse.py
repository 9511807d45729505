"""Pulses: quality, luma or detail that comes and goes with the frames of a segment, or of one latent frame."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from realis.ops.pixels import luma

ROW_STEP = 4  # every fourth row is measured
LEAST = 8  # periods, below which nothing is said
SCORE = 4.5  # standard errors from which on a pulse is seen: benchmarks/meters.py
SIZES = {"luma": 0.1, "detail": 0.01}  # grey levels and share of the detail, below which a pulse is none
UNITS = {"luma": (1.0, "levels"), "detail": (100.0, "%")}  # what sizes are multiplied with, and their unit then
FLOOR = 0.1  # of them, which is added to differences: their logarithms must not run away near 0


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


@dataclass(frozen=True)
class Pulse:
    """What was measured of a video at one position of a period.

    Args:
        what: ``luma`` or ``detail``.
        period: in frames.
        position: in the period, at which frames differ most from their neighbours.
        size: by how much, in grey levels, or as a share of the detail; geometric mean.
        usual: the same of all other positions.
        score: log of their ratio in standard errors.
    """

    what: str
    period: int
    position: int
    size: float
    usual: float
    score: float

    @property
    def severity(self) -> float:
        """1 or more: a pulse, one that can be told from chance and is large enough to matter."""
        return min(self.score / SCORE, self.size / SIZES[self.what])

    def __str__(self) -> str:
        verdict = "the result probably pulses" if self.severity >= 1 else "none seen"
        factor, unit = UNITS[self.what]
        return (
            f"{verdict}; the worst is of {self.what}, every {self.period} frames: frame {self.position} differs from its "
            f"neighbours by {factor * self.size:.2g} {unit}, others by {factor * self.usual:.2g}"
        )


class PulseMeter:
    """Accumulates by position in a segment how much luma and detail of a frame differ from the mean of its neighbours.

    Measured is what a method added: mean luma of the result minus that of the input, and log of the result's gradients
    over the input's, so that fades, flashes and motion of the content hardly count. Nothing grows with the length of
    the video.

    Args:
        periods: in frames, such as those of a segment and of a latent frame.
        state: :attr:`state` after the previous frame; empty at the start.
    """

    def __init__(self, periods: Sequence[int], state: Mapping[str, torch.Tensor]) -> None:
        self.periods = periods
        tables = {f"period {n}": torch.zeros(len(SIZES), 3, n, dtype=torch.float64) for n in periods}
        self.state = tables | dict(state)
        if not state:
            self.begin_shot()

    def begin_shot(self) -> None:
        """Compare no frame after this with one before: a scene cut is no pulse."""
        self.state["recent"] = torch.zeros(0, 1 + len(SIZES), dtype=torch.float64)

    def add(self, result: torch.Tensor, source: torch.Tensor, position: int) -> None:
        """Add a frame: ``result`` (3, H, W) of ``source`` (3, h, w), float32 in [0, 1], at a position in its segment."""
        if not self.periods:
            return
        added = 255 * (_mean_luma(result) - _mean_luma(source))
        detail = math.log(_mean_gradient(result[:, ::ROW_STEP]) / _mean_gradient(source))
        now = torch.tensor([[position, added, detail]], dtype=torch.float64)
        recent = torch.cat([self.state["recent"], now])[-3:]
        self.state["recent"] = recent
        if len(recent) == 3:
            before, at, after = recent
            differences = (at - (before + after) / 2).abs()[1:]
            # logarithms, so that a cut of the content counts little more than any other frame
            values = torch.log(differences + FLOOR * torch.tensor(list(SIZES.values())))
            self._count(int(at[0]), values)

    def _count(self, position: int, values: torch.Tensor) -> None:
        for period in self.periods:
            place = position % period
            self.state[f"period {period}"][:, :, place] += torch.stack(
                [torch.ones_like(values), values, values**2], dim=1
            )

    def pulses(self) -> Iterator[Pulse]:
        """Yield the strongest pulse of luma and detail of each period that was seen :data:`LEAST` times."""
        for period in self.periods:
            for what, (counts, sums, squares) in zip(SIZES, self.state[f"period {period}"], strict=True):
                if counts.min() < LEAST:
                    continue
                means, others = sums / counts, (sums.sum() - sums) / (counts.sum() - counts)
                deviation = ((squares - sums**2 / counts).sum() / (counts.sum() - period)).clamp(min=1e-6).sqrt()
                scores = (means - others) / (deviation * (1 / counts + 1 / (counts.sum() - counts)).sqrt())
                place = int(scores.argmax())
                size, usual = float(means[place].exp()), float(others[place].exp())
                yield Pulse(what, period, place, size, usual, float(scores[place]))

    def worst(self) -> Pulse | None:
        """Return the worst pulse; ``None``: the video is too short to tell."""
        return max(self.pulses(), key=lambda pulse: pulse.severity, default=None)


def _mean_luma(frame: torch.Tensor) -> float:
    return float(luma(frame.mean(dim=(1, 2), keepdim=True)))


def _mean_gradient(frame: torch.Tensor) -> float:
    """Return the mean of absolute horizontal gradients, and a little for frames that have none."""
    return float(luma(frame).diff(dim=1).abs().mean()) + 1e-5
