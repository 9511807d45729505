"""Metrics of single frames against the truth, without networks: errors of pixels, and structure.

Each is one exact variant. ``y`` is luma of BT.601 from 16 to 235, as MATLAB, BasicSR and TecoGAN have it, not rounded.
All compute on the device of the frames but ``ssim_y_tecogan``.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from skimage.metrics import structural_similarity

from realis.core.errors import InputError
from realis.metrics.base import FunctionMeter, Meter, Moment, Video, per_frame
from realis.metrics.psnr import psnr
from realis.ops.kernels import gaussian_kernel

Y_WEIGHTS, Y_BLACK = (65.481, 128.553, 24.966), 16.0
YIQ_WEIGHTS = (0.299 * 255, 0.587 * 255, 0.114 * 255)
WINDOW = gaussian_kernel(11, (1.5, 1.5)).sum(axis=0).tolist()  # for each direction: the Gaussian is separable


@per_frame
def psnr_rgb(moment: Moment) -> torch.Tensor:
    """PSNR of RGB: one mean squared error over channels and pixels; at most 100 dB (:mod:`realis.metrics.psnr`)."""
    return psnr((moment.restored - moment.frame("truth")).square().mean(), 1)


@per_frame
def psnr_y(moment: Moment) -> torch.Tensor:
    """PSNR of luma with the peak at 255: ``calculate_psnr`` of BasicSR with ``test_y_channel``, TecoGAN's ``metrics.py``.

    At most 100 dB. pyiqa's ``psnry`` is another one: of the Y of YIQ, from 0 to 255, which gives about 1.3 dB less.
    """
    return psnr((_luma(moment, "restored") - _luma(moment, "truth")).square().mean(), 255)


@per_frame
def ssim_rgb(moment: Moment) -> torch.Tensor:
    """SSIM of each channel, then the mean of the three: ``calculate_ssim`` of BasicSR; where the window fits."""
    channels = zip(moment.restored, moment.frame("truth"), strict=True)  # one at a time: a third of the memory
    return torch.stack([ssim_map(restored, truth, 1).mean() for restored, truth in channels]).mean()


@per_frame
def ssim_y(moment: Moment) -> torch.Tensor:
    """SSIM of luma: ``calculate_ssim`` of BasicSR with ``test_y_channel``; where the window fits."""
    return ssim_map(_luma(moment, "restored"), _luma(moment, "truth"), 255).mean()


@per_frame
def ssim_yiq(moment: Moment) -> torch.Tensor:
    """SSIM of the Y of YIQ, from 0 to 255 and rounded, a negative structure counted as 0: ``ssim`` of pyiqa."""
    restored, truth = (_weighted(moment.frame(video), YIQ_WEIGHTS).round() for video in ("restored", "truth"))
    return ssim_map(restored, truth, 255).clamp(min=0).mean()


@per_frame
def ssim_y_tecogan(moment: Moment) -> float:
    """SSIM of luma as TecoGAN's ``metrics.py`` has it from scikit-image: a uniform window of 7x7 pixels, sample
    covariances, and for the data range the span of the restored frame.

    A span of under one level is taken as one level: for a flat frame, the code divides 0 by 0.
    """
    truth, restored = (_luma(moment, video).double().cpu().numpy() for video in ("truth", "restored"))
    return float(structural_similarity(truth, restored, data_range=max(np.ptp(restored), 1.0)))  # pyright: ignore[reportArgumentType]


def ssim_map(restored: torch.Tensor, truth: torch.Tensor, data_range: float) -> torch.Tensor:
    """Return the structural similarity at each place of a window (Wang et al., TIP 2004, Eq. 13).

    K1 = 0.01 and K2 = 0.03, a Gaussian window of 11x11 pixels with sigma 1.5, no downscaling, and no border: the window
    lies within the frame.

    Args:
        restored: one channel, (H, W) float32.
        truth: the same of the ground truth.
        data_range: what the values span.

    Returns:
        (H - 10, W - 10) float32, from -1 to 1.
    """
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean, true_mean = _window_mean(restored), _window_mean(truth)
    product, squares = mean * true_mean, mean.square() + true_mean.square()
    covariance = _window_mean(restored * truth) - product
    variances = _window_mean(restored.square() + truth.square()) - squares  # the formula needs nothing but their sum
    return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def _window_mean(plane: torch.Tensor) -> torch.Tensor:
    """Return the mean under the window, (H, W) -> (H - 10, W - 10), as a weighted sum of shifted planes, in two passes.

    On a CPU, convolutions with a kernel of 11x11, as piq and torchmetrics have them, take four times as long, and
    those with two kernels of 11 weights are slower still.
    """
    for axis in (0, 1):
        size = plane.shape[axis] - len(WINDOW) + 1
        total = plane.narrow(axis, 0, size) * WINDOW[0]
        for shift, weight in enumerate(WINDOW[1:], 1):
            total.add_(plane.narrow(axis, shift, size), alpha=weight)
        plane = total
    return plane


def _luma(moment: Moment, video: Video) -> torch.Tensor:
    return moment.once(f"y {video}", lambda: _weighted(moment.frame(video), Y_WEIGHTS) + Y_BLACK)


def _weighted(frame: torch.Tensor, weights: tuple[float, float, float]) -> torch.Tensor:
    red, green, blue = (plane * weight for plane, weight in zip(frame, weights, strict=True))
    return red + green + blue


def by_piq(measure: Callable[[ModuleType, torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[], Meter]:
    """Return what opens a metric that the package piq computes.

    Args:
        measure: piq, the restored frame and the true one, both (1, 3, H, W) -> a value.
    """

    def open_meter() -> Meter:
        try:
            import piq
        except ImportError as error:
            raise InputError(f"{measure.__name__}: piq is not installed; pip install 'realis[metrics]'") from error
        return FunctionMeter(lambda moment: measure(piq, moment.restored[None], moment.frame("truth")[None]))

    return open_meter


@by_piq
def ms_ssim(piq: ModuleType, restored: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """MS-SSIM (Wang et al., Asilomar 2003) of each channel of RGB, then the mean of the three; where the window fits."""
    return piq.multi_scale_ssim(restored, truth)


@by_piq
def gmsd(piq: ModuleType, restored: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """GMSD (Xue et al., TIP 2014) of the Y of YIQ at half the size, as the authors have it; equal frames have 0."""
    return piq.gmsd(restored, truth)


@by_piq
def haarpsi(piq: ModuleType, restored: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """HaarPSI (Reisenhofer et al., 2018) of YIQ at half the size, as the authors have it."""
    return piq.haarpsi(restored, truth).clamp(max=1)  # two black frames have weights of 0, and it is infinite


@by_piq
def vif(piq: ModuleType, restored: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """VIF (Sheikh and Bovik, TIP 2006) of luma in the pixel domain; above 1 where the contrast is raised."""
    return piq.vif_p(restored, truth)
