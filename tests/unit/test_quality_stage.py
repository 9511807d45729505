"""Stage ``quality``: what each score says of footage made to have just that fault; calibration; the plots."""

import dataclasses
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from footage import PICTURE, damage, film
from realis.builder.calibrate import calibrate, limits_of
from realis.builder.clip import Clip, Dropped
from realis.builder.quality import (
    LIMITS,
    QualityConfig,
    blockiness,
    flow_length,
    inside_bars,
    measure_scores,
    quality,
    read_pairs,
    scores,
    sharpness,
)
from realis.builder.score_plots import plot_scores
from realis.core.config import recipe_flags
from realis.core.errors import InputError

CONFIG = QualityConfig(max_fake_4k=1000)  # the photograph of these films is no 4K
FRAMES, SIZE = 12, (128, 160)


def write(path, images, codec="libx264", options=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {"crf": "12"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def pan(frames=FRAMES, size=SIZE):
    return [PICTURE[2 * i : 2 * i + size[0], 3 * i : 3 * i + size[1]] for i in range(frames)]


def outcome(path, config=CONFIG, frames=FRAMES):
    (found,) = scores(Clip("one", str(path), frames=frames), Path("nowhere"), config.samples)
    return next(quality(found, Path("nowhere"), config)) if isinstance(found, Clip) else found


def barred(image):
    image = image.copy()
    image[:16] = image[-16:] = 0
    return image


def starved(image):
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 6])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


