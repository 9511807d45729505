"""Low-pass filter, BlurPool and high-frequency shuttle (VideoGigaGAN, Secs. 3.4 and 3.5)."""

import torch
from torch import nn
from torch.nn.functional import conv2d, pad

TAPS = (1.0, 4.0, 6.0, 4.0, 1.0)  # over 16: the kernel of Sec. 4.1
REACH = len(TAPS) // 2


def low_pass(x: torch.Tensor) -> torch.Tensor:
    """Filter ``x`` (N, C, h, w) by [1, 4, 6, 4, 1] / 16 along both axes; the border pixel is repeated."""
    return _filtered(x.float()).to(x)


def high_frequencies(x: torch.Tensor) -> torch.Tensor:
    """Return what the low-pass filter takes from ``x`` (N, C, h, w): what the shuttle hands to the decoder."""
    # In bfloat16 the difference would be rounding errors for a good part
    return (x.float() - _filtered(x.float())).to(x)


def _filtered(x: torch.Tensor) -> torch.Tensor:
    channels, taps = x.shape[1], x.new_tensor(TAPS) / sum(TAPS)
    with torch.autocast(x.device.type, enabled=False):
        for axis, padding in ((2, (0, 0, REACH, REACH)), (3, (REACH, REACH, 0, 0))):
            kernel = taps.view(1, 1, *(-1 if a == axis else 1 for a in (2, 3))).expand(channels, 1, -1, -1)
            x = conv2d(pad(x, padding, mode="replicate"), kernel, groups=channels)
    return x


class Downsample(nn.Module):
    """Halve the resolution by a convolution, strided or followed by BlurPool; the same weights serve both.

    Args:
        channels: in.
        out: channels out.
        blur_pool: convolve with a stride of 1, filter, and take every other pixel (Zhang, ICML 2019).
    """

    def __init__(self, channels: int, out: int, blur_pool: bool) -> None:
        super().__init__()
        self.blur_pool = blur_pool
        self.conv = nn.Conv2d(channels, out, 3, stride=1 if blur_pool else 2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, out, h / 2, w / 2) of ``x`` (N, channels, h, w)."""
        x = self.conv(x)
        return low_pass(x)[..., ::2, ::2] if self.blur_pool else x
