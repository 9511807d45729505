"""Peak signal-to-noise ratio."""

import torch


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """Return the PSNR in dB of a mean squared error between signals in [-1, 1]."""
    return -10 * torch.log10(mse.detach().float() / 4)
