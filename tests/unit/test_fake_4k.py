"""Upscales are told from what a camera resolved."""

import dataclasses

import cv2
import numpy as np
import pytest

from benchmark_files import load_benchmark
from realis.builder.fake_4k import Spectrum, detailed_tiles, measure_spectrum, profiles, tile_power
from realis.builder.quality import QualityConfig

plants = load_benchmark("fake_4k")
CAMERA = plants.Plant(("coffee.png",), 5, 0.4, 1.0, 1.0, 0.5, 0.3, "libx264", 16)
UPSCALE = dataclasses.replace(CAMERA, scale=2.0, kernel="bicubic")


def score(plant):
    return plants.judged(plant).score


@pytest.mark.parametrize(
    "change",
    [{}, {"lens": 0.6}, {"noise": 0.0}, {"noise": 2.0}, {"crf": 10}, {"crf": 22}, {"codec": "libx265"}, {"speed": 5.0}],
    ids=str,
)
def test_a_camera_passes(change):
    assert score(dataclasses.replace(CAMERA, **change)) < 0


@pytest.mark.parametrize(
    "change",
    [*({"kernel": kernel} for kernel in plants.KERNELS), {"scale": 3.0}, {"scale": 1.5}, {"sharpening": 1.5},
     {"grain": 1.0}, {"crf": 22}, {"codec": "libx265"}, {"first_crf": 23}],
    ids=str,
)  # fmt: skip
def test_an_upscale_is_found(change):
    assert score(dataclasses.replace(UPSCALE, **change)) > QualityConfig().max_fake_4k


def test_a_background_out_of_focus_makes_no_upscale_of_it():
    frames = plants.make(CAMERA)
    blurred = [cv2.GaussianBlur(frame, (0, 0), 4.0) for frame in frames]
    for frame, soft in zip(frames, blurred, strict=True):
        soft[:128, :160] = frame[:128, :160]
    assert measure_spectrum([frame.astype(np.uint8) for frame in blurred]).score < 0


def test_motion_blur_along_one_axis_makes_no_upscale_of_it():
    frames = [cv2.blur(frame, (4, 1)).astype(np.uint8) for frame in plants.make(CAMERA)]
    assert measure_spectrum(frames).score < 0


def test_portrait_is_judged_as_landscape():
    frames = [frame.astype(np.uint8) for frame in plants.make(UPSCALE)]
    tall = [np.ascontiguousarray(frame.T) for frame in frames]
    assert measure_spectrum(tall).score == pytest.approx(measure_spectrum(frames).score, abs=1e-3)


def test_flat_frames_have_no_contrast():
    assert measure_spectrum([np.full((96, 128), 90, np.uint8)]).contrast == pytest.approx(0, abs=0.1)


def test_the_power_of_white_noise_is_its_variance():
    rng = np.random.default_rng(0)
    power = np.mean([tile_power(tile) for tile in rng.normal(0, 3, (400, 64, 64))], axis=0)
    for profile in profiles(power):
        assert profile[2:] == pytest.approx(10 * np.log10(9), abs=0.4)


def test_the_most_detailed_tiles_are_chosen():
    frame = np.full((256, 256), 100, np.uint8)
    frame[128:192, 64:128] += np.random.default_rng(0).integers(0, 50, (64, 64), dtype=np.uint8)
    best = detailed_tiles(frame)[0]
    assert np.array_equal(best, frame[128:192, 64:128])


def test_reach_speaks_for_a_camera_and_images_against_it():
    plain = Spectrum(0.5, 30, 0)
    assert dataclasses.replace(plain, reach=0.6).score < plain.score < dataclasses.replace(plain, images=2).score
    assert dataclasses.replace(plain, contrast=40).score > plain.score
