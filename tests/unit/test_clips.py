"""Training on footage: samples that depend on seed, number and the samples of a step alone."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import realis.data.clips as clips_module
from footage import damage, film, frames, manifest
from realis.core.config import dump, parse
from realis.core.errors import InputError
from realis.core.log import logger
from realis.data.caption_files import caption_key, embedding_file
from realis.data.clips import ClipSet, UnfitError
from realis.data.clips_config import ClipsConfig
from realis.degradation.presets import PRESETS
from realis.degradation.second_order import whole_margin
from realis.models.wan.geometry import latent_size
from realis.ops.resample import resample
from realis.video.excerpt import read_excerpt
from realis.video.read import VideoReader

CONFIG = ClipsConfig(frames=5, buckets=("64x64", "96x64"), degradation="bi", workers=0)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    for i in range(6):
        film(folder / f"{i}.mp4", place=7 * i)
    return folder


@pytest.fixture
def config(footage, tmp_path):
    rows = [{"file_name": str(footage / f"{i}.mp4"), "caption": f"clip {i}"} for i in range(6)]
    return replace(CONFIG, manifest=manifest(tmp_path, rows))


def single(batches):
    """Batches taken apart into samples."""
    return [{name: x[i] for name, x in batch.items()} for batch in batches for i in range(len(batch["number"]))]


def assert_same(samples, others):
    assert len(samples) == len(others) > 0
    for a, b in zip(samples, others, strict=True):
        assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_samples_are_the_same_for_any_workers_ranks_and_resume(config):
    config = replace(config, degradation="realbasicvsr")
    plan = [range(n, n + 2) for n in range(0, 12, 2)]  # two batches a step: one bucket for four samples
    whole = single(ClipSet(config, 3, 4).batches(plan))
    assert [int(s["number"]) for s in whole] == list(range(12))
    assert all(s[x].dtype == torch.uint8 and len(s[x]) == 3 for s in whole for x in ("hr", "lr"))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert_same(single(ClipSet(replace(config, workers=2), 3, 4).batches(iter(plan))), whole)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn from the global generator
    assert_same(single(ClipSet(config, 3, 4).batches(plan[1::2])), whole[2:4] + whole[6:8] + whole[10:12])
    assert_same(single(ClipSet(config, 3, 4).batches(range(n, n + 4) for n in (4, 8))), whole[4:])
    assert not torch.equal(single(ClipSet(config, 4, 4).batches(plan[:1]))[0]["hr"], whole[0]["hr"])


def test_an_epoch_has_every_clip_once_and_a_step_one_bucket(config):
    clips = ClipSet(config, 0, 3)
    order = [clips.candidates(n)[0] for n in range(18)]
    assert all(sorted(order[i : i + 6]) == list(range(6)) for i in (0, 6, 12))
    assert len({tuple(order[i : i + 6]) for i in (0, 6, 12)}) == 3
    batches = list(clips.batches(range(n, n + 3) for n in range(0, 12, 3)))
    assert [batch["hr"].shape[3:] for batch in batches] == [(64, 64), (64, 96)] * 2
    assert [batch["lr"].shape[3:] for batch in batches] == [(16, 16), (16, 24)] * 2


def found(frames, hr):
    """Start, top and left of ``hr`` (F, H, W, 3) in ``frames``, to the last bit."""
    F, H, W, _ = hr.shape
    for start in range(len(frames) - F + 1):
        for top, left in np.argwhere((frames[start] == hr[0, 0, 0]).all(-1)):
            there = frames[start : start + F, top : top + H, left : left + W]
            if there.shape == hr.shape and (there == hr).all():
                return start, int(top), int(left)
    raise AssertionError("not a part of the video")


def test_pairs_are_windows_of_the_video_degraded_with_what_lies_around(config, footage):
    """The LR is that of the whole frame: what lies outside of the window has gone into its border."""
    clips = ClipSet(config, 1, 1)
    places = set()
    for number in range(6):
        sample = clips[number].batch
        with VideoReader(footage / f"{clips.candidates(number)[0]}.mp4") as video:
            frames = np.stack(list(video))
        hr = sample["hr"].permute(1, 2, 3, 0).numpy()
        start, top, left = found(frames, hr)
        places |= {start, top + 1000, left + 2000}
        for i in (0, 3):
            rest = frames[start + i, top % 4 :, left % 4 :]
            rest = rest[: rest.shape[0] // 4 * 4, : rest.shape[1] // 4 * 4]
            size = (rest.shape[0] // 4, rest.shape[1] // 4)
            lr = resample(rest.astype(np.float32) / 255, size, "matlab_bicubic")[top // 4 :, left // 4 :]
            wanted = (torch.from_numpy(lr[: hr.shape[1] // 4, : hr.shape[2] // 4]).clamp(0, 1) * 255).round()
            difference = (sample["lr"][:, i].float() - wanted.permute(2, 0, 1)).abs()
            assert difference.max() <= 1 and difference.mean() < 0.03  # where a pixel rounds the other way
    assert len(places) > 12


@pytest.mark.parametrize("degradation", ["bi", "bd", "light"])
def test_frames_around_a_crop_are_read_only_where_they_may_matter(config, monkeypatch, degradation):
    class Wide(ClipSet):
        def margin(self):
            return whole_margin(4)

    counts = []
    monkeypatch.setattr(clips_module, "read_excerpt", lambda *place: counts.append(place[2]) or read_excerpt(*place))
    config = replace(config, degradation=degradation)
    samples, wide = (single(kind(config, 0, 1).batches(range(n, n + 1) for n in range(6))) for kind in (ClipSet, Wide))
    assert_same(samples, wide)
    assert PRESETS[degradation].only_shrinks == (degradation != "light")
    assert (set(counts[:6]) == {5}) == (degradation != "light") and max(counts[6:]) == 13


def test_a_clip_of_just_the_right_size_and_length_will_do(tmp_path):
    film(tmp_path / "just.mp4", frames=5, size=(64, 64))
    exact = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": "just.mp4"}]), buckets=("64x64",))
    with VideoReader(tmp_path / "just.mp4") as video:
        frames = np.stack(list(video))
    assert found(frames, ClipSet(exact, 0, 1)[0].batch["hr"].permute(1, 2, 3, 0).numpy()) == (0, 0, 0)
    one = replace(exact, frames=1, degradation="realbasicvsr")
    assert ClipSet(one, 0, 1)[0].batch["lr"].shape == (3, 1, 16, 16)


def test_only_the_named_part_of_a_file_is_used(tmp_path, footage):
    rows = [{"file_name": str(footage / "0.mp4"), "start": 4, "frames": 6}]
    clips = ClipSet(replace(CONFIG, manifest=manifest(tmp_path, rows)), 0, 1)
    with VideoReader(footage / "0.mp4") as video:
        frames = np.stack(list(video))
    starts = {found(frames, clips[n].batch["hr"].permute(1, 2, 3, 0).numpy())[0] for n in range(12)}
    assert starts == {4, 5}


@pytest.mark.timeout(60)
def test_workers_begin_where_opencv_has_threads(config):
    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        cv2.resize(np.zeros((2000, 2000, 3), np.float32), (3000, 3000), interpolation=cv2.INTER_CUBIC)  # starts them
        assert len(single(ClipSet(replace(config, workers=1), 0, 1).batches([range(1)]))) == 1
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("workers", [0, 2])
def test_useless_clips_are_passed_over_and_told_of_once(tmp_path, footage, monkeypatch, workers):
    damage(film(tmp_path / "broken.mkv", codec="mpeg4"))
    film(tmp_path / "small.mp4", size=(64, 64))
    film(tmp_path / "short.mp4", frames=4)
    names = ["broken.mkv", "small.mp4", "short.mp4", *(str(footage / f"{i}.mp4") for i in range(6))]
    config = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": n} for n in names]), max_corrupt=0.2)
    # which reads frames around a crop, too, and so always some that are broken
    clips = ClipSet(replace(config, degradation="light", workers=workers), 0, 1)
    warnings = []
    monkeypatch.setattr(logger, "warning", lambda message, *values: warnings.append(message % values))
    samples = single(clips.batches(range(n, n + 1) for n in range(36)))
    assert len(samples) == 36 and len(warnings) == 3
    for name in (
        "broken.mkv",
        "small.mp4: 64x64 is too small for 96x64",
        "short.mp4: too few frames from 0 on: 4, wanted 5",
    ):
        assert sum(name in line for line in warnings) == 1
    for number in range(9):  # the next one in the order of the epoch that can be used stands in
        useless = {0, 2} if clips.bucket_of(number) == 0 else {0, 1, 2}
        clip = next(c for c in clips.candidates(number) if c not in useless)
        with VideoReader(tmp_path / names[clip]) as video:
            found(np.stack(list(video)), samples[number]["hr"].permute(1, 2, 3, 0).numpy())


def test_clips_that_are_folders_of_frames(tmp_path, monkeypatch):
    for i in range(4):
        frames(tmp_path / "clips" / f"{i}", 6, (64, 96), place=9 * i)
    broken = tmp_path / "clips" / "1" / "00000003.png"
    broken.write_bytes(broken.read_bytes()[:-500])
    config = replace(CONFIG, manifest=str(tmp_path / "clips"), buckets=("64x64",), max_corrupt=0.3)
    clips, warnings = ClipSet(config, 0, 1), []
    keys = [clips.fixed_key(clip, 0) for clip in range(4)]
    monkeypatch.setattr(logger, "warning", lambda message, *values: warnings.append(message % values))
    samples = single(clips.batches(range(n, n + 1) for n in range(8)))
    assert len(samples) == 8 and len(warnings) == 1 and f"{broken}: not a picture" in warnings[0]
    for number, sample in enumerate(samples):
        (clip, *_) = (c for c in clips.candidates(number) if c != 1)
        video = np.stack([cv2.imread(str(f))[..., ::-1] for f in sorted((tmp_path / "clips" / str(clip)).iterdir())])
        found(video, sample["hr"].permute(1, 2, 3, 0).numpy())
    assert_same(single(ClipSet(replace(config, workers=2), 0, 1).batches([range(4), range(4, 8)])), samples)
    file = tmp_path / "clips" / "2" / "00000005.png"
    file.write_bytes(file.read_bytes() + b"longer")
    shutil.rmtree(tmp_path / "clips" / "3")
    assert [clips.fixed_key(clip, 0) == keys[clip] for clip in range(3)] == [True, True, False]
    with pytest.raises(InputError, match="clips/3: cannot be read"):
        clips.fixed_key(3, 0)


def test_a_share_of_samples_is_mirrored_before_it_is_degraded(config, tmp_path):
    def samples(flip):
        return single(ClipSet(replace(config, flip=flip), 3, 1).batches(range(n, n + 1) for n in range(12)))

    plain, some, mirrored = samples(0.0), samples(0.5), samples(1.0)
    flipped = [torch.equal(b["hr"], a["hr"].flip(-1)) for a, b in zip(plain, some, strict=True)]
    assert 2 < sum(flipped) < 10
    for a, b, c, is_flipped in zip(plain, some, mirrored, flipped, strict=True):
        assert all(torch.equal(b[name], (c if is_flipped else a)[name]) for name in a)
        assert torch.equal(c["hr"], a["hr"].flip(-1)) and (c["lr"].float() - a["lr"].flip(-1).float()).abs().max() <= 1
    with pytest.raises(InputError, match=r"--clips\.flip: got 0\.5, wanted 0 with --clips\.latents"):
        replace(config, latents=str(tmp_path), flip=0.5)


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_damaged_clips_stop_it(tmp_path, footage, workers):
    damage(film(tmp_path / "broken.mkv", codec="mpeg4"))
    names = ["broken.mkv", *(str(footage / f"{i}.mp4") for i in range(6))]
    config = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": n} for n in names]), workers=workers)
    config = replace(config, degradation="light")
    plan = [range(n, n + 1) for n in range(7)]
    with pytest.raises(
        InputError, match=r"^\S+clips.jsonl: of the clips tried .\d. too many cannot be read: 1,.*broken.mkv"
    ) as error:
        list(ClipSet(replace(config, max_corrupt=0.14), 0, 1).batches(plan))
    assert "\n" not in str(error.value)
    assert len(list(ClipSet(replace(config, max_corrupt=0.15), 0, 1).batches(plan))) == 7


def test_no_clip_of_use_is_an_error(tmp_path):
    film(tmp_path / "small.mp4", size=(32, 64))
    config = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": "small.mp4"}] * 3), max_corrupt=0)
    with pytest.raises(InputError, match=r"none of the clips tried .3. can give.*64x32 is too small for 64x64"):
        list(ClipSet(config, 0, 1).batches([range(1)]))


def embeddings(folder, captions):
    files = {}
    for i, caption in enumerate(captions):
        file = embedding_file(folder, caption_key(caption))
        files.setdefault(file, {})[caption_key(caption)] = torch.full((3 + i, 8), i + 1.0, dtype=torch.bfloat16)
    folder.mkdir(exist_ok=True)
    for file, tensors in files.items():
        save_file(tensors, file)
    return str(folder)


def test_prompts_are_the_captions_or_empty(config, tmp_path):
    captions = ["", *(f"clip {i}" for i in range(6))]
    config = replace(config, embeddings=embeddings(tmp_path / "text", captions), caption_dropout=0.5)
    clips = ClipSet(config, 0, 1)
    seen = []
    for number in range(12):
        prompt = clips[number].batch["prompt"]
        assert prompt.shape == (512, 8) and prompt.dtype == torch.bfloat16
        i = int(prompt[0, 0]) - 1
        assert prompt.any(dim=1).sum() == 3 + i
        assert i == 0 or captions[i] == clips.entries[clips.candidates(number)[0]].caption
        seen.append(i)
    assert 2 < seen.count(0) < 10
    full = ClipSet(replace(config, caption_dropout=0.0), 0, 1)
    assert all(full.caption(n, n % 6) == f"clip {n % 6}" for n in range(20))


def test_where_all_captions_are_dropped_only_the_empty_one_is_read(config, tmp_path):
    config = replace(config, embeddings=embeddings(tmp_path / "text", [""]), caption_dropout=1.0)
    assert config.captions_read(["a", "a"]) == [""] != replace(config, caption_dropout=0.9).captions_read(["a", "a"])
    clips = ClipSet(config, 0, 1)
    assert all(clips.caption(number, 0) == "" for number in range(20))
    assert int(clips[0].batch["prompt"][0, 0]) == 1


def test_there_are_no_more_readers_than_cores(config, monkeypatch, recwarn):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    plan = [range(n, n + 1) for n in range(3)]
    asked = replace(config, workers=3)
    assert (asked.readers, config.readers) == (1, 0)
    assert_same(single(ClipSet(asked, 3, 1).batches(plan)), single(ClipSet(config, 3, 1).batches(plan)))
    assert not recwarn.list  # torch would warn of more


def test_missing_embeddings_are_named_before_training(config, tmp_path):
    folder = embeddings(tmp_path / "text", ["", *(f"clip {i}" for i in range(5))])
    with pytest.raises(InputError, match=r"no embedding of the caption 'clip 5'.*train/precompute\.py"):
        ClipSet(replace(config, embeddings=folder), 0, 1)
    with pytest.raises(InputError, match=r"no embedding of the caption ''.*train/precompute\.py"):
        ClipSet(replace(config, embeddings=str(tmp_path / "nowhere")), 0, 1)
    embedding_file(folder, caption_key("")).write_bytes(b"broken")
    with pytest.raises(InputError, match=r"not a safetensors file.*train/precompute\.py"):
        ClipSet(replace(config, embeddings=folder), 0, 1)


def test_fixed_crops_go_with_their_latents(config, tmp_path):
    (tmp_path / "latents").mkdir()
    config = replace(config, latents=str(tmp_path / "latents"))
    clips = ClipSet(config, 0, 6, latent_size)
    for clip in range(6):
        for bucket, width in enumerate((8, 12)):
            file = tmp_path / "latents" / f"{clips.fixed_key(clip, bucket)}.safetensors"
            save_file({"hr_latents": torch.full((16, 2, 8, width), float(10 * clip + bucket))}, file)
    for number in (0, 5, 6, 12, 18):  # two epochs, or buckets, and again
        sample, clip, bucket = clips[number].batch, clips.candidates(number)[0], clips.bucket_of(number)
        assert torch.equal(sample["hr"], clips.hr_of(clip, bucket))
        assert sample["hr_latents"].shape[0] == 16 and (sample["hr_latents"] == 10 * clip + bucket).all()
    lr = [next(clips[n].batch["lr"] for n in range(k, k + 6) if clips.candidates(n)[0] == 2) for k in (0, 12)]
    assert torch.equal(*lr)
    noisy = ClipSet(replace(config, degradation="light"), 0, 6, latent_size)
    lr = [next(noisy[n].batch["lr"] for n in range(k, k + 6) if clips.candidates(n)[0] == 2) for k in (0, 12)]
    assert not torch.equal(*lr)  # the crop is fixed, what happens to it is not
    file = tmp_path / "latents" / f"{clips.fixed_key(clips.candidates(1)[0], 0)}.safetensors"
    save_file({"hr_latents": torch.full((16, 2, 8, 8), torch.nan)}, file)
    assert f"{file}: hr_latents has values that are not finite; remove that file" in clips[1].error
    save_file({"hr_latents": torch.zeros(16, 2, 8, 12)}, file)
    assert "(16, 2, 8, 12), wanted (channels, *(2, 8, 8))" in clips[1].error
    file.unlink()
    with pytest.raises(
        InputError, match=r"HR latents of .*\.mp4 in 64x64 are not there.*train/precompute\.py"
    ) as error:
        list(ClipSet(replace(config, workers=2), 0, 6, latent_size).batches([range(6)]))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"no such folder.*train/precompute\.py"):
        ClipSet(replace(config, latents=str(tmp_path / "none")), 0, 6)


def test_keys_of_fixed_crops_depend_on_what_the_crop_depends_on(config, tmp_path):
    clips = ClipSet(config, 0, 1)
    (tmp_path / "sharp.yaml").write_text("sharpen: true\n")
    others = [
        ClipSet(config, 1, 1),
        ClipSet(replace(config, frames=9), 0, 1),
        ClipSet(replace(config, degradation=str(tmp_path / "sharp.yaml")), 0, 1),
    ]
    keys = {clips.fixed_key(c, b) for c in range(6) for b in range(2)} | {o.fixed_key(0, 0) for o in others}
    assert len(keys) == 15
    assert ClipSet(replace(config, degradation="light", workers=3), 0, 2).fixed_key(0, 0) == clips.fixed_key(0, 0)
    rows = [{"file_name": str(clips.entries[i].path)} for i in (3, 0)]
    assert ClipSet(replace(config, manifest=manifest(tmp_path, rows)), 0, 1).fixed_key(1, 0) == clips.fixed_key(0, 0)
    file = str(clips.entries[0].path)
    rows = [{"file_name": file}, {"file_name": file, "start": 1}, {"file_name": file, "frames": 9}]
    parts = ClipSet(replace(config, manifest=manifest(tmp_path, rows)), 0, 1)
    assert len({parts.fixed_key(i, 0) for i in range(3)}) == 3
    assert not torch.equal(others[0].hr_of(0, 0), clips.hr_of(0, 0))
    assert not torch.equal(others[2].hr_of(0, 0), clips.hr_of(0, 0))
    with pytest.raises(UnfitError):
        ClipSet(replace(config, frames=25), 0, 1).hr_of(0, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", 0), ("buckets", ()), ("buckets", ("832x481",)), ("buckets", ("832",)), ("buckets", ("0x32",)),
        ("scale", 3), ("degradation", "worse"), ("caption_dropout", 1.5), ("workers", -1), ("max_corrupt", 2.0), ("flip", 1.5),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(field, value):
    with pytest.raises(InputError, match="preset" if field == "degradation" else f"--clips.{field.replace('_', '-')}"):
        ClipsConfig(**{field: value})


def test_settings_go_through_a_recipe(tmp_path):
    dump(CONFIG, tmp_path / "clips.yaml")
    assert parse(ClipsConfig, [str(tmp_path / "clips.yaml")], "test") == CONFIG
    assert CONFIG.sizes == [(64, 64), (64, 96)]
    assert ClipsConfig().sizes[0] == (480, 832) and len(ClipsConfig().sizes) == 8


def test_whoever_reads_clips_imports_no_model_library():
    code = "import realis.data.clips, realis.data.held_out, sys; print(sorted({'diffusers', 'transformers', 'accelerate'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
