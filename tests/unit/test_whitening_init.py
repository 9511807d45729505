"""The LR-conditioned decoder starts with white features of the LR window."""

import pytest
import torch

from realis.core.errors import InputError
from realis.models.lr_decoder import LrDecoder
from realis.ops.filters import gaussian_blur
from realis.tiny.whitening_init import initialise_lr_input


def test_features_start_white():
    noise = torch.randn(24 * 4, 48, 48, 3, generator=torch.Generator().manual_seed(0)).numpy()
    smooth = torch.stack([torch.from_numpy(gaussian_blur(image, 1.5)) for image in noise])  # pixels that are much alike
    lr = smooth.view(24, 4, 48, 48, 3).permute(0, 4, 1, 2, 3).contiguous() + 0.3
    decoder = LrDecoder(channels=16, num_blocks=1)
    initialise_lr_input(decoder, lr)
    windows = decoder.lr_windows(lr, [0, 3]).flatten(0, 1)
    features = torch.nn.functional.conv2d(windows, decoder.lr_in.weight, decoder.lr_in.bias)
    features = features.transpose(0, 1).flatten(1)
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(features), torch.eye(16), atol=0.02, rtol=0)


def test_too_little_data_is_refused():
    with pytest.raises(InputError, match="windows to whiten features with"):
        initialise_lr_input(LrDecoder(channels=16, num_blocks=1), torch.rand(1, 3, 1, 16, 16))
