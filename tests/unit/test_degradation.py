"""The degradation: what is drawn, that it replays, and the traps that other implementations fell into."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from realis.degradation.config import KERNELS, BlurConfig, DegradationConfig, JpegConfig, NoiseConfig, ResizeConfig
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Resize, Video
from realis.degradation.presets import PRESETS, load_degradation
from realis.degradation.second_order import Margin, apply, degrade, degrade_stream, degraded_pair
from realis.errors import InputError
from realis.ops.codec import decode, encode
from realis.ops.filters import unsharp_mask
from realis.ops.noise import poisson_noise
from realis.ops.pixels import planes_to_image
from realis.ops.resample import resample

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


# The traps, by name


def test_trap_poisson_noise_is_not_16_times_weaker():
    image = np.full((256, 256, 3), 0.5, np.float32)
    image[0] = (np.arange(256, dtype=np.float32) / 255)[:, None]
    noise = poisson_noise(image, 1.0, np.random.default_rng(0)) - image
    assert noise[1:].std() * 255 == pytest.approx(11.29, rel=0.01)


def test_trap_overshoot_is_clipped_before_the_codec_and_does_not_wrap_around():
    image = np.full((32, 32, 3), 1.1, np.float32)
    image[:16] = -0.1
    (seen,) = apply(Video("mpeg4", 4.0), iter([image]))
    assert seen[:14].max() < 30 and seen[18:].min() > 225


def test_trap_beta_walks_and_is_not_drawn_anew_for_each_frame():
    config = BlurConfig(kernels=(0, 0, 1, 0, 0, 0, 0), beta_gaussian=(0.5, 4.0), beta_gaussian_step=0.05)
    for seed in range(20):
        (blur,) = config.sample(np.random.default_rng(seed), 40)
        assert np.abs(np.diff(blur.beta)).max() <= 0.05
    (still,) = replace(config, beta_gaussian=(3.0, 3.0)).sample(np.random.default_rng(0), 40)
    assert set(still.beta) == {3.0}


def test_trap_kept_sizes_do_not_drift():
    keep = ResizeConfig(weights=(0, 0, 1, 0), scale_step=0.5)
    assert keep.sample(np.random.default_rng(0), ((64, 64),) * 20, (16, 16)) == []


def test_trap_rotation_goes_on_at_the_other_end():
    config = BlurConfig(kernels=(0, 1, 0, 0, 0, 0, 0), rotation_step=1.0)
    jumps = np.concatenate([np.diff(config.sample(np.random.default_rng(s), 50)[0].rotation) for s in range(20)])
    assert (np.abs(jumps) > 5).any()  # from pi to -pi
    around = np.abs((jumps + math.pi) % (2 * math.pi) - math.pi)
    assert around.max() <= 1.0 and around.mean() == pytest.approx(0.5, abs=0.05)  # and it does not stick to the ends


def test_trap_frames_of_several_sizes_get_that_of_the_first_in_the_codec():
    sizes = ((32, 48), (30, 44), (36, 52))
    p = DegradationParameters(3, (64, 96), (32, 48), False, (Resize("area", sizes), Video("libx264", 2.0)))
    resized = list(apply(p.operations[0], iter([np.full((64, 96, 3), 0.5, np.float32)] * 3)))
    assert [image.shape[:2] for image in resized] == list(sizes)
    assert [image.shape[:2] for image in apply(p.operations[1], iter(resized))] == [(32, 48)] * 3


def test_trap_jpeg_is_given_red_as_red():
    """Luma is kept better than chroma, and red counts more in it than blue: fed as blue, red would come out worse."""
    texture = np.random.default_rng(0).random((64, 64), dtype=np.float32) * 0.8 + 0.1
    red = np.stack([texture, np.full_like(texture, 0.5), np.full_like(texture, 0.5)], axis=2)
    (seen,) = apply(Jpeg((50,)), iter([red]))
    (swapped,) = apply(Jpeg((50,)), iter([np.ascontiguousarray(red[..., ::-1])]))
    errors = [np.abs(channel / 255 - texture).mean() for channel in (seen[..., 0], swapped[..., 2])]
    assert errors[0] < 0.9 * errors[1]


def test_trap_noise_beyond_the_range_is_clipped_by_the_next_compression():
    noise = Noise("gaussian", (0.5,), False, 0)
    (noisy,) = apply(noise, iter([np.full((64, 64, 3), 0.9, np.float32)]))
    assert noisy.max() > 1.2
    (seen,) = apply(Jpeg((95,)), iter([noisy]))
    assert seen.dtype == np.uint8 and np.median(seen) > 200


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("size", [(33, 47), (1, 1), (2, 5)])
def test_trap_codecs_take_odd_sizes(codec, size):
    images = [np.full((*size, 3), 100 + 10 * i, np.uint8) for i in range(3)]
    decoded = list(decode(encode(images, codec, 0.5)))
    assert [image.shape for image in decoded] == [(*size, 3)] * 3
    assert size != (33, 47) or abs(decoded[2].mean() - 120) < 8


def test_trap_h264_is_libx264(draws):
    videos = of_kind(draws, 0, Video) + of_kind(draws, 2, Video)
    assert Counter(op.codec for op in videos)["libx264"] / len(videos) == share(2 / 3, len(videos))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_trap_bit_rates_are_per_pixel(codec):
    rng = np.random.default_rng(0)
    per_pixel = []
    for height, width in ((144, 192), (288, 384)):
        clip = [rng.integers(100, 156, (height, width, 3), dtype=np.uint8) for _ in range(16)]
        per_pixel.append(8 * len(encode(clip, codec, 0.8).data) / 16 / height / width)
    assert per_pixel[0] == pytest.approx(per_pixel[1], rel=0.25)


def test_trap_encoding_works_with_pyav_18():
    """MMagic sets ``pict_type = "NONE"`` on each frame, which PyAV 18 refuses: frames are encoded as they are."""
    images = [np.full((16, 16, 3), 90, np.uint8)] * 2
    assert len(list(decode(encode(images, "mpeg4", 1.0)))) == 2


def test_trap_kernels_are_measured_in_pixels_of_the_frame():
    """The same kernel at any size of the frame: ground truth is cropped, not shrunk."""
    blurs = [Blur("iso", 21, ((2.0, 2.0),), (0.0,))] * 2
    for blur, size in zip(blurs, (64, 256), strict=True):
        dot = np.zeros((size, size, 3), np.float32)
        dot[size // 2, size // 2] = 1
        (seen,) = apply(blur, iter([dot]))
        spread = (seen[..., 0] * (np.arange(size) - size // 2) ** 2).sum()
        assert spread == pytest.approx(4.0, rel=0.01)


# Replay, sizes, margins


def random_clip(frames, height, width, seed=0):
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_json_gives_the_same_bytes(preset, tmp_path):
    hr = random_clip(4, 48, 64)
    file = tmp_path / "parameters.json"
    for seed in range(3):
        drawn = PRESETS[preset].sample(np.random.default_rng(seed), 4, (48, 64))
        file.write_text(drawn.to_json())
        replayed = DegradationParameters.read(file)
        assert replayed == drawn
        assert torch.equal(degrade(hr, drawn), degrade(hr, replayed))


@settings(max_examples=40, deadline=None)
@given(
    preset=st.sampled_from(sorted(PRESETS)), seed=st.integers(0, 10**6), frames=st.integers(1, 4),
    height=st.integers(16, 70), width=st.integers(16, 70), scale=st.sampled_from([1, 2, 4, 8]),
)  # fmt: skip
def test_any_seed_and_size_stays_in_range_and_on_size(preset, seed, frames, height, width, scale):
    p = PRESETS[preset].sample(np.random.default_rng(seed), frames, (height, width), scale)
    lr = degrade(random_clip(frames, height, width, seed), p)
    assert lr.shape == (frames, 3, round(height / scale), round(width / scale)) and lr.dtype == torch.float32
    assert lr.min() >= 0 and lr.max() <= 1
    torch.testing.assert_close(lr * 255, (lr * 255).round(), atol=1e-4, rtol=0)


def test_frames_are_not_gathered_where_no_codec_needs_them():
    p = PRESETS["real_esrgan"].sample(np.random.default_rng(1), 3, (32, 32))
    taken = []
    images = (taken.append(i) or planes_to_image(x) for i, x in enumerate(random_clip(3, 32, 32)))
    next(degrade_stream(images, p))
    assert taken == [0]


def test_a_pair_is_cut_from_a_wider_clip():
    config = replace(DegradationConfig(), sharpen=True)
    wide = random_clip(9, 96, 128)
    p = config.sample(np.random.default_rng(0), 9, (96, 128))
    hr, lr = degraded_pair(wide, p, Margin(frames=2, pixels=16))
    assert hr.shape == (5, 3, 64, 96) and lr.shape == (5, 3, 16, 24)
    sharp = np.stack([unsharp_mask(planes_to_image(x)) for x in wide])
    np.testing.assert_allclose(hr.permute(0, 2, 3, 1), sharp[2:7, 16:80, 16:112], atol=1e-6)
    assert torch.equal(lr, degrade(wide, p)[2:7, :, 4:20, 4:28])
    with pytest.raises(InputError, match="whole LR pixels"):
        degraded_pair(wide, p, Margin(frames=2, pixels=10))
    with pytest.raises(InputError, match="leave some"):
        degraded_pair(wide, p, Margin(frames=5, pixels=16))


def test_the_ideal_presets_are_what_they_say():
    hr = random_clip(2, 32, 48)
    for preset, filter in (("bi", "matlab_bicubic"), ("bd", "gaussian")):
        for scale in (4, 8) if preset == "bi" else (4,):
            p = PRESETS[preset].sample(np.random.default_rng(0), 2, (32, 48), scale)
            wanted = resample(planes_to_image(hr[1]), (32 // scale, 48 // scale), filter).clip(0, 1)
            got = degrade(hr, p)[1].permute(1, 2, 0).numpy()
            assert np.abs(got - wanted).max() <= 0.5 / 255 + 1e-6


def test_light_has_one_order_at_the_size_of_the_result():
    kinds = Counter()
    for seed in range(400):
        p = PRESETS["light"].sample(np.random.default_rng(seed), 3, (64, 64))
        kinds[tuple(type(op).__name__ for op in p.operations)] += 1
        for op in p.operations:
            assert not isinstance(op, Blur) or (
                op.kernel == "iso" and 0.3 <= min(op.sigma)[0] <= max(op.sigma)[0] <= 2.5
            )
            assert not isinstance(op, Noise) or (op.kind == "gaussian" and not op.grey and max(op.strength) <= 15 / 255)
            assert not isinstance(op, Jpeg) or 45 <= min(op.quality) <= max(op.quality) <= 95
    assert set(kinds) == {("Blur", "Resize", "Noise", "Jpeg"), ("Resize",)}
    assert kinds[("Resize",)] / 400 == pytest.approx(0.1, abs=0.05)


def test_real_esrgan_holds_still_and_knows_no_video_codec():
    for seed in range(50):
        p = PRESETS["real_esrgan"].sample(np.random.default_rng(seed), 5, SIZE)
        assert not [op for op in p.operations if isinstance(op, Video)]
        assert sum(isinstance(op, Jpeg) for op in p.operations) == 2
        resizes = [op.sizes[0] for op in p.operations if isinstance(op, Resize)]
        assert 1 <= len(resizes) <= 3 and resizes[-1] == (64, 80)
        if len(resizes) == 3:  # the second is in terms of the result's 64x80
            assert 18 <= resizes[1][0] <= 77
        for op in p.operations:
            for value in vars(op).values():
                assert not isinstance(value, tuple) or len(set(value)) <= 1


def test_ranges_come_from_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("first: {noise: {sigma: [5, 6], gaussian: 1.0}}\nsharpen: true\n")
    config = load_degradation(str(file))
    assert config.first.noise == NoiseConfig(sigma=(5, 6), gaussian=1.0)
    assert config.sharpen and config.second == DegradationConfig().second
    for wrong in ("nowhere", str(tmp_path / "none.yaml")):
        with pytest.raises(InputError):
            load_degradation(wrong)


@pytest.mark.parametrize(
    "build",
    [
        lambda: BlurConfig(probability=1.5), lambda: BlurConfig(size=(8, 21)), lambda: BlurConfig(sigma=(3.0, 0.2)),
        lambda: BlurConfig(kernels=(1, 0)), lambda: ResizeConfig(scale=(1.1, 1.5)), lambda: JpegConfig(quality=(0, 95)),
        lambda: ResizeConfig(weights=(0, 0, 0, 0)), lambda: DegradationConfig(clean=-1),
        lambda: BlurConfig(sigma_step=-1), lambda: ResizeConfig(scale_step=math.inf), lambda: NoiseConfig(sigma=(0, math.inf)),
        lambda: BlurConfig(kernels=(math.inf,) * 7),
        lambda: DegradationConfig().sample(np.random.default_rng(0), 3, (5, 64)),
        lambda: DegradationConfig().sample(np.random.default_rng(0), 0, (64, 64)),
    ],
)  # fmt: skip
def test_ranges_that_cannot_be_drawn_from_are_refused(build):
    with pytest.raises(InputError, match=r"got .* wanted"):
        build()


def test_parameters_that_do_not_fit_are_refused(tmp_path):
    p = DegradationConfig().sample(np.random.default_rng(0), 3, (32, 32))
    with pytest.raises(InputError, match="drawn for"):
        degrade(random_clip(4, 32, 32), p)
    file = tmp_path / "p.json"
    for text in (
        "",
        "[]",
        "{}",
        json.dumps(json.loads(p.to_json()) | {"more": 1}),
        '{"operations": [{"operation": "x"}]}',
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=r"not the parameters|no other"):
            DegradationParameters.read(file)
    with pytest.raises(InputError, match="nothing there"):
        DegradationParameters.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Blur("foo", 7, ((1, 1),), (0,)), lambda: Blur("iso", 8, ((1, 1),), (0,)), lambda: Blur("iso", 7),
        lambda: Blur("iso", 7, ((0, 1),), (0,)), lambda: Blur("plateau_iso", 7, ((1, 1),), (0,)), lambda: Blur("sinc", 7),
        lambda: Resize("foo", ((4, 4),)), lambda: Resize("area", ((0, 4),)), lambda: Noise("gausian", (1.0,), False, 0),
        lambda: Jpeg((0,)), lambda: Video("h264", 1.0), lambda: Video("mpeg4", 0.0),
        lambda: DegradationParameters(2, (8, 8), (2, 2), False, (Resize("area", ((2, 2),)),)),
        lambda: DegradationParameters(2, (8, 8), (2, 2), False, ()),
    ],
)  # fmt: skip
def test_operations_that_cannot_be_done_are_refused(build):
    with pytest.raises(InputError, match=r"got .* wanted"):
        build()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_point_types_give_the_same(dtype):
    hr = (random_clip(2, 32, 32) * 255).round() / 256
    p = PRESETS["bi"].sample(np.random.default_rng(0), 2, (32, 32))
    assert torch.equal(degrade(hr.to(dtype), p), degrade(hr.to(dtype).float(), p))
    assert degrade(hr.to(dtype), p).mean() > 0.3
