"""Peak signal-to-noise ratio."""

import torch

LIMIT = 100.0  # dB


def psnr(mse: torch.Tensor, data_range: float) -> torch.Tensor:
    """Return the PSNR in dB of a mean squared error between signals whose values span ``data_range``.

    It is at most 100 dB, also for equal signals: infinity would spoil every mean, and JSON has none.
    """
    return (-10 * torch.log10(mse.detach().float() / data_range**2)).clamp(max=LIMIT)
