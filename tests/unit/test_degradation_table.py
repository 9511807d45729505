"""What is drawn: every parameter and probability of RealBasicVSR's table, 4,096 draws at fixed seeds."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from realis.degradation.config import KERNELS, DegradationConfig
from realis.degradation.parameters import Blur, Jpeg, Noise, Resize, Video

DRAWS = 4096
SIZE = (256, 320)


@pytest.fixture(scope="module")
def draws():
    """4,096 draws for two frames, each split into first order, second order, and end."""
    config = DegradationConfig()
    return [split(config.sample(np.random.default_rng(seed), 2, SIZE).operations) for seed in range(DRAWS)]


def split(operations):
    first = [type(op) for op in operations].index(Video) + 1
    second = [i for i, op in enumerate(operations) if isinstance(op, Jpeg)][1] + 1
    return operations[:first], operations[first:second], operations[second:]


def of_kind(draws, part, kind):
    return [op for draw in draws for op in draw[part] if isinstance(op, kind)]


def share(probability, of=DRAWS):
    """Within 4 standard deviations of ``probability`` in ``of`` draws."""
    return pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / of))


def assert_uniform(values, low, high):
    assert low <= min(values) and max(values) <= high
    assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-4


@pytest.mark.parametrize(("part", "probability", "sigma"), [(0, 1.0, 3.0), (1, 0.8, 1.5)])
def test_drawn_blurs_match_the_table(draws, part, probability, sigma):
    blurs = of_kind(draws, part, Blur)
    assert len(blurs) / DRAWS == share(probability)
    kinds = Counter(blur.kernel for blur in blurs)
    for kind, wanted in zip(KERNELS, (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1), strict=True):
        assert kinds[kind] / len(blurs) == share(wanted, len(blurs)), kind
    sizes = Counter(blur.size for blur in blurs)
    assert set(sizes) == set(range(7, 22, 2)) and all(
        n / len(blurs) == share(1 / 8, len(blurs)) for n in sizes.values()
    )
    aniso = [blur for blur in blurs if "aniso" in blur.kernel]
    assert_uniform([blur.sigma[0][0] for blur in aniso], 0.2, sigma)
    assert_uniform([blur.sigma[0][1] for blur in aniso], 0.2, sigma)
    assert_uniform([blur.rotation[0] for blur in aniso], -math.pi, math.pi)
    assert all(
        x == y for blur in blurs if blur.kernel.endswith("iso") and "aniso" not in blur.kernel for x, y in blur.sigma
    )
    assert_uniform([blur.beta[0] for blur in blurs if "generalized" in blur.kernel], 0.5, 4)
    assert_uniform([blur.beta[0] for blur in blurs if "plateau" in blur.kernel], 1, 2)
    sinc = [blur for blur in blurs if blur.kernel == "sinc"]
    assert_uniform([blur.cutoff[0] for blur in sinc if blur.size < 13], math.pi / 3, math.pi)
    assert_uniform([blur.cutoff[0] for blur in sinc if blur.size >= 13], math.pi / 5, math.pi)


@pytest.mark.parametrize(("part", "up", "down", "low", "high"), [(0, 0.2, 0.7, 0.15, 1.5), (1, 0.3, 0.4, 0.3, 1.2)])
def test_drawn_resizes_match_the_table(draws, part, up, down, low, high):
    scales, filters = [], []
    for first, second, _ in draws:
        before = next((op.sizes[0] for op in first if isinstance(op, Resize)), SIZE) if part else SIZE
        for op in (first, second)[part]:
            if isinstance(op, Resize):
                scales.append(op.sizes[0][1] / before[1])
                filters.append(op.filter)
    ups = [s for s in scales if s > 1]
    assert len(ups) / DRAWS == share(up) and (len(scales) - len(ups)) / DRAWS == share(down)
    smoothed = np.array(scales) + np.random.default_rng(0).uniform(0, 2, len(scales)) / SIZE[1]  # sizes are even
    assert_uniform(smoothed[smoothed > 1 + 2 / SIZE[1]].clip(1, high), 1, high)
    assert_uniform(smoothed[smoothed <= 1].clip(low, 1), low, 1)
    counts = Counter(filters)
    assert all(counts[name] / len(filters) == share(1 / 3, len(filters)) for name in ("bilinear", "area", "bicubic"))
    sizes = [n for op in of_kind(draws, part, Resize) for size in op.sizes for n in size]
    assert all(n % 2 == 0 for n in sizes)


@pytest.mark.parametrize(("part", "sigma", "scale"), [(0, 30, 3.0), (1, 25, 2.5)])
def test_drawn_noise_matches_the_table(draws, part, sigma, scale):
    noises = of_kind(draws, part, Noise)
    assert len(noises) == DRAWS
    gaussian, poisson = ([op for op in noises if op.kind == kind] for kind in ("gaussian", "poisson"))
    assert len(gaussian) / DRAWS == share(0.5)
    assert np.mean([op.grey for op in gaussian]) == share(0.4, DRAWS / 2)
    assert np.mean([op.grey for op in poisson]) == share(0.4, DRAWS / 2)
    assert_uniform([op.strength[0] * 255 for op in gaussian], 1, sigma)
    assert_uniform([op.strength[0] for op in poisson], 0.05, scale)
    assert len({op.seed for op in noises}) == DRAWS


def test_drawn_compression_matches_the_table(draws):
    for part in (0, 1):
        qualities = [op.quality[0] for op in of_kind(draws, part, Jpeg)]
        assert len(qualities) == DRAWS and min(qualities) == 30 and max(qualities) == 95
        assert_uniform(qualities + np.random.default_rng(0).uniform(-0.5, 0.5, DRAWS).clip(-0.49, 0.49), 29.5, 95.5)
    assert not of_kind(draws, 1, Video) and not of_kind(draws, 2, Jpeg)
    for part in (0, 2):
        videos = of_kind(draws, part, Video)
        assert len(videos) == DRAWS
        assert_uniform([op.bits_per_pixel for op in videos], 1e4 / 65536, 1e5 / 65536)


def test_the_end_is_shuffled(draws):
    ends = [end for *_, end in draws]
    assert np.mean([isinstance(end[0], Video) for end in ends]) == share(0.5)
    filters = Counter(op.filter for op in of_kind(draws, 2, Resize))
    assert all(filters[name] / DRAWS == share(1 / 3) for name in ("bilinear", "area", "bicubic"))
    sinc = of_kind(draws, 2, Blur)
    assert len(sinc) / DRAWS == share(0.8) and {op.kernel for op in sinc} == {"sinc"}
    assert_uniform([op.cutoff[0] for op in sinc], math.pi / 3, math.pi)
    sizes = Counter(op.size for op in sinc)
    assert set(sizes) == set(range(7, 22, 2)) and all(n / len(sinc) == share(1 / 8, len(sinc)) for n in sizes.values())
    for end in ends:
        order = [type(op) for op in end if not isinstance(op, Video)]
        assert order[-1:] != [Resize] or order == [Resize]
    assert len(of_kind(draws, 2, Resize)) >= 0.99 * DRAWS  # few clips have the final size by chance


def test_the_order_of_operations(draws):
    for first, second, _ in draws:
        assert [type(op) for op in first if not isinstance(op, Resize)] == [Blur, Noise, Jpeg, Video]
        assert [type(op) for op in second if not isinstance(op, (Resize, Blur))] == [Noise, Jpeg]
        kinds = [type(op) for op in first]
        assert Resize not in kinds or kinds.index(Resize) == 1


def largest_moves(part):
    """The largest move between neighbouring frames of everything that walks, over many long draws of one order."""
    moves = {}
    for seed in range(150):
        operations = DegradationConfig().sample(np.random.default_rng(seed), 40, (2000, 2000)).operations
        for op in split(operations)[part]:
            shape = op.kernel.split("_")[0] if isinstance(op, Blur) else getattr(op, "kind", "")
            for name in ("sigma", "rotation", "beta", "cutoff", "strength", "quality", "sizes"):
                values = np.array(getattr(op, name, ()), float)
                if len(values) and not (name in ("beta", "rotation") and np.ptp(values) == 0):
                    jumps = np.abs(np.diff(values, axis=0))
                    jumps = np.minimum(jumps, 2 * math.pi - jumps) if name == "rotation" else jumps
                    key = {"beta": f"beta {shape}", "strength": f"strength {shape}"}.get(name, name)
                    moves[key] = max(moves.get(key, 0), jumps.max())
    return moves


@pytest.mark.parametrize("part", [0, 1])
def test_everything_walks_along_time_in_its_steps(part):
    steps = {
        "sigma": 0.02, "rotation": 0.1 * math.pi, "beta generalized": 0.05, "beta plateau": 0.1,
        "cutoff": 0.02 * math.pi, "strength gaussian": 0.1 / 255, "strength poisson": 0.005,
    }  # fmt: skip
    moves = largest_moves(part)
    assert 3 <= moves.pop("quality") <= 4  # rounded
    assert moves.pop("sizes") > 0
    assert set(moves) == set(steps)
    for name, step in steps.items():
        assert 0.9 * step <= moves[name] <= step + 1e-9, name


def test_each_resize_walks_in_its_own_steps():
    sizes = ((2000, 2000),) * 200
    for config, step in ((DegradationConfig().first.resize, 0.015), (DegradationConfig().second.resize, 0.03)):
        (op,) = replace(config, weights=(0, 1, 0, 0)).sample(np.random.default_rng(0), sizes, (500, 500))
        assert 0.9 * 2000 * step <= np.abs(np.diff([w for _, w in op.sizes])).max() <= 2000 * step + 2
