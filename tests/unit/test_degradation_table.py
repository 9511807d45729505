"""What is drawn: every parameter and probability of RealBasicVSR's table and of Real-ESRGAN's training options
(``train_realesrgan_x4plus.yml`` and the code that reads it), 4,096 draws of each at fixed seeds."""

import math
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from realis.degradation.config import KERNELS, DegradationConfig
from realis.degradation.parameters import Blur, Jpeg, Noise, Resize, Video
from realis.degradation.presets import PRESETS

DRAWS = 4096
SIZE = (256, 320)


def draw(preset):
    """4,096 draws for two frames, each split into first order, second order, and end."""
    config = PRESETS[preset]
    return [split(config.sample(np.random.default_rng(seed), 2, SIZE).operations, preset) for seed in range(DRAWS)]


@pytest.fixture(scope="module")
def drawn():
    return cache(draw)


@pytest.fixture
def draws(drawn):
    return drawn("realbasicvsr")


def split(operations, preset="realbasicvsr"):
    """An order of Real-ESRGAN has no video codec, and the second one no JPEG either: that belongs to its end."""
    of_first, of_second = (Video, Jpeg) if preset == "realbasicvsr" else (Jpeg, Noise)
    first = [type(op) for op in operations].index(of_first) + 1
    second = [i for i, op in enumerate(operations) if isinstance(op, of_second)][1] + 1
    return operations[:first], operations[first:second], operations[second:]


def of_kind(draws, part, kind):
    return [op for draw in draws for op in draw[part] if isinstance(op, kind)]


def share(probability, of=DRAWS):
    """Within 4 standard deviations of ``probability`` in ``of`` draws."""
    return pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / of))


def assert_uniform(values, low, high):
    assert low <= min(values) and max(values) <= high
    assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-4


def betas_of(blurs, kind):
    return [blur.beta[0] for blur in blurs if blur.kernel.startswith(kind)]


@pytest.mark.parametrize("preset", ["realbasicvsr", "real_esrgan"])
@pytest.mark.parametrize(("part", "probability", "sigma"), [(0, 1.0, 3.0), (1, 0.8, 1.5)])
def test_drawn_blurs_match_the_table(drawn, preset, part, probability, sigma):
    blurs = of_kind(drawn(preset), part, Blur)
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
    sinc = [blur for blur in blurs if blur.kernel == "sinc"]
    assert_uniform([blur.cutoff[0] for blur in sinc if blur.size < 13], math.pi / 3, math.pi)
    assert_uniform([blur.cutoff[0] for blur in sinc if blur.size >= 13], math.pi / 5, math.pi)


@pytest.mark.parametrize("part", [0, 1])
def test_betas_of_realbasicvsr_are_uniform(draws, part):
    blurs = of_kind(draws, part, Blur)
    assert_uniform(betas_of(blurs, "generalized"), 0.5, 4)
    assert_uniform(betas_of(blurs, "plateau"), 1, 2)


@pytest.mark.parametrize("part", [0, 1])
def test_half_of_the_betas_of_real_esrgan_are_below_1_or_1_itself(drawn, part):
    blurs = of_kind(drawn("real_esrgan"), part, Blur)
    gaussian, plateau = betas_of(blurs, "generalized"), betas_of(blurs, "plateau")
    below, above = [beta for beta in gaussian if beta < 1], [beta for beta in gaussian if beta >= 1]
    assert len(below) / len(gaussian) == share(0.5, len(gaussian))
    assert_uniform(below, 0.5, 1)
    assert_uniform(above, 1, 4)
    assert np.mean([beta == 1 for beta in plateau]) == share(0.5, len(plateau))
    assert_uniform([beta for beta in plateau if beta != 1], 1, 2)


def test_the_second_resize_of_real_esrgan_scales_the_size_of_the_result():
    resize, rng = PRESETS["real_esrgan"].second.resize, np.random.default_rng(0)
    resizes = [resize.sample(rng, ((500, 600),), (2001, 1001))[0] for _ in range(DRAWS)]
    heights = np.array([op.sizes[0][0] for op in resizes])
    kept, up = heights == 2001, heights > 2001  # others are even
    assert kept.mean() == share(0.3) and up.mean() == share(0.3)
    assert {op.sizes[0] for op, is_kept in zip(resizes, kept, strict=True) if is_kept} == {(2001, 1001)}
    scales = (heights + rng.uniform(0, 2, DRAWS)) / 2001
    assert_uniform(scales[up].clip(1, 1.2), 1, 1.2)
    assert_uniform(scales[~up & ~kept].clip(0.3, 1), 0.3, 1)
    counts = Counter(op.filter for op in resizes)
    assert all(counts[name] / DRAWS == share(1 / 3) for name in ("bilinear", "area", "bicubic"))


