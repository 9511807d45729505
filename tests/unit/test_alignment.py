"""Planted faults of alignment are named, each alone; what restoration may change is none."""

from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from realis.data.photographs import CameraMove, film, photograph
from realis.evaluation.alignment.check import AlignmentCheck
from realis.evaluation.alignment.color_misread import EXPLANATIONS
from realis.evaluation.alignment.faults import size_fault
from realis.evaluation.alignment.frame_order import Place, Thumbnail
from realis.evaluation.alignment.samples import Pair, Sample, Samples
from realis.ops.filters import gaussian_blur, unsharp_mask
from realis.ops.jpeg import jpeg
from realis.ops.resize import resize

SIZE = (192, 256)
FRAMES = 9
SLOW = CameraMove((250.0, 220.0), (262.0, 240.0), 1.0, 0.97)
CLIPS = {
    "slow": ("astronaut.png", SLOW),
    "fast": ("coffee.png", CameraMove((200.0, 250.0), (204.0, 330.0))),
    "still": ("chelsea.png", CameraMove((150.0, 225.0), (150.0, 225.0))),
    "grey": ("camera.png", CameraMove((250.0, 250.0), (256.0, 254.0))),
}


@lru_cache
def clip(name="slow"):
    photo, move = CLIPS[name]
    return film(photograph(photo), move, FRAMES, SIZE)


def check(restored, truth):
    examined = AlignmentCheck()
    for pair in zip(restored, truth, strict=True):
        examined.add(*pair)
    return examined.result()


