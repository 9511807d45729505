"""The figures that the benchmarks of quality print, where the answer is known; and what realis-tiny has to reach."""

import pytest
import torch

from benchmark_files import load_benchmark
from realis.data.photographs import TRAINING_PHOTOGRAPHS, CameraMove, film, photograph
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaling.stream import Frame, upscale_stream

quality = load_benchmark("quality")
tiny_quality = load_benchmark("tiny_quality")


PINNED = {
    "clean": 0.00339, "mild": 0.03357, "mid": 0.04306, "strong": 0.06187, "realbasicvsr 0": 0.15476,
    "realbasicvsr 1": 0.07398, "realbasicvsr 2": 0.07915, "realbasicvsr 3": 0.08716,
}  # fmt: skip


def panned(frames, pixels):
    y, x = 200.0, 300.0
    return film(photograph("coffee.png"), CameraMove((y, x), (y, x + pixels * (frames - 1))), frames, (96, 128))


def test_the_warping_error_follows_the_motion():
    clip = panned(5, 2.0)
    still = (clip[1:] - clip[:-1]).square().mean().item() * 1000
    assert quality.warping_error(clip, quality.motion(clip)) < 0.05 * still
    flickering = clip + 0.1 * torch.tensor([0.0, 1, 0, 1, 0]).view(5, 1, 1, 1)
    error = quality.warping_error(flickering, quality.motion(clip))
    assert error == pytest.approx(10, rel=0.1)  # 0.1 squared, times 1000


def test_frames_that_are_all_alike_have_no_warping_error():
    clip, moving = torch.full((3, 3, 64, 64), 0.7), panned(3, 2.5)[..., :64, :64]
    assert quality.warping_error(clip, quality.motion(moving)) < 1e-6
    unseen = [(x, y, seen & (i == 1)) for i, (x, y, seen) in enumerate(quality.motion(moving))]
    assert 0 < quality.warping_error(moving, unseen) < 1


def test_degradations_are_pinned():
    """How far from plain resizing each takes a clip, which a changed strength, order or seed would move."""
    hr = panned(5, 1.5)
    spread = {
        case: float((degrade(hr) - resize(hr, (24, 32))).square().mean().sqrt())
        for case, degrade in quality.CASES.items()
    }
    assert spread == pytest.approx(PINNED, rel=0.02)


def test_a_pulse_is_told_from_other_periods():
    t = torch.arange(25)
    at_four, elsewhere = quality.pulse(0.02 * t + 0.3 * torch.cos(2 * torch.pi * t / 4))
    assert at_four == pytest.approx(0.3, rel=0.02) and elsewhere < 0.01
    at_four, _ = quality.pulse(0.3 * torch.cos(2 * torch.pi * t / 6))
    assert at_four < 0.03


def test_scores_fall_with_the_error_and_know_a_perfect_copy():
    clip = 0.2 * panned(1, 0) + 0.4
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))
    better, worse, same = (quality.scores(clip + amount * noise, clip) for amount in (0.02, 0.1, 0))
    assert worse["PSNR"] == pytest.approx(20, abs=0.5)
    assert all(better[name] > worse[name] for name in ("PSNR", "SSIM", "HaarPSI")) and better["GMSD"] < worse["GMSD"]
    assert same["SSIM"] == pytest.approx(1) and same["GMSD"] < 1e-3 and same["HaarPSI"] == pytest.approx(1, abs=1e-3)


def test_held_out_means_held_out():
    names = {name.split(",")[0] for name, _ in quality.held_out(1)}
    assert names == {"coffee", "hubble_deep_field"}
    assert not names & {name.split(".")[0] for name in TRAINING_PHOTOGRAPHS}


@pytest.mark.parametrize(("case", "least"), [("clean", -0.1), ("mild", 0.2), ("mid", 0.3), ("strong", 0.4)])
def test_realis_tiny_gains_over_bicubic_on_a_photograph_it_never_saw(case, least):
    hr = panned(5, 1.5)
    lr = quality.CASES[case](hr)
    upscaler, _ = tiny_quality.rows(tiny_quality.open_networks("realis-tiny"))["1 step"]
    tiles = plan_tiles((96, 128), None, 0, 16)
    (segment,) = upscale_stream(upscaler, map(Frame, lr), (96, 128), tiles, 0, advance=lambda share: None)
    bicubic = resize(lr, (96, 128)).clamp(0, 1)
    gain = quality.frame_psnr(segment.frames, hr).mean() - quality.frame_psnr(bicubic, hr).mean()
    assert gain > least