@pytest.mark.parametrize(
    ("preset", "part", "up", "down", "low", "high"),
    [
        ("realbasicvsr", 0, 0.2, 0.7, 0.15, 1.5),
        ("realbasicvsr", 1, 0.3, 0.4, 0.3, 1.2),
        ("real_esrgan", 0, 0.2, 0.7, 0.15, 1.5),
    ],
)
def test_drawn_resizes_match_the_table(drawn, preset, part, up, down, low, high):
    draws, scales, filters = drawn(preset), [], []
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


@pytest.mark.parametrize("preset", ["realbasicvsr", "real_esrgan"])
@pytest.mark.parametrize(("part", "sigma", "scale"), [(0, 30, 3.0), (1, 25, 2.5)])
def test_drawn_noise_matches_the_table(drawn, preset, part, sigma, scale):
    noises = of_kind(drawn(preset), part, Noise)
    assert len(noises) == DRAWS
    gaussian, poisson = ([op for op in noises if op.kind == kind] for kind in ("gaussian", "poisson"))
    assert len(gaussian) / DRAWS == share(0.5)
    assert np.mean([op.grey for op in gaussian]) == share(0.4, DRAWS / 2)
    assert np.mean([op.grey for op in poisson]) == share(0.4, DRAWS / 2)
    assert_uniform([op.strength[0] * 255 for op in gaussian], 1, sigma)
    assert_uniform([op.strength[0] for op in poisson], 0.05, scale)
    assert len({op.seed for op in noises}) == DRAWS


@pytest.mark.parametrize(
    ("preset", "part"), [("realbasicvsr", 0), ("realbasicvsr", 1), ("real_esrgan", 0), ("real_esrgan", 2)]
)
def test_drawn_jpeg_matches_the_table(drawn, preset, part):
    qualities = [op.quality[0] for op in of_kind(drawn(preset), part, Jpeg)]
    assert len(qualities) == DRAWS and min(qualities) == 30 and max(qualities) == 95
    assert_uniform(qualities + np.random.default_rng(0).uniform(-0.5, 0.5, DRAWS).clip(-0.49, 0.49), 29.5, 95.5)


def test_drawn_video_compression_matches_the_table(draws):
    assert not of_kind(draws, 1, Video) and not of_kind(draws, 2, Jpeg)
    for part in (0, 2):
        videos = of_kind(draws, part, Video)
        assert len(videos) == DRAWS
        assert_uniform([op.bits_per_pixel for op in videos], 1e4 / 65536, 1e5 / 65536)


@pytest.mark.parametrize(("preset", "compression"), [("realbasicvsr", Video), ("real_esrgan", Jpeg)])
def test_the_end_is_shuffled(drawn, preset, compression):
    ends = [end for *_, end in drawn(preset)]
    with_sinc = [end for end in ends if any(isinstance(op, Blur) for op in end)]
    assert len(with_sinc) / DRAWS == share(0.8)
    assert np.mean([isinstance(end[0], compression) for end in with_sinc]) == share(0.5, len(with_sinc))
    sinc = of_kind(drawn(preset), 2, Blur)
    assert {op.kernel for op in sinc} == {"sinc"}
    assert_uniform([op.cutoff[0] for op in sinc], math.pi / 3, math.pi)
    sizes = Counter(op.size for op in sinc)
    assert set(sizes) == set(range(7, 22, 2)) and all(n / len(sinc) == share(1 / 8, len(sinc)) for n in sizes.values())
    for end in ends:
        assert [type(op) for op in end if not isinstance(op, compression)] in ([Resize, Blur], [Resize], [Blur], [])


@pytest.mark.parametrize(("preset", "least", "most"), [("realbasicvsr", 0.99, 1.0), ("real_esrgan", 0.63, 0.69)])
def test_the_end_resizes_what_has_not_the_final_size_yet(drawn, preset, least, most):
    """With RealBasicVSR few clips have it by chance; with Real-ESRGAN the 30 % that the second resize keeps have it, and
    the 4 % (64x80) that it enlarges by less than two pixels."""
    resizes = of_kind(drawn(preset), 2, Resize)
    assert least <= len(resizes) / DRAWS <= most
    filters = Counter(op.filter for op in resizes)
    assert all(filters[name] / len(resizes) == share(1 / 3, len(resizes)) for name in ("bilinear", "area", "bicubic"))


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