def upscaled(frames, scale=4):
    """Frames as bicubic upscaling gives them back."""
    h, w = frames.shape[-2:]
    return resize(resize(frames, (h // scale, w // scale)), (h, w)).clamp(0, 1)


def each(change, frames):
    images = [change(np.ascontiguousarray(frame.permute(1, 2, 0).numpy())) for frame in frames]
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images]).clamp(0, 1)


def moved(frames, x, y):
    to = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return each(
        lambda image: cv2.warpAffine(image, to, SIZE[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        frames,
    )


def cropped(frames, pixels):
    return frames[..., pixels:-pixels, pixels:-pixels].contiguous()


def with_corners_aligned(frames):
    small = resize(frames, (SIZE[0] // 4, SIZE[1] // 4))
    return F.interpolate(small, size=SIZE, mode="bicubic", align_corners=True).clamp(0, 1)


def barred(frames, top, right):
    frames = frames.clone()
    frames[..., :top, :] = 0
    frames[..., SIZE[1] - right :] = 0
    return frames


def repeating(frames, *numbers):
    order = [number - (number in numbers) for number in range(len(frames))]
    return frames[order]


def misread(frames, how):
    change = torch.from_numpy(EXPLANATIONS[how].copy()).float()
    return (torch.einsum("fchw,cd->fdhw", frames, change[:3]) + change[3][:, None, None]).clamp(0, 1)


DISPLACED = {
    "one pixel": (lambda f: moved(f, 1, 0), "shifted by 1.00 px to the right", 1.0),
    "half a pixel": (lambda f: moved(f, -0.5, -0.5), "centres of pixels", 0.5),
    "0.3 pixels": (lambda f: moved(f, 0, 0.3), "px down: ", 0.3),
    "far": (lambda f: moved(f, -16, 7), "px to the left and 7.0", 16.0),
    "corners aligned": (with_corners_aligned, "align_corners=True", 1.5),
    "cropped and resized": (lambda f: resize(cropped(f, 8), SIZE).clamp(0, 1), "around the centre and resized", 8.0),
    "cropped at one side": (
        lambda f: resize(f[..., 8:, 8:].contiguous(), SIZE).clamp(0, 1),
        "at some sides and resized",
        8.0,
    ),
    "padded and resized": (
        lambda f: resize(F.pad(f, (4, 4, 4, 4), mode="replicate"), SIZE).clamp(0, 1),
        "padded, and resized",
        4.0,
    ),
}


@pytest.mark.parametrize("fault", DISPLACED)
def test_displaced_frames_are_named_and_measured(fault):
    change, words, pixels = DISPLACED[fault]
    truth = clip()[:3]
    found = check(change(upscaled(truth)), truth)
    (sentence,) = found.faults
    assert words in sentence
    assert found.displacement == pytest.approx(pixels, abs=0.1)


def test_a_displacement_is_measured_along_both_axes():
    truth = clip()[:2]
    found = check(moved(truth, 3, -2), truth)
    assert found.shift == pytest.approx((3, -2), abs=0.05)
    assert found.scale == pytest.approx((1, 1), abs=1e-3)
    found = check(resize(cropped(truth, 12), SIZE).clamp(0, 1), truth)
    assert found.scale == pytest.approx((256 / 232, 192 / 168), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "order", "offset", "words"),
    [
        ("slow", [0, 0, 1, 2, 3, 4, 5, 6, 7], 1, "shown one frame late"),
        ("fast", [1, 2, 3, 4, 5, 6, 7, 8, 8], -1, "shown one frame early"),
        ("fast", [0, 0, 0, 1, 2, 3, 4, 5, 6], 2, "shown 2 frames late"),
        ("slow", [0, 1, 2, 3, 5, 6, 7, 8, 8], -1, "frames 4 to 7 are shown one frame early"),
    ],
)
def test_frames_at_another_time_are_named(name, order, offset, words):
    found = check(upscaled(clip(name))[order], clip(name))
    assert found.frame_offset == offset
    (sentence,) = found.faults
    assert sentence.startswith(words)


@lru_cache
def small_clip(name="fast", frames=24):
    """More frames, and smaller ones."""
    photo, move = CLIPS[name]
    return film(photograph(photo), move, frames, (96, 128))


PAIRS_SWAPPED = [number ^ 1 for number in range(24)]


@pytest.mark.parametrize(
    ("order", "offset", "words"),
    [
        (PAIRS_SWAPPED, None, "frames are in another order: 1 shows the truth's 0, 3 shows the truth's 2"),
        (range(23, -1, -1), None, "frames are in reverse order"),
        ([1, 0], None, "frames are in another order: 1 shows the truth's 0"),
        ([0] * 5 + [*range(19)], 5, "shown 5 frames late"),
        ([*range(3, 24), 23, 23, 23], -3, "shown 3 frames early"),
    ],
)
def test_frames_in_another_order_are_not_taken_for_a_shift(order, offset, words):
    truth = small_clip()[: len(order)]
    found = check(upscaled(truth)[list(order)], truth)
    assert found.frame_offset == offset
    (sentence,) = found.faults
    assert sentence.startswith(words)


@pytest.mark.parametrize("name", ["slow", "fast"])
def test_of_a_delay_beyond_reach_no_cause_in_space_comes_first(name):
    truth = small_clip(name)
    found = check(upscaled(truth)[[0] * 12 + [*range(12)]], truth)
    words = {"slow": "shown at other times, more than 8 frames off", "fast": "does not show what the truth shows"}
    assert found.faults[0].startswith(words[name])


OTHER = {
    "another clip": (lambda f: upscaled(clip("fast")[:3]), "another clip, or far from its time or place"),
    "black": (torch.zeros_like, "another clip"),
    "mirrored": (lambda f: upscaled(f).flip(-1), "mirrored left to right"),
    "upside down": (lambda f: upscaled(f).flip(-2), "mirrored top to bottom"),
    "turned": (lambda f: upscaled(f).flip(-1, -2), "turned by 180 degrees"),
    "negative": (lambda f: 1 - upscaled(f), "a negative"),
}


@pytest.mark.parametrize("what", OTHER)
def test_what_does_not_show_the_truth_is_named(what):
    change, words = OTHER[what]
    truth = clip()[:3]
    found = check(change(truth), truth)
    (sentence,) = found.faults
    assert sentence.startswith(f"does not show what the truth shows: {words}")
    assert (found.displacement, found.frame_offset) == (None, None)


def test_what_shows_something_else_in_its_second_half_is_named():
    truth = clip()
    restored = torch.cat([upscaled(truth[:5]), upscaled(clip("fast")[5:])])
    assert "does not show what the truth shows: another clip" in check(restored, truth).faults[0]


def test_white_is_not_taken_for_black():
    white = torch.ones(2, 3, *SIZE)
    assert "does not show what the truth shows" in check(white, 0 * white).faults[0]


def test_a_large_shift_is_measured():
    wide = film(photograph("coffee.png"), CameraMove((200, 300), (200, 300)), 1, (SIZE[0], SIZE[1] + 60))
    found = check(upscaled(wide[..., :-60].contiguous()), wide[..., 60:].contiguous())
    assert "shifted by 60.0" in found.faults[0]
    assert found.shift == pytest.approx((60, 0), abs=0.1)


@pytest.mark.parametrize(
    ("numbers", "words"), [((5,), "frame 5 repeats frame 4:"), ((3, 7), "frames 3, 7 repeat the frames before them:")]
)
def test_repeated_frames_are_named(numbers, words):
    found = check(repeating(upscaled(clip()), *numbers), clip())
    assert found.repeated == numbers
    (sentence,) = found.faults
    assert sentence.startswith(words)


def test_frames_that_the_truth_repeats_are_no_fault():
    truth = repeating(clip(), 2, 4, 6)
    assert check(upscaled(truth), truth).faults == ()


@pytest.mark.parametrize("how", [name for name in EXPLANATIONS if name])
def test_misread_colours_are_named(how):
    truth = clip()[:2]
    found = check(misread(upscaled(truth), how), truth)
    (sentence,) = found.faults
    assert sentence.endswith(f"levels of 255: {how}")


def test_of_grey_pictures_only_the_range_can_be_told():
    grey = clip("grey")[:2]
    matrix, limited = "Y'CbCr of BT.601 read as BT.709", "limited range shown as full"
    assert check(misread(upscaled(grey), matrix), grey).faults == ()
    assert check(misread(upscaled(grey), limited), grey).faults[0].endswith(limited)


def test_a_border_is_measured_to_the_pixel():
    truth = clip()[:3]
    found = check(barred(upscaled(truth), 8, 3), truth)
    assert found.border == (0, 3, 8, 0)
    (sentence,) = found.faults
    assert sentence.startswith("a border of 3 px at the right and 8 px at the top differs")


def noisy(frames):
    return (frames + 0.06 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def compressed(frames):
    return each(lambda image: jpeg((255 * image).round().astype(np.uint8), 40) / np.float32(255), frames)


LEGITIMATE = {
    "identity": lambda f: f,
    "bicubic": upscaled,
    "bicubic x8": lambda f: upscaled(f, 8),
    "blur": lambda f: each(lambda image: gaussian_blur(image, 3.0), f),
    "noise": lambda f: noisy(upscaled(f)),
    "sharpened": lambda f: each(lambda image: unsharp_mask(image, 0.8, 21, 3.0, 0), f),
    "JPEG": lambda f: compressed(upscaled(f)),
    "more contrast": lambda f: ((upscaled(f) - 0.5) * 1.05 + 0.5).clamp(0, 1),
    "darker": lambda f: 0.95 * f,
    "another tint": lambda f: (upscaled(f) * torch.tensor([1.03, 1, 0.97])[:, None, None] + 0.01).clamp(0, 1),
    "flicker": lambda f: f * torch.linspace(0.96, 1, len(f))[[0, 5, 2, 7, 4, 1, 6, 3, 8], None, None, None],
    "smoothed along time": lambda f: (f[[0, *range(len(f) - 1)]] + f[[*range(1, len(f)), -1]] + 2 * f) / 4,
}


@pytest.mark.parametrize(
    ("name", "change"),
    [*(("slow", change) for change in LEGITIMATE)]
    + [(name, change) for name in ("fast", "still", "grey") for change in ("bicubic", "noise", "sharpened")],
)
def test_what_restoration_changes_is_no_fault(name, change):
    found = check(LEGITIMATE[change](clip(name)), clip(name))
    assert found.faults == ()
    assert found.displacement is not None and found.displacement < 0.2
    assert found.frame_offset in ((None,) if name == "still" else (0,))


def textured(frames):
    """Frames with texture that was invented where there is some."""
    noise = torch.randn(frames.shape[-2:], generator=torch.Generator().manual_seed(0))
    return (upscaled(frames) + 2 * noise * (frames - upscaled(frames)).abs().mean(1, keepdim=True)).clamp(0, 1)


STRONGEST = {
    "x8": lambda f: upscaled(f, 8),
    "blur": lambda f: each(lambda image: gaussian_blur(image, 6.0), f),
    "noise": lambda f: noisy(noisy(upscaled(f))),
    "JPEG": lambda f: each(lambda i: jpeg((255 * i).round().astype(np.uint8), 10) / np.float32(255), upscaled(f)),
    "contrast": lambda f: ((upscaled(f) - 0.5) * 1.5 + 0.45).clamp(0, 1),
    "texture": textured,
}


@pytest.mark.parametrize("change", STRONGEST)
@pytest.mark.parametrize("name", CLIPS)
def test_strong_degradations_are_no_fault(name, change):
    truth = clip(name)[:3]
    assert check(STRONGEST[change](truth), truth).faults == ()


@pytest.mark.parametrize("change", STRONGEST)
def test_strong_degradations_of_dark_clips_are_no_fault(change):
    truth = 0.05 * clip()[:2]
    assert check(0.05 * STRONGEST[change](clip()[:2]), truth).faults == ()


@pytest.mark.parametrize("level", [0.0, 0.02, 0.5, 1.0])
def test_of_flat_frames_nothing_is_known_and_nothing_is_a_fault(level):
    flat = torch.full((3, 3, *SIZE), level)
    found = check(noisy(flat).div(100).add(0.99 * flat), flat)
    assert (found.shift, found.displacement, found.frame_offset, found.faults) == ((None, None), None, None, ())


def test_one_frame_and_small_frames_are_examined():
    truth = clip()[:1, :, :64, :96].contiguous()
    assert check(upscaled(truth), truth).faults == ()
    shifted = clip()[:1, :, :64, 2:98].contiguous()
    assert "2.00 px to the left" in check(shifted, truth).faults[0]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (2, 300), (15, 15), (16, 16), (17, 300)])
def test_of_tiny_frames_what_cannot_be_measured_is_not_known(size):
    truth = clip()[:2, :, : size[0], : size[1]].repeat(1, 1, 1, 2)[..., : size[1]].contiguous()
    found = check(truth, truth)
    assert found.faults == ()
    if min(size) < 16:
        assert (found.displacement, found.border) == (None, None)


def test_of_no_frames_nothing_is_known():
    found = AlignmentCheck().result()
    assert (found.displacement, found.frame_offset, found.color, found.border, found.faults) == (None,) * 4 + ((),)


@pytest.mark.parametrize("frames", [1, 2, 5, 9, 10, 11, 23, 40])
def test_frames_are_examined_at_equal_distances_whatever_the_length(frames):
    samples, dot = Samples(), np.zeros((1, 1), np.float32)
    for number in filter(samples.wants, range(frames)):
        pair = Pair(number, (dot, dot), (Thumbnail(dot), Thumbnail(dot)), ())
        samples.add(Sample(pair, Place(number, 0, False), dot, None))
    chosen = [sample.pair.number for sample in samples.chosen()]
    assert len(chosen) == min(frames, 5)
    assert chosen[0] <= frames / 5 and chosen[-1] >= 0.7 * (frames - 1)


def test_displacement_is_in_pixels_of_large_frames():
    """They are reduced before they are registered."""
    large = resize(clip()[:2], (1152, 1536)).clamp(0, 1)
    shift = large[..., :-2].contiguous(), large[..., 2:].contiguous()
    assert check(*shift).shift == pytest.approx((2, 0), abs=0.1)


@pytest.mark.parametrize(
    ("restored", "words"),
    [
        (lambda f: f[:, 4:-4, 4:-4], "248x184 pixels instead of 256x192; fits the truth at (4, 4): centre-cropped"),
        (lambda f: f[:, :-8, :-5], "fits the truth at (0, 0): cropped at the right and bottom"),
        (lambda f: f[:, 8:, :], "fits the truth at (8, 0): cropped"),
        (lambda f: F.pad(f, (0, 16, 0, 16)), "holds the truth at (0, 0): padded and not cropped back"),
        (lambda f: resize(f, (96, 128)), "0.5 times the size"),
        (lambda f: resize(f, (100, 400)), "neither fits"),
    ],
)
def test_another_size_is_explained(restored, words):
    frame = clip()[0]
    assert words in size_fault(restored(upscaled(clip()[:1])[0]), frame)
    assert size_fault(frame, frame) is None
