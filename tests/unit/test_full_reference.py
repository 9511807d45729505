"""Metrics of frames against the truth: beside other implementations and formulas, on equal frames, under blur."""

import sys
import weakref

import cv2
import numpy as np
import piq
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional import image as torchmetrics

from footage import PICTURE
from realis.core.errors import InputError
from realis.metrics.base import Moment, Tools
from realis.metrics.registry import FULL_REFERENCE, METRICS
from realis.ops.pixels import image_to_planes

TRUE_IMAGE = np.ascontiguousarray(PICTURE[100:271, 60:253])  # 193x171: odd, and large enough for every metric
TRUTH = image_to_planes(TRUE_IMAGE)
BLACK = torch.zeros(3, 171, 193)
BY_FRAME = [metric.name for metric in FULL_REFERENCE if metric.name != "vmaf"]
PERFECT = {"psnr_rgb": 100, "psnr_y": 100, "gmsd": 0}
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def blurred(sigma):
    return image_to_planes(cv2.GaussianBlur(TRUE_IMAGE, (0, 0), sigma))


RESTORED = blurred(1.2)


def measured(name, restored, truth=TRUTH):
    meter = METRICS[name].open()
    meter.add(Moment(restored, truth, None, Tools()))
    (value,) = meter.values()
    meter.close()
    return value


def images(*frames):
    """(H, W, 3) float64 in [0, 255]."""
    return [frame.permute(1, 2, 0).double().numpy() * 255 for frame in frames]


def luma(image):
    """BT.601, from 16 to 235."""
    return 16 + image @ np.array([65.481, 128.553, 24.966]) / 255


def test_psnr_is_that_of_scikit_image_and_torchmetrics():
    value = measured("psnr_rgb", RESTORED)
    assert value == pytest.approx(peak_signal_noise_ratio(*images(TRUTH, RESTORED), data_range=255), abs=1e-4)
    assert value == pytest.approx(
        float(torchmetrics.peak_signal_noise_ratio(RESTORED, TRUTH, data_range=1.0)), abs=1e-4
    )


def test_ssim_is_that_of_scikit_image_and_piq_and_of_torchmetrics_within_its_border():
    value = measured("ssim_rgb", RESTORED)
    theirs = structural_similarity(*images(RESTORED, TRUTH), channel_axis=2, data_range=255, **WANG)
    assert value == pytest.approx(theirs, abs=3e-6)
    pair = RESTORED[None], TRUTH[None]
    assert value == pytest.approx(float(piq.ssim(*pair, downsample=False)), abs=3e-5)
    _, whole = torchmetrics.structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
    assert value == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=3e-5)


def test_luma_is_that_of_bt601_and_not_rounded():
    restored, truth = map(luma, images(RESTORED, TRUTH))
    error = np.mean((restored - truth) ** 2)
    assert measured("psnr_y", RESTORED) == pytest.approx(10 * np.log10(255**2 / error), abs=1e-4)
    theirs = structural_similarity(restored, truth, data_range=255, **WANG)
    assert measured("ssim_y", RESTORED) == pytest.approx(theirs, abs=3e-6)


def test_the_y_of_yiq_is_rounded_and_negative_structure_is_none():
    negative = 1 - TRUTH
    for frame in (RESTORED, negative):
        restored, truth = (np.round(image @ np.array([0.299, 0.587, 0.114])) for image in images(frame, TRUTH))
        _, places = structural_similarity(restored, truth, data_range=255, full=True, **WANG)
        theirs = np.maximum(places[5:-5, 5:-5], 0).mean()
        assert measured("ssim_yiq", frame) == pytest.approx(theirs, abs=2e-5)  # a value at .5 may be rounded otherwise
    assert measured("ssim_y", negative) < 0 < measured("ssim_yiq", negative)


def test_tecogan_measures_ssim_in_a_uniform_window_over_the_range_of_the_result():
    restored, truth = map(luma, images(RESTORED * 0.5, TRUTH))
    moments = [cv2.blur(x, (7, 7))[3:-3, 3:-3] for x in (restored, truth, restored**2, truth**2, restored * truth)]
    a, b, aa, bb, ab = moments
    c1, c2 = (np.array([0.01, 0.03]) * np.ptp(restored)) ** 2
    sample = 49 / 48
    covariance, variances = sample * (ab - a * b), sample * (aa - a * a + bb - b * b)
    formula = (2 * a * b + c1) * (2 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))
    assert measured("ssim_y_tecogan", RESTORED * 0.5) == pytest.approx(formula.mean(), abs=1e-5)
    assert abs(formula.mean() - measured("ssim_y", RESTORED * 0.5)) > 0.01


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("ms_ssim", piq.multi_scale_ssim), ("gmsd", piq.gmsd), ("haarpsi", piq.haarpsi), ("vif", piq.vif_p)],
)
def test_what_piq_computes_is_that_of_the_result_against_the_truth(name, theirs):
    assert measured(name, RESTORED) == float(theirs(RESTORED[None], TRUTH[None]))


@pytest.mark.parametrize("name", BY_FRAME)
def test_equal_frames_are_perfect_and_more_blur_is_worse(name):
    equal = [measured(name, TRUTH.clone()), measured(name, BLACK, BLACK)]
    assert equal == pytest.approx([PERFECT.get(name, 1)] * 2, abs=1e-4)
    values = [measured(name, frame) for frame in (TRUTH, blurred(0.8), blurred(1.6), blurred(3.2))]
    assert values == sorted(values, reverse=METRICS[name].better == "higher") and len(set(values)) == 4


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda metric: metric.name)
def test_no_frame_is_kept(metric):
    meter, frame = metric.open(), TRUTH.clone()
    kept = weakref.ref(frame)
    meter.add(Moment(frame, frame, None, Tools()))
    del frame
    meter.close()
    assert kept() is None


def measurable(name, height, width):
    try:
        return np.isfinite(measured(name, RESTORED[:, :height, :width], TRUTH[:, :height, :width]))
    except (ValueError, RuntimeError):
        return False


@pytest.mark.parametrize("name", BY_FRAME)
def test_the_least_side_is_the_least_that_can_be_measured(name):
    least = METRICS[name].least_side
    assert measurable(name, least, least)
    assert not measurable(name, least - 1, least) and not measurable(name, least, least - 1)


def test_without_piq_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "piq", None)
    assert measured("ssim_y", TRUTH) == 1
    with pytest.raises(InputError, match=r"gmsd: piq is not installed; pip install 'realis\[metrics\]'"):
        METRICS["gmsd"].open()
