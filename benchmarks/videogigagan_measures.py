"""The measures of what VideoGigaGAN's parts do: how features move with a picture, and which frequencies they hold."""

import math
from collections.abc import Sequence

import torch


def moved(x: torch.Tensor, pixels: float) -> torch.Tensor:
    """Return ``x`` (..., h, w) moved to the right by ``pixels``, which need not be whole.

    Each row is taken for a period of a band-limited signal. It is mirrored first, so that its ends fit together: a jump
    there would ring through all of it.
    """
    rows = torch.cat((x, x.flip(-1)), dim=-1).double()
    phase = torch.exp(-2j * math.pi * pixels * torch.fft.rfftfreq(rows.shape[-1], dtype=torch.float64))
    return torch.fft.irfft(torch.fft.rfft(rows) * phase, n=rows.shape[-1])[..., : x.shape[-1]]


def interior(x: torch.Tensor, margin: int) -> torch.Tensor:
    """Return ``x`` (..., h, w) without ``margin`` pixels all around."""
    return x[..., margin:-margin, margin:-margin]


def relative_energy(difference: torch.Tensor, reference: torch.Tensor) -> float:
    """Return the energy of a difference over that of a reference."""
    return (difference.double().square().sum() / reference.double().square().sum()).item()


def high_share(x: torch.Tensor) -> float:
    """Return the share of the energy of ``x`` (..., h, w) that lies above half the Nyquist frequency along either axis.

    At half the resolution there would be no room for it. White noise has three quarters of its energy there. Each
    picture is taken without its mean, and under a Hann window, as its border would else have all frequencies.
    """
    height, width = x.shape[-2:]
    window = torch.outer(*(torch.hann_window(side, periodic=False, dtype=torch.float64) for side in (height, width)))
    energy = torch.fft.fft2((x.double() - x.double().mean(dim=(-2, -1), keepdim=True)) * window).abs().square()
    v, u = (torch.fft.fftfreq(side, dtype=torch.float64).abs() for side in (height, width))  # Nyquist's is 1 / 2
    high = torch.maximum(v[:, None], u[None]) > 1 / 4
    return (energy[..., high].sum() / energy.sum()).item()


def largest_changes(one: torch.Tensor, other: torch.Tensor, spans: Sequence[slice]) -> list[float]:
    """Return the largest difference between two clips (F, C, H, W) within each span of frames."""
    return [(one[span] - other[span]).abs().max().item() for span in spans]
