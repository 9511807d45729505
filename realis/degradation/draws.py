"""The random draws of a degradation, and checks of their ranges, steps, weights and probabilities."""

import math

import numpy as np

from realis.core.errors import require

Range = tuple[float, float]


def walk(rng: np.random.Generator, bounds: Range, step: float, frames: int, start: float | None = None) -> tuple:
    """Draw a random walk of ``frames`` values within ``bounds``, from ``start`` or from a uniform draw."""
    value = rng.uniform(*bounds) if start is None else start
    values = [float(value)]
    for move in rng.uniform(-step, step, frames - 1):
        values.append(float(np.clip(values[-1] + move, *bounds)))
    return tuple(values)


def split_draw(rng: np.random.Generator, bounds: Range, split: float) -> float:
    """Draw uniformly from below ``split`` or from above it within ``bounds``, either with probability one half.

    Takes one number from ``rng``, as a uniform draw does. A side that is empty gives ``split`` itself.
    """
    return float(np.interp(rng.random(), (0, 0.5, 1), (bounds[0], split, bounds[1])))


def wrapping_walk(rng: np.random.Generator, step: float, frames: int) -> tuple[float, ...]:
    """Draw a random walk of an angle that wraps around from pi to -pi."""
    angles = rng.uniform(-math.pi, math.pi) + np.cumsum([0.0, *rng.uniform(-step, step, frames - 1)])
    return tuple(float(a) for a in (angles + math.pi) % (2 * math.pi) - math.pi)


def weighted_choice(rng: np.random.Generator, weights: tuple[float, ...]) -> int:
    """Draw an index of ``weights``, with probabilities in proportion to them."""
    return int(rng.choice(len(weights), p=np.array(weights) / sum(weights)))


def check_probability(value: float, name: str) -> None:
    """Raise an InputError unless ``value`` is a probability."""
    require(0 <= value <= 1, name, value, "0 to 1")


def check_draw_weights(weights: tuple[float, ...], count: int, name: str) -> None:
    """Raise an InputError unless ``weights`` are ``count`` finite numbers from 0, not all 0."""
    fits = len(weights) == count and all(0 <= w < math.inf for w in weights) and sum(weights) > 0
    require(fits, name, weights, f"{count} numbers from 0, not all 0")


def check_range(bounds: tuple[float, float], name: str, low: float, high: float) -> None:
    """Raise an InputError unless ``bounds`` rise within ``low`` to ``high``."""
    require(low <= bounds[0] <= bounds[1] <= high, name, bounds, f"rising, within {low} to {high}")


def check_step(step: float, name: str) -> None:
    """Raise an InputError unless ``step`` is finite and not negative."""
    require(0 <= step < math.inf, name, step, "0 or more")
