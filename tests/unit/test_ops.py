"""Pure functions against independent references: Pillow, PyTorch, SciPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter

from realis.ops.filters import gaussian_blur
from realis.ops.jpeg import jpeg
from realis.ops.noise import gaussian_noise
from realis.ops.resize import resize, resize_window


@pytest.mark.parametrize("size", [(40, 60), (13, 17), (7, 60), (20, 30), (41, 11)])
def test_resize_equals_torch_antialiased_bicubic(size):
    x = torch.rand(2, 3, 20, 30)
    wanted = F.interpolate(x, size=size, mode="bicubic", antialias=True)
    torch.testing.assert_close(resize(x, size), wanted, atol=5e-6, rtol=0)


def test_resize_equals_pillow():
    x = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    wanted = np.asarray(Image.fromarray(x).resize((47, 33), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(resize(torch.from_numpy(x), (33, 47)).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("window", [((0, 16), (32, 48)), ((24, 40), (0, 80)), ((37, 38), (79, 80))])
def test_a_window_is_cut_from_the_whole(window):
    x = torch.rand(3, 10, 20)
    (top, bottom), (left, right) = window
    wanted = resize(x, (40, 80))[:, top:bottom, left:right]
    torch.testing.assert_close(resize_window(x, (40, 80), *window), wanted, atol=1e-6, rtol=0)


def test_beyond_the_border_a_window_repeats_the_edge():
    x = torch.rand(3, 10, 20)
    whole = resize(x, (40, 80))
    wanted = F.pad(whole, (0, 16, 0, 8), mode="replicate")
    torch.testing.assert_close(resize_window(x, (40, 80), (0, 48), (0, 96)), wanted, atol=1e-6, rtol=0)


def test_resize_does_not_shift():
    ramp = torch.arange(32.0).expand(32, 32)
    centres = (torch.arange(128) + 0.5) / 4 - 0.5
    torch.testing.assert_close(resize(ramp, (128, 128))[64, 16:-16], centres[16:-16], atol=1e-4, rtol=0)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_equals_scipy(sigma):
    x = torch.rand(2, 24, 31, dtype=torch.float64)
    radius = int(np.ceil(3 * sigma))
    wanted = gaussian_filter(x.numpy(), (0, sigma, sigma), mode="mirror", truncate=radius / sigma)
    np.testing.assert_allclose(gaussian_blur(x, sigma).numpy(), wanted, atol=1e-10)


def test_blur_of_nothing_and_of_small_frames():
    x = torch.rand(1, 2, 2)
    assert torch.equal(gaussian_blur(x, 0.0), x)
    assert gaussian_blur(x, 5.0).shape == x.shape


def test_jpeg_equals_pillow():
    image = (np.random.default_rng(1).random((16, 24, 3)) * 255).astype(np.uint8)
    frames = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    import io

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    wanted = np.asarray(Image.open(file))
    assert np.array_equal((jpeg(frames, 60)[0] * 255).round().byte().permute(1, 2, 0).numpy(), wanted)


def test_noise_has_the_stated_deviation_and_replays():
    noisy = [gaussian_noise(torch.zeros(3, 64, 64), 0.1, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*noisy)
    assert noisy[0].std().item() == pytest.approx(0.1, rel=0.03)
