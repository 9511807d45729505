"""The traps that other implementations of the degradation fell into, by name."""

import math
from dataclasses import replace

import numpy as np
import pytest

from realis.degradation.config import BlurConfig, ResizeConfig, VideoConfig
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Resize, Video
from realis.degradation.presets import PRESETS
from realis.degradation.second_order import apply
from realis.ops.codec import decode, encode
from realis.ops.noise import poisson_noise


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


def test_trap_split_betas_start_on_either_side_of_1_and_may_cross_it():
    config = BlurConfig(kernels=(0, 0, 1, 0, 0, 0, 0), beta_gaussian_step=0.05, beta_split=True)
    crossed = 0
    for seed in range(200):
        rngs = np.random.default_rng(seed), np.random.default_rng(seed)
        (blur,), (uniform,) = config.sample(rngs[0], 40), replace(config, beta_split=False).sample(rngs[1], 40)
        assert min(blur.beta) >= 0.5 and max(blur.beta) <= 4 and np.abs(np.diff(blur.beta)).max() <= 0.05
        crossed += min(blur.beta) < 1 < max(blur.beta)
        assert replace(uniform, beta=blur.beta) == blur  # the rest of a draw does not depend on it
        assert rngs[0].random() == rngs[1].random()
    assert crossed > 20


def test_trap_the_truth_is_sharpened_only_where_that_is_asked_for():
    assert [name for name, config in PRESETS.items() if config.sharpen] == []


def test_trap_kept_sizes_do_not_drift():
    keep = ResizeConfig(weights=(0, 0, 1, 0), scale_step=0.5)
    assert keep.sample(np.random.default_rng(0), ((64, 64),) * 20, (16, 16)) == []
    (resize,) = replace(keep, of_target=True).sample(np.random.default_rng(0), ((64, 64),) * 20, (15, 17))
    assert set(resize.sizes) == {(15, 17)}


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


def test_trap_h264_is_libx264():
    """RealBasicVSR draws "libx264", "h264" or "mpeg4", a third each; the first two are one encoder."""
    rng = np.random.default_rng(0)
    codecs = [VideoConfig().sample(rng)[0].codec for _ in range(8192)]
    four_deviations = 4 * (2 / 9 / len(codecs)) ** 0.5
    assert np.mean([codec == "libx264" for codec in codecs]) == pytest.approx(2 / 3, abs=four_deviations)


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
