"""The transforms of HR-Loss against PyWavelets and scikit-image, in float64."""

import numpy as np
import pytest
import pywt
import torch
from skimage.feature import hog as skimage_hog

from realis.losses.config import is_orthogonal
from realis.ops.hog import cell_histograms, hog
from realis.ops.wavelet import dwt2


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db5", "sym4", "coif1"])
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 2), (3, 5), (60, 104)])
def test_wavelet_transform_equals_pywavelets(wavelet, size):
    x = torch.randn(3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    low, (horizontal_edges, vertical_edges, diagonal) = pywt.dwt2(x.numpy(), wavelet, mode="zero")
    wanted = {"LL": low, "HL": horizontal_edges, "LH": vertical_edges, "HH": diagonal}
    for name, band in dwt2(x, wavelet).items():
        np.testing.assert_allclose(band.numpy(), wanted[name], atol=1e-6, rtol=0)


def test_which_wavelets_are_orthogonal():
    assert all(map(is_orthogonal, ("haar", "db1", "db8", "sym4", "coif3")))
    assert not any(map(is_orthogonal, ("bior2.2", "rbio1.3", "dmey", "gaus1", "nothing")))


@pytest.mark.parametrize("cell", [2, 4, 8])
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("bins", [9, 6])
def test_hard_binned_hog_equals_scikit_image(cell, block, bins):
    x = torch.randn(31, 44, dtype=torch.float64, generator=torch.Generator().manual_seed(cell))
    x[5:15, 5:25] = 0.3  # no gradient there
    x[20:26] = torch.arange(44) % 7 * 0.5  # exactly horizontal gradients, of either sign
    wanted = skimage_hog(x.numpy(), bins, (cell, cell), (block, block), "L2-Hys", feature_vector=False)
    got = hog(x, cell, block, bins, "hard")
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6, rtol=0)
    batched = hog(torch.stack([x, 2 * x])[None], cell, block, bins, "hard")
    torch.testing.assert_close(batched[0, 0], got)


def test_soft_bins_share_a_vote_between_the_nearest_centres_around_the_circle():
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    for degrees, shares in ((10, {0: 1.0}), (25, {0: 0.25, 1: 0.75}), (0, {0: 0.5, 8: 0.5}), (175, {8: 0.75, 0: 0.25})):
        angle = torch.deg2rad(torch.tensor(float(degrees)))
        ramp = x * torch.cos(angle) + y * torch.sin(angle)
        histogram = cell_histograms(ramp.double(), 8, 9, "soft")[1, 1]  # of the middle cell, which no border touches
        wanted = torch.tensor([shares.get(k, 0.0) for k in range(9)], dtype=torch.float64)
        torch.testing.assert_close(histogram / histogram.sum(), wanted, atol=1e-5, rtol=0)
