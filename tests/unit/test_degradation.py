"""The degradation: it replays, takes any size, cuts its margin; presets; what is refused."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realis.core.errors import InputError
from realis.degradation.config import BlurConfig, DegradationConfig, JpegConfig, NoiseConfig, ResizeConfig
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Resize, Video
from realis.degradation.presets import PRESETS, load_degradation
from realis.degradation.second_order import Margin, degrade, degrade_stream, degraded_pair
from realis.ops.filters import unsharp_mask
from realis.ops.pixels import planes_to_image
from realis.ops.resample import resample

SIZE = (256, 320)


def random_clip(frames, height, width, seed=0):
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_json_gives_the_same_bytes(preset, tmp_path):
    hr = random_clip(4, 48, 64)
    file = tmp_path / "parameters.json"
    for seed in range(3):
        drawn = PRESETS[preset].sample(np.random.default_rng(seed), 4, (48, 64))
        file.write_text(drawn.to_json())
        replayed = DegradationParameters.read(file)
        assert replayed == drawn
        assert torch.equal(degrade(hr, drawn), degrade(hr, replayed))


@settings(max_examples=40, deadline=None)
@given(
    preset=st.sampled_from(sorted(PRESETS)), seed=st.integers(0, 10**6), frames=st.integers(1, 4),
    height=st.integers(16, 70), width=st.integers(16, 70), scale=st.sampled_from([1, 2, 4, 8]),
)  # fmt: skip
def test_any_seed_and_size_stays_in_range_and_on_size(preset, seed, frames, height, width, scale):
    p = PRESETS[preset].sample(np.random.default_rng(seed), frames, (height, width), scale)
    lr = degrade(random_clip(frames, height, width, seed), p)
    assert lr.shape == (frames, 3, round(height / scale), round(width / scale)) and lr.dtype == torch.float32
    assert lr.min() >= 0 and lr.max() <= 1
    torch.testing.assert_close(lr * 255, (lr * 255).round(), atol=1e-4, rtol=0)


def test_frames_are_not_gathered_where_no_codec_needs_them():
    p = PRESETS["real_esrgan"].sample(np.random.default_rng(1), 3, (32, 32))
    taken = []
    images = (taken.append(i) or planes_to_image(x) for i, x in enumerate(random_clip(3, 32, 32)))
    next(degrade_stream(images, p))
    assert taken == [0]


def test_a_pair_is_cut_from_a_wider_clip():
    config = replace(DegradationConfig(), sharpen=True)
    wide = random_clip(9, 96, 128)
    p = config.sample(np.random.default_rng(0), 9, (96, 128))
    hr, lr = degraded_pair(wide, p, Margin(frames=2, pixels=16))
    assert hr.shape == (5, 3, 64, 96) and lr.shape == (5, 3, 16, 24)
    sharp = np.stack([unsharp_mask(planes_to_image(x)) for x in wide])
    np.testing.assert_allclose(hr.permute(0, 2, 3, 1), sharp[2:7, 16:80, 16:112], atol=1e-6)
    assert torch.equal(lr, degrade(wide, p)[2:7, :, 4:20, 4:28])
    with pytest.raises(InputError, match="whole LR pixels"):
        degraded_pair(wide, p, Margin(frames=2, pixels=10))
    with pytest.raises(InputError, match="leave some"):
        degraded_pair(wide, p, Margin(frames=5, pixels=16))


def test_the_ideal_presets_are_what_they_say():
    hr = random_clip(2, 32, 48)
    for preset, filter in (("bi", "matlab_bicubic"), ("bd", "gaussian")):
        for scale in (4, 8) if preset == "bi" else (4,):
            p = PRESETS[preset].sample(np.random.default_rng(0), 2, (32, 48), scale)
            wanted = resample(planes_to_image(hr[1]), (32 // scale, 48 // scale), filter).clip(0, 1)
            got = degrade(hr, p)[1].permute(1, 2, 0).numpy()
            assert np.abs(got - wanted).max() <= 0.5 / 255 + 1e-6


def test_light_has_one_order_at_the_size_of_the_result():
    kinds = Counter()
    for seed in range(400):
        p = PRESETS["light"].sample(np.random.default_rng(seed), 3, (64, 64))
        kinds[tuple(type(op).__name__ for op in p.operations)] += 1
        for op in p.operations:
            assert not isinstance(op, Blur) or (
                op.kernel == "iso" and 0.3 <= min(op.sigma)[0] <= max(op.sigma)[0] <= 2.5
            )
            assert not isinstance(op, Noise) or (op.kind == "gaussian" and not op.grey and max(op.strength) <= 15 / 255)
            assert not isinstance(op, Jpeg) or 45 <= min(op.quality) <= max(op.quality) <= 95
    assert set(kinds) == {("Blur", "Resize", "Noise", "Jpeg"), ("Resize",)}
    assert kinds[("Resize",)] / 400 == pytest.approx(0.1, abs=0.05)


def test_real_esrgan_holds_still_and_knows_no_video_codec():
    for seed in range(50):
        p = PRESETS["real_esrgan"].sample(np.random.default_rng(seed), 5, SIZE)
        assert not [op for op in p.operations if isinstance(op, Video)]
        assert sum(isinstance(op, Jpeg) for op in p.operations) == 2
        resizes = [op.sizes[0] for op in p.operations if isinstance(op, Resize)]
        assert 1 <= len(resizes) <= 3 and resizes[-1] == (64, 80)
        if len(resizes) == 3:  # the second is in terms of the result's 64x80
            assert 18 <= resizes[1][0] <= 77
        for op in p.operations:
            for value in vars(op).values():
                assert not isinstance(value, tuple) or len(set(value)) <= 1


def test_ranges_come_from_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("first: {noise: {sigma: [5, 6], gaussian: 1.0}}\nsharpen: true\n")
    config = load_degradation(str(file))
    assert config.first.noise == NoiseConfig(sigma=(5, 6), gaussian=1.0)
    assert config.sharpen and config.second == DegradationConfig().second
    for wrong in ("nowhere", str(tmp_path / "none.yaml")):
        with pytest.raises(InputError):
            load_degradation(wrong)


@pytest.mark.parametrize(
    "build",
    [
        lambda: BlurConfig(probability=1.5), lambda: BlurConfig(size=(8, 21)), lambda: BlurConfig(sigma=(3.0, 0.2)),
        lambda: BlurConfig(kernels=(1, 0)), lambda: ResizeConfig(scale=(1.1, 1.5)), lambda: JpegConfig(quality=(0, 95)),
        lambda: ResizeConfig(weights=(0, 0, 0, 0)), lambda: DegradationConfig(clean=-1),
        lambda: BlurConfig(sigma_step=-1), lambda: ResizeConfig(scale_step=math.inf), lambda: NoiseConfig(sigma=(0, math.inf)),
        lambda: BlurConfig(kernels=(math.inf,) * 7), lambda: BlurConfig(beta_split=True, beta_plateau=(1.2, 2.0)),
        lambda: DegradationConfig().sample(np.random.default_rng(0), 3, (5, 64)),
        lambda: DegradationConfig().sample(np.random.default_rng(0), 0, (64, 64)),
    ],
)  # fmt: skip
def test_ranges_that_cannot_be_drawn_from_are_refused(build):
    with pytest.raises(InputError, match=r"got .* wanted"):
        build()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_becomes_no_black_pixel(bad):
    hr = random_clip(2, 32, 32)
    hr[1, 2, 3, 4] = bad
    for preset in ("bi", "realbasicvsr"):
        p = PRESETS[preset].sample(np.random.default_rng(0), 2, (32, 32))
        with pytest.raises(InputError, match="a pixel is not a finite number"):
            degrade(hr, p)


WRONG = [{"frames": "3"}, {"frames": 3.0}, {"frames": 0}, {"size": [32]}, {"sharpen": 1}, {"size": [float("nan"), 32]},
         {"operations": [{"operation": "noise", "kind": "gaussian", "strength": ["a"], "grey": False, "seed": 0}]},
         {"operations": [{"operation": "noise", "kind": "gaussian", "strength": [1], "grey": False, "seed": 2**70}]},
         {"operations": [{"operation": "blur", "kernel": ["iso"], "size": 7}]}, {"operations": {"a": 1}},
         {"operations": [{"operation": "resize", "filter": "area", "sizes": []},
                         {"operation": "video", "codec": "libx264", "bits_per_pixel": 1}]},
         {"operations": [{"operation": "noise", "kind": "gaussian", "strength": [], "grey": False, "seed": 0}]},
         {"operations": [{"operation": "jpeg", "quality": []}]},
         {"frames": 10**18, "operations": []}]  # fmt: skip


def test_parameters_that_do_not_fit_are_refused(tmp_path):
    p = DegradationConfig().sample(np.random.default_rng(0), 3, (32, 32))
    with pytest.raises(InputError, match="drawn for"):
        degrade(random_clip(4, 32, 32), p)
    file = tmp_path / "p.json"
    for text in (
        "",
        "[]",
        "{}",
        json.dumps(json.loads(p.to_json()) | {"more": 1}),
        '{"operations": [{"operation": "x"}]}',
        "[" * 100_000,
        '{"operations": [5]}',
        *(json.dumps(json.loads(p.to_json()) | wrong) for wrong in WRONG),
    ):
        file.write_text(text)
        with pytest.raises(
            InputError, match=r"not the parameters|no other|got 0, wanted 1 or more|one a frame|sizes after"
        ):
            DegradationParameters.read(file)
    with pytest.raises(InputError, match="nothing there"):
        DegradationParameters.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Blur("foo", 7, ((1, 1),), (0,)), lambda: Blur("iso", 8, ((1, 1),), (0,)), lambda: Blur("iso", 7),
        lambda: Blur("iso", 7, ((0, 1),), (0,)), lambda: Blur("plateau_iso", 7, ((1, 1),), (0,)), lambda: Blur("sinc", 7),
        lambda: Resize("foo", ((4, 4),)), lambda: Resize("area", ((0, 4),)), lambda: Noise("gausian", (1.0,), False, 0),
        lambda: Noise("poisson", (float("nan"),), False, 0), lambda: Noise("poisson", (1.0,), False, -1),
        lambda: Blur("iso", 7, ((float("inf"), 1),), (0,)), lambda: Blur("iso", 7, ((1, 1),), (float("nan"),)),
        lambda: Blur("iso", 10**9 + 1, ((1, 1),), (0,)), lambda: Resize("area", ((10**9, 4),)), lambda: Blur("iso", -7),
        lambda: Video("mpeg4", float("inf")),
        lambda: Jpeg((0,)), lambda: Video("h264", 1.0), lambda: Video("mpeg4", 0.0),
        lambda: DegradationParameters(2, (8, 8), (2, 2), False, (Resize("area", ((2, 2),)),)),
        lambda: DegradationParameters(2, (8, 8), (2, 2), False, ()),
    ],
)  # fmt: skip
def test_operations_that_cannot_be_done_are_refused(build):
    with pytest.raises(InputError, match=r"got .* wanted"):
        build()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_point_types_give_the_same(dtype):
    hr = (random_clip(2, 32, 32) * 255).round() / 256
    p = PRESETS["bi"].sample(np.random.default_rng(0), 2, (32, 32))
    assert torch.equal(degrade(hr.to(dtype), p), degrade(hr.to(dtype).float(), p))
    assert degrade(hr.to(dtype), p).mean() > 0.3
