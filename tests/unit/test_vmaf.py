"""VMAF by ffmpeg: what it says of the truth, of blur, and of videos that cannot be compared."""

import sys

import cv2
import numpy as np
import pytest

from footage import PICTURE
from realis.core.errors import InputError
from realis.metrics.vmaf import vmaf

TRUTH = [PICTURE[100 + 2 * i : 292 + 2 * i, 60 + 3 * i : 316 + 3 * i] for i in range(4)]


def test_the_truth_is_best_and_more_blur_is_worse():
    means = [vmaf([cv2.GaussianBlur(image, (0, 0), sigma) for image in TRUTH], TRUTH).mean() for sigma in (0.01, 1, 3)]
    assert len(vmaf(TRUTH, TRUTH)) == 4 and vmaf(TRUTH, TRUTH).mean() == means[0] > 95
    assert means[0] > means[1] + 10 > means[2] + 20


def test_videos_of_other_sizes_are_refused():
    half = [np.ascontiguousarray(image[::2]) for image in TRUTH]
    for restored, truth in ((TRUTH, TRUTH[:3]), (half, TRUTH), ([TRUTH[0], half[1]], TRUTH[:2]), ([], [])):
        with pytest.raises(InputError, match="wanted as many, of the same size"):
            vmaf(restored, truth)
    with pytest.raises(InputError, match="got 20x16 pixels, wanted at least 32x32"):
        vmaf([TRUTH[0][:16, :20]], [TRUTH[0][:16, :20]])


def test_without_its_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install 'realis\[metrics\]'"):
        vmaf(TRUTH, TRUTH)
