"""Resizing for upscaling, against Pillow and PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from realis.ops.resize import resize, resize_window


@pytest.mark.parametrize("size", [(40, 60), (13, 17), (7, 60), (20, 30), (41, 11)])
def test_resize_equals_torch_antialiased_bicubic(size):
    x = torch.rand(2, 3, 20, 30)
    wanted = F.interpolate(x, size=size, mode="bicubic", antialias=True)
    torch.testing.assert_close(resize(x, size), wanted, atol=5e-6, rtol=0)


@pytest.mark.parametrize(
    ("kernel", "same"), [("bicubic", Image.Resampling.BICUBIC), ("lanczos", Image.Resampling.LANCZOS)]
)
@pytest.mark.parametrize("size", [(33, 47), (11, 13)])
def test_resize_equals_pillow(kernel, same, size):
    x = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    wanted = np.asarray(Image.fromarray(x).resize(size[::-1], same))
    np.testing.assert_allclose(resize(torch.from_numpy(x), size, kernel).numpy(), wanted, atol=1e-5)


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