FAULTS = {
    "black frames": lambda clip: [x // 40 for x in clip],
    "black bars": lambda clip: [barred(x) for x in clip],
    "frozen frames": lambda clip: [clip[0]] * len(clip),
    "too dark": lambda clip: [(x * 0.07 + 3).astype(np.uint8) + (np.indices(x.shape).sum(0) % 41 == 0) * np.uint8(40) for x in clip],
    "too bright": lambda clip: [255 - x // 20 for x in clip],
    "clipped": lambda clip: [np.where(x < 128, 0, 255).astype(np.uint8) for x in clip],
    "static": lambda clip: [cv2.add(clip[0], np.full_like(clip[0], i % 2)) for i in range(len(clip))],
    "blocks": lambda clip: [starved(x) for x in clip],
    "not sharp": lambda clip: [cv2.GaussianBlur(x, (0, 0), 6) for x in clip],
}  # fmt: skip


def test_sound_footage_is_kept_with_its_scores(tmp_path):
    kept = outcome(write(tmp_path / "a.mp4", pan()))
    assert isinstance(kept, Clip), kept
    assert set(kept.scores) == {limit.score for limit in LIMITS} | {"contrast"}
    assert outcome(tmp_path / "a.mp4") == kept  # nothing in it is left to chance
    assert Clip.from_row(kept.to_row()) == kept


@pytest.mark.parametrize("reason", FAULTS)
def test_a_fault_is_found_and_named(reason, tmp_path):
    dropped = outcome(write(tmp_path / "a.mp4", FAULTS[reason](pan())))
    assert isinstance(dropped, Dropped)
    assert dropped.reason == reason, dropped.detail
    assert "wanted at" in dropped.detail


def test_violent_motion_is_dropped(tmp_path):
    fast = [PICTURE[100:228, 14 * i : 14 * i + 160] for i in range(FRAMES)]
    assert outcome(write(tmp_path / "a.mp4", fast)).reason == "too much motion"


def test_an_upscale_is_dropped(tmp_path):
    small = [PICTURE[i : i + 132, 2 * i : 2 * i + 132] for i in range(6)]
    images = [cv2.resize(image, (396, 396), interpolation=cv2.INTER_CUBIC) for image in small]
    assert outcome(write(tmp_path / "a.mp4", images), QualityConfig(), 6).reason == "fake 4K"


def test_what_shows_no_detail_above_noise_is_not_called_fake(tmp_path):
    rng = np.random.default_rng(0)
    images = [np.clip(x // 12 + 110 + rng.normal(0, 12, x.shape), 0, 255).astype(np.uint8) for x in pan()]
    config = dataclasses.replace(CONFIG, max_fake_4k=-100, min_motion=0)
    kept = outcome(write(tmp_path / "a.mp4", images), config)
    assert isinstance(kept, Clip), kept
    assert "fake_4k" not in kept.scores
    assert kept.scores["contrast"] < config.min_contrast


def test_what_cannot_be_read_is_dropped_with_the_reason(tmp_path):
    file = damage(film(tmp_path / "a.mp4"))
    dropped = outcome(file, frames=20)
    assert (dropped.name, dropped.reason) == ("one", "cannot be read")
    assert str(file) in dropped.detail


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_passes_no_limit(number, tmp_path, monkeypatch):
    file = write(tmp_path / "a.mp4", pan(3))
    monkeypatch.setattr("realis.builder.quality.sharpness", lambda frame: number)
    dropped = outcome(file, frames=3)
    assert (dropped.reason, dropped.scores) == ("scores are no numbers", {})
    assert f"its sharpness is {number}" in dropped.detail
    with pytest.raises(InputError, match="can be measured"):
        calibrate(tmp_path, tmp_path / "recipe.yaml", CONFIG)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_of_few_frames(frames, tmp_path):
    file = write(tmp_path / "a.mp4", pan(frames))
    if frames == 1:
        with pytest.raises(InputError, match="fewer than two frames"):
            measure_scores(file, CONFIG.samples)
    else:
        assert measure_scores(file, CONFIG.samples)["motion"] > 0


def test_pairs_are_neighbours_spread_over_the_clip(tmp_path):
    levels = [np.full((64, 64, 3), 20 + 8 * i, np.uint8) for i in range(20)]
    pairs, rate = read_pairs(write(tmp_path / "a.mp4", levels), 20, 3)
    assert rate == 25
    assert [round((pair[0].mean() - 20) / 8) for pair in pairs] == [0, 9, 18]
    assert [round((pair[1].mean() - 20) / 8) for pair in pairs] == [1, 10, 19]


def test_motion_is_in_picture_heights():
    picture = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
    before, after = picture[100:400, 100:400], picture[100:400, 106:406]
    assert flow_length(before, after) == pytest.approx(6 / 300, rel=0.15)
    assert flow_length(before, before) < 1e-5


def test_bars_on_all_sides_are_cut_off():
    frame = np.zeros((100, 120), np.uint8)
    frame[10:90, 20:110] = 80
    frame[4:6, 50:53] = 200  # a logo
    assert inside_bars([frame, frame]) == (slice(10, 90), slice(20, 110))
    frame[:] = 0
    assert inside_bars([frame]) == (slice(None), slice(None))


def test_blocks_count_wherever_they_lie_and_nothing_else_does():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (256, 256), dtype=np.uint8)
    blocks = np.kron(rng.integers(0, 255, (32, 32), dtype=np.uint8), np.ones((8, 8), np.uint8))
    assert blockiness(noise) == pytest.approx(1, abs=0.05)
    assert blockiness(blocks) > 100
    assert blockiness(np.full((64, 64), 7, np.uint8)) == 1


def test_sharpness_is_that_of_what_is_in_focus():
    picture = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
    soft = cv2.GaussianBlur(picture, (0, 0), 5)
    mixed = soft.copy()
    mixed[:256, :256] = picture[:256, :256]
    assert sharpness(soft) < 0.2 * sharpness(picture)
    assert sharpness(mixed) > 0.5 * sharpness(picture)


def test_scores_of_a_dropped_clip_are_those_that_were_measured(tmp_path):
    file = write(tmp_path / "a.mp4", pan())
    kept, dropped = outcome(file), outcome(file, dataclasses.replace(CONFIG, min_sharpness=500))
    assert dropped.reason == "not sharp"
    assert dropped.scores == kept.scores


@pytest.mark.parametrize(
    ("field", "value"),
    [("samples", 0), ("max_bars", 1.5), ("min_motion", -1.0), ("min_brightness", 0.95), ("max_motion", 0.001)],
)
def test_nonsense_is_refused(field, value):
    with pytest.raises(InputError, match="--quality"):
        QualityConfig(**{field: value})


def test_calibration_writes_limits_that_its_own_footage_meets(tmp_path):
    footage = tmp_path / "footage"
    footage.mkdir()
    for i in range(3):
        write(footage / f"{i}.mp4", [cv2.GaussianBlur(x, (0, 0), 0.5 + i) for x in pan()])
    (footage / "broken.mp4").write_bytes(b"no video")
    limits = calibrate(footage, tmp_path / "new" / "quality.yaml", QualityConfig(), percent=0)
    recipe = tmp_path / "new" / "quality.yaml"
    assert yaml.safe_load(recipe.read_text()) == {"quality": limits}
    assert "3 clips" in recipe.read_text()
    assert {f"--quality.{limit.field.replace('_', '-')}" for limit in LIMITS} == {
        flag.partition("=")[0] for flag in recipe_flags(recipe)
    }
    config = QualityConfig(**limits)
    assert config != QualityConfig()
    assert all(isinstance(outcome(footage / f"{i}.mp4", config), Clip) for i in range(3))
    found = [measure_scores(footage / f"{i}.mp4", config.samples) for i in range(3)]
    assert sum(row["sharpness"] < limits_of(found, config, 40)["min_sharpness"] for row in found) == 1


def test_calibration_never_tightens_a_limit_on_faults():
    found = {limit.score: 0.0 for limit in LIMITS}
    limits = limits_of([found] * 5, QualityConfig(), 2)
    assert limits["max_bars"] == QualityConfig().max_bars
    assert limits["max_fake_4k"] == QualityConfig().max_fake_4k
    assert limits_of([found | {"bars": 0.3}] * 5, QualityConfig(), 2)["max_bars"] == 0.3
    assert limits_of([{"bars": 0.0}], QualityConfig(), 2)["min_sharpness"] == QualityConfig().min_sharpness


def test_calibration_on_nothing_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match="no video in it can be measured"):
        calibrate(tmp_path, tmp_path / "quality.yaml", QualityConfig())
    assert not (tmp_path / "quality.yaml").exists()


def test_the_plot_shows_kept_and_dropped_apart(tmp_path):
    rng = np.random.default_rng(0)
    clips = [Clip(f"{i}", "v", scores={"sharpness": rng.uniform(4, 20), "bars": 0.0}) for i in range(40)]
    dropped = [Dropped(f"d{i}", "not sharp", "", {"sharpness": rng.uniform(0.5, 2), "bars": 0.0}) for i in range(9)]
    files = [tmp_path / name for name in ("both.png", "kept.png", "none.png", "again.png")]
    for file, outcomes in zip(files, ([*clips, *dropped], clips, [Dropped("x", "cannot be read")], [*clips, *dropped]), strict=True):  # fmt: skip
        plot_scores(outcomes, file, QualityConfig())
    both, kept = (np.asarray(Image.open(file).convert("RGB")).astype(int) for file in files[:2])
    red = [((x[..., 0] > 200) & (x[..., 1] < 120) & (x[..., 2] < 120)).sum() for x in (both, kept)]
    assert red[0] > 3 * red[1]  # in the legend of both, and as bars of the first
    assert Image.open(files[2]).size[0] > 0
    assert files[0].read_bytes() == files[3].read_bytes()
    off = QualityConfig(max_motion=float("inf"), max_bars=1.0, min_sharpness=0)
    plot_scores([*clips, *dropped, Clip("m", "v", scores={"motion": 0.1})], tmp_path / "off.png", off)
    colours = np.asarray(Image.open(tmp_path / "off.png").convert("RGB")).astype(int)
    assert ((colours[..., 2] > 140) & (colours[..., 0] < 100)).sum() > 1000  # the bars of what was kept
