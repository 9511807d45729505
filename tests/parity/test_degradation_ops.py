"""Each operation of the degradation against an independent one: formulas, OpenCV, PyTorch, SciPy, Pillow, MATLAB."""

import io
import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import integrate, ndimage, special, stats

from realis.data.photographs import CameraMove, film, photograph
from realis.ops.codec import decode, encode
from realis.ops.filters import filter2d, gaussian_blur, unsharp_mask
from realis.ops.jpeg import jpeg
from realis.ops.kernels import gaussian_kernel, plateau_kernel, sinc_kernel
from realis.ops.noise import gaussian_noise, poisson_noise
from realis.ops.pixels import planes_to_image, to_bytes
from realis.ops.resample import resample


def picture(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize("rotation", [0.0, 0.7, -2.5])
def test_kernels_follow_their_formulas(size, rotation):
    sigma, beta, cutoff = (2.3, 0.8), 1.7, 1.1
    c, s = math.cos(rotation), math.sin(rotation)
    turn = np.array([[c, -s], [s, c]])
    inverse = np.linalg.inv(turn @ np.diag(np.square(sigma)) @ turn.T)
    wanted = {"gaussian": [], "generalised": [], "plateau": [], "sinc": []}
    for y in range(-(size // 2), size // 2 + 1):
        for x in range(-(size // 2), size // 2 + 1):
            q = np.array([x, y]) @ inverse @ np.array([x, y])
            r = math.hypot(x, y)
            wanted["gaussian"].append(math.exp(-q / 2))
            wanted["generalised"].append(math.exp(-(q**beta) / 2))
            wanted["plateau"].append(1 / (1 + q**beta))
            wanted["sinc"].append(
                cutoff * special.jv(1, cutoff * r) / (2 * math.pi * r) if r else cutoff**2 / 4 / math.pi
            )
    got = {
        "gaussian": gaussian_kernel(size, sigma, rotation),
        "generalised": gaussian_kernel(size, sigma, rotation, beta),
        "plateau": plateau_kernel(size, sigma, rotation, beta),
        "sinc": sinc_kernel(size, cutoff),
    }
    for name, kernel in got.items():
        expected = np.array(wanted[name]).reshape(size, size)
        np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-12, err_msg=name)


def test_the_sinc_kernel_is_the_transform_of_a_disc():
    cutoff, r = 2.0, 3.0
    wanted, _ = integrate.quad(lambda f: f * special.jv(0, f * r) / (2 * math.pi), 0, cutoff)
    kernel = sinc_kernel(21, cutoff)
    assert kernel[10, 13] / kernel[10, 10] == pytest.approx(wanted / (cutoff**2 / 4 / math.pi))


@pytest.mark.parametrize("size", [(40, 60), (24, 31), (9, 14), (2, 5)])
@pytest.mark.parametrize("taps", [7, 11, 13, 21])
def test_filtering_equals_opencv_however_it_is_done(size, taps):
    image = picture(*size)
    for kernel in (
        gaussian_kernel(taps, (1.5, 1.5)), gaussian_kernel(taps, (3.0, 0.7), 0.6), sinc_kernel(taps, 1.3),
        plateau_kernel(taps, (1.0, 2.0), 1.0, 1.5), gaussian_kernel(taps, (0.2, 0.2)),
    ):  # fmt: skip
        np.testing.assert_allclose(filter2d(image, kernel), cv2.filter2D(image, -1, kernel), atol=3e-6)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_equals_scipy(sigma):
    image = picture(24, 31)
    radius = int(np.ceil(3 * sigma))
    wanted = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="mirror", truncate=radius / sigma)
    np.testing.assert_allclose(gaussian_blur(image, sigma), wanted, atol=1e-5)
    assert gaussian_blur(image, 0.0) is image


def test_unsharp_mask_equals_the_usual_one():
    image = planes_to_image(photograph("astronaut.png")[:, 40:140, 180:300])
    blurred = cv2.GaussianBlur(image, (51, 51), 0)  # OpenCV's own sigma for 51 pixels is 8
    detail = image - blurred
    mask = cv2.GaussianBlur((np.abs(detail) * 255 > 10).astype(np.float32), (51, 51), 0)
    wanted = mask * np.clip(image + 0.5 * detail, 0, 1) + (1 - mask) * image
    np.testing.assert_allclose(unsharp_mask(image), wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(13, 17), (30, 50), (33, 61), (8, 8)])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_resizing_equals_torch_without_antialiasing(filter, size):
    image = picture(24, 40)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    wanted = F.interpolate(planes, size=size, mode=filter, antialias=False)[0].permute(1, 2, 0)
    np.testing.assert_allclose(resample(image, size, filter), wanted, atol=2e-5)


@pytest.mark.parametrize("size", [(13, 17), (24, 39), (6, 10)])
def test_area_resizing_is_the_mean_over_each_pixels_area(size):
    image = picture(24, 40).astype(np.float64)
    for axis, new in enumerate(size):
        old = image.shape[axis]
        total = np.concatenate([np.zeros_like(image.take([0], axis)), image.cumsum(axis)], axis)
        edges = np.arange(new + 1) * old / new
        whole = np.minimum(edges.astype(int), old - 1)
        share = (edges - whole).reshape([-1 if i == axis else 1 for i in range(3)])
        at_edges = total.take(whole, axis) + share * image.take(whole, axis)
        image = np.diff(at_edges, axis=axis) * new / old
    np.testing.assert_allclose(resample(picture(24, 40), size, "area"), image, atol=1e-5)


def matlab_imresize(row, length):
    """MATLAB's ``imresize`` of a row with its default, cubic with antialiasing, written from its definition."""
    scale = length / len(row)
    width = 4 / min(scale, 1)

    def cubic(d):
        d = abs(d)
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d <= 2 else 0.0

    mirrored = [*range(len(row)), *reversed(range(len(row)))]
    out = []
    for x in range(1, length + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / 2)
        indices = range(left, left + math.ceil(width) + 2)
        weights = [cubic(min(scale, 1) * (u - i)) for i in indices]
        values = [row[mirrored[(i - 1) % len(mirrored)]] for i in indices]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


@pytest.mark.parametrize(("old", "new"), [(32, 8), (32, 4), (48, 3), (30, 13), (10, 25), (6, 2)])
def test_matlab_bicubic_equals_imresize(old, new):
    image = picture(old, 5)
    wanted = [[matlab_imresize(image[:, x, c], new) for c in range(3)] for x in range(5)]
    np.testing.assert_allclose(resample(image, (new, 5), "matlab_bicubic"), np.transpose(wanted, (2, 0, 1)), atol=1e-5)


def test_blur_downsampling_equals_the_matlab_script_of_the_test_sets():
    """12x12 Gaussian of sigma 1.6, replicated borders, samples 2, 6, 10, ... counted from 1 (EDVR, BasicVSR, TTVSR)."""
    image = picture(24, 32)
    taps = np.exp(-0.5 * ((np.arange(12) - 5.5) / 1.6) ** 2)
    blurred = image.astype(np.float64)
    for axis in (0, 1):  # an even filter of MATLAB is centred on its element 6 of 1 to 12
        blurred = ndimage.correlate1d(blurred, taps / taps.sum(), axis, mode="nearest", origin=-1)
    np.testing.assert_allclose(resample(image, (6, 8), "gaussian"), blurred[1::4, 1::4], atol=1e-5)


@pytest.mark.parametrize("quality", [30, 61, 95])
def test_jpeg_equals_pillow(quality):
    image = to_bytes(planes_to_image(photograph("astronaut.png")[:, 40:103, 180:277]))
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    np.testing.assert_array_equal(jpeg(image, quality), np.asarray(Image.open(file)))


def test_gaussian_noise_has_the_stated_deviation_and_replays():
    image = np.zeros((200, 300, 3), np.float32)
    noisy, again = (gaussian_noise(image, 0.1, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(noisy, again)
    assert stats.kstest(noisy.ravel() / 0.1, "norm").pvalue > 1e-3
    grey = gaussian_noise(image, 0.1, np.random.default_rng(5), grey=True)
    assert np.ptp(grey, axis=2).max() == 0 and grey.std() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("level", [0, 3, 60, 251])
def test_poisson_noise_has_the_distribution_of_scipys_poisson(level):
    image = np.full((400, 500, 3), level / 255, np.float32)
    image[0, :256] = (np.arange(256, dtype=np.float32) / 255)[:, None]  # all levels are there: the peak is 256
    noise = poisson_noise(image, 1.0, np.random.default_rng(0)) - image
    counts = np.rint((noise[1:] + level / 255) * 256).astype(int).ravel()
    mean = level / 255 * 256
    values = np.arange(counts.min() - 5, counts.max() + 6)
    expected = stats.poisson.pmf(values, mean) * counts.size
    observed = np.array([(counts == v).sum() for v in values])
    often = expected > 5
    groups = [np.append(x[often], x[~often].sum()) for x in (observed, expected)]
    groups[1] *= groups[0].sum() / groups[1].sum()
    if level:
        assert stats.chisquare(*(g[groups[1] > 1e-9] for g in groups)).pvalue > 1e-3
    assert counts.mean() == pytest.approx(mean, abs=0.05) and counts.var() == pytest.approx(mean, rel=0.02)


def test_poisson_noise_counts_levels_and_takes_the_luma_for_grey():
    two_levels = np.zeros((300, 300, 3), np.float32)
    two_levels[:, 150:] = 0.6
    noise = poisson_noise(two_levels, 1.0, np.random.default_rng(0)) - two_levels
    steps = (noise[:, 150:] + 153 / 255) * 2  # two levels: counts come in halves
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-5)
    assert noise[:, 150:].var() == pytest.approx(0.6 / 2, rel=0.02)
    coloured = np.tile(np.array([0.9, 0.2, 0.4], np.float32), (300, 300, 1))
    grey = poisson_noise(coloured, 1.0, np.random.default_rng(0), grey=True) - coloured
    assert np.ptp(grey, axis=2).max() < 1e-6
    assert grey.var() == pytest.approx(0.299 * 0.9 + 0.587 * 0.2 + 0.114 * 0.4, rel=0.03)  # one level: peak 1


def noisy_clip(frames=25, size=(144, 192)):
    planes = film(photograph("astronaut.png"), CameraMove((200.0, 200.0), (260.0, 280.0)), frames, size)
    rng = np.random.default_rng(0)
    return [to_bytes(gaussian_noise(planes_to_image(x), 0.03, rng)) for x in planes]


@pytest.mark.parametrize(
    ("frames", "size", "bits_per_pixel", "tolerance"),
    [(49, (120, 208), 0.5, 0.2), (49, (120, 208), 1.5, 0.2), (25, (144, 192), 0.5, 0.2), (25, (144, 192), 1.5, 0.2),
     (49, (240, 320), 0.15, 0.5), (13, (128, 128), 1.0, 0.4)],
)  # fmt: skip
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_codecs_meet_their_bit_rate(codec, frames, size, bits_per_pixel, tolerance):
    video = encode(noisy_clip(frames, size), codec, bits_per_pixel)
    assert 8 * len(video.data) / frames / size[0] / size[1] == pytest.approx(bits_per_pixel, rel=tolerance)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_codecs_keep_frames_in_order(codec):
    clip = noisy_clip()
    video = encode(clip, codec, 0.5)
    decoded = np.stack(list(decode(video))).astype(float)
    assert len(decoded) == len(clip)
    errors = [[np.square(a - b).mean() for b in clip] for a in decoded]
    assert np.argmin(errors, axis=1).tolist() == list(range(len(clip)))


@pytest.mark.parametrize("size", [(160, 208), (320, 400)])
def test_the_same_frames_give_the_same_video(size):
    """Without libx264's cpu-independent, one in a few runs differs at these sizes when other memory is in use."""
    rng = np.random.default_rng(0)
    clip = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(5)]
    around, seen = [], set()
    for _ in range(24):
        around.append(np.full(int(rng.integers(1, 500_000)), int(rng.integers(255)), np.uint8))
        seen.add(encode(clip, "libx264", 0.3).data)
        del around[:-20]
    assert len(seen) == 1
