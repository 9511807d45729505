"""Training on footage: manifests, random access, and samples that depend on seed and number alone."""

import csv
import json
import random
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from realis.config import dump, parse
from realis.errors import InputError
from realis.log import logger
from realis.ops.resample import resample
from realis.ops.resize import resize
from realis.training.caption_files import caption_key, embedding_file
from realis.training.clips import ClipSet, UnfitError
from realis.training.clips_config import ClipsConfig
from realis.training.manifest import ClipEntry, read_manifest
from realis.video.excerpt import probe, read_excerpt
from realis.video.photographs import photograph
from realis.video.read import VideoReader

PICTURE = (photograph("astronaut.png").permute(1, 2, 0).numpy() * 255).astype(np.uint8)
CONFIG = ClipsConfig(frames=5, buckets=("64x64", "96x64"), degradation="bi", workers=0)


def film(path, frames=20, size=(128, 160), codec="libx264", fmt="yuv420p", options=None, times=None, place=0):
    """A pan over a photograph; ``times`` in milliseconds."""
    unit = Fraction(1, 1000) if times else Fraction(1, 25)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "8", "bf": "3"} | (options or {}))
        (stream.height, stream.width), stream.pix_fmt = size, fmt
        stream.codec_context.time_base = unit
        for i in range(frames):
            top, left = 2 * i + place, 3 * i + place
            image = np.ascontiguousarray(PICTURE[top : top + size[0], left : left + size[1]])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=fmt)
            frame.pts, frame.time_base = times[i] if times else i, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copy_from(path, packet, early=0):
    """``path`` without its first packets, beginning ``early`` units before time 0 (which gives an edit list)."""
    cut = path.with_name(f"cut_{path.name}")
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(source.streams.video[0]) if p.size]
        packets = packets[packet or [i for i, p in enumerate(packets) if p.is_keyframe][1] :]
        offset = packets[0].pts + early
        for p in packets:
            p.stream, p.pts, p.dts = stream, p.pts - offset, p.dts - offset
            target.mux(p)
    return cut


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 8 : -len(data) // 3] = bytes(len(data) - len(data) // 8 - len(data) // 3)
    path.write_bytes(data)
    return path


KINDS = {
    "b_frames.mp4": {},
    "b_frames.mkv": {},
    "b_frames.ts": {},
    "open_gop.mp4": {"options": {"x264-params": "open-gop=1:scenecut=0"}},
    "edit_list.mp4": {},
    "gradual_refresh.mkv": {"options": {"bf": "0", "x264-params": "intra-refresh=1"}},
    "cut_open_gop.ts": {  # begins with frames that refer to some that are gone
        "codec": "libx265",
        "fmt": "yuv420p10le",
        "options": {"x265-params": "keyint=8:bframes=3:open-gop=1:log-level=none"},
    },
    "high10.mkv": {"fmt": "yuv420p10le"},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "changing_rate.mkv": {"times": np.cumsum(np.tile([20, 33, 40, 80, 17], 4)).tolist()},
    "odd_size.mkv": {"codec": "ffv1", "size": (127, 157)},
    "every_frame_a_key.mp4": {"options": {"g": "1"}},
}


@pytest.mark.parametrize("name", KINDS)
def test_excerpts_are_the_frames_that_are_presented(tmp_path, name):
    path = film(tmp_path / name, **KINDS[name])
    if name == "edit_list.mp4":
        path = copy_from(path, 8, early=3 * 512)
    elif name.startswith("cut"):
        path = copy_from(path, None)
    with VideoReader(path) as video:
        frames = np.stack(list(video))
    facts = probe(path)
    assert (facts.frames, facts.height, facts.width) == frames.shape[:3]
    assert (len(frames) < 20) == (name.startswith("cut") or name == "edit_list.mp4")
    draw = random.Random(0)
    for _ in range(12):
        start, top, left = (draw.randrange(n) for n in frames.shape[:3])
        count, height, width = (draw.randint(1, n - i) for n, i in zip(frames.shape, (start, top, left), strict=False))
        got = read_excerpt(path, start, count, (top, left, height, width))
        wanted = frames[start : start + count, top : top + height, left : left + width]
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_what_lies_before_is_not_decoded(tmp_path, container):
    path = film(tmp_path / f"video.{container}")
    with VideoReader(path) as video:
        frames = np.stack(list(video))
    with av.open(str(path)) as source:
        packet = next(p for p in source.demux(video=0))
        place = packet.pos + packet.size // 2, packet.pos + packet.size - 50
    data = bytearray(path.read_bytes())
    data[slice(*place)] = bytes(place[1] - place[0])
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_excerpt(path, 0, 1, (0, 0, 128, 160))
    np.testing.assert_array_equal(read_excerpt(path, 10, 10, (0, 0, 128, 160)), frames[10:])


def test_files_that_cannot_be_read_are_named(tmp_path):
    broken = damage(film(tmp_path / "broken.mkv", codec="mpeg4"))
    with pytest.raises(InputError, match=r"broken\.mkv"):
        read_excerpt(broken, 0, probe(broken).frames, (0, 0, 8, 8))
    short = film(tmp_path / "short.mp4")
    with pytest.raises(InputError, match=r"5 frames from 16 on.*20 frames of 128x160"):
        read_excerpt(short, 16, 5, (0, 0, 8, 8))
    with pytest.raises(InputError, match=r"8, 100, 128, 64.*of 128x160"):
        read_excerpt(short, 0, 5, (8, 100, 128, 64))
    (tmp_path / "cut_off.mp4").write_bytes(short.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut_off\.mp4"):
        probe(tmp_path / "cut_off.mp4")
    with pytest.raises(InputError, match=r"\.avi: its frames have no presentation times"):
        probe(film(tmp_path / "reordered.avi"))
    (tmp_path / "foreign.mp4").write_bytes(short.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(InputError, match=r"foreign\.mp4: its video codec is not known"):
        probe(tmp_path / "foreign.mp4")


def test_damage_of_a_header_is_no_worse_than_an_input_error(tmp_path):
    """Whatever byte of the codec's settings is wrong: the frames come, or the file is refused."""
    whole = film(tmp_path / "whole.mp4", frames=8).read_bytes()
    settings, refused = whole.index(b"avcC") + 4, 0
    for place in range(settings, settings + 40):
        for value in (0, 0xFF):
            file = tmp_path / f"{place}-{value}.mp4"
            file.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read_excerpt(file, 0, probe(file).frames, (0, 0, 8, 8))
            except InputError:
                refused += 1
    assert refused


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    for i in range(6):
        film(folder / f"{i}.mp4", place=7 * i)
    return folder


def manifest(folder, rows, name="clips.jsonl"):
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows))
    return str(folder / name)


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
    assert all(batch["lr"].shape == batch["hr"].shape for batch in batches)


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
            lr = (torch.from_numpy(lr[: hr.shape[1] // 4, : hr.shape[2] // 4]).clamp(0, 1) * 255).round() / 255
            wanted = (resize(lr.permute(2, 0, 1), hr.shape[1:3]).clamp(0, 1) * 255).round()
            difference = (sample["lr"][:, i].float() - wanted).abs()
            assert difference.max() <= 2 and difference.mean() < 0.03  # where an LR pixel rounds the other way
    assert len(places) > 12


def test_a_clip_of_just_the_right_size_and_length_will_do(tmp_path):
    film(tmp_path / "just.mp4", frames=5, size=(64, 64))
    exact = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": "just.mp4"}]), buckets=("64x64",))
    with VideoReader(tmp_path / "just.mp4") as video:
        frames = np.stack(list(video))
    assert found(frames, ClipSet(exact, 0, 1)[0].batch["hr"].permute(1, 2, 3, 0).numpy()) == (0, 0, 0)
    one = replace(exact, frames=1, degradation="realbasicvsr")
    assert ClipSet(one, 0, 1)[0].batch["lr"].shape == (3, 1, 64, 64)


def test_only_the_named_part_of_a_file_is_used(tmp_path, footage):
    rows = [{"file_name": str(footage / "0.mp4"), "start": 4, "frames": 6}]
    clips = ClipSet(replace(CONFIG, manifest=manifest(tmp_path, rows)), 0, 1)
    with VideoReader(footage / "0.mp4") as video:
        frames = np.stack(list(video))
    starts = {found(frames, clips[n].batch["hr"].permute(1, 2, 3, 0).numpy())[0] for n in range(12)}
    assert starts == {4, 5}


@pytest.mark.parametrize("workers", [0, 2])
def test_useless_clips_are_passed_over_and_told_of_once(tmp_path, footage, monkeypatch, workers):
    damage(film(tmp_path / "broken.mkv", codec="mpeg4"))
    film(tmp_path / "small.mp4", size=(64, 64))
    film(tmp_path / "short.mp4", frames=4)
    names = ["broken.mkv", "small.mp4", "short.mp4", *(str(footage / f"{i}.mp4") for i in range(6))]
    config = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": n} for n in names]), max_corrupt=0.2)
    clips = ClipSet(replace(config, workers=workers), 0, 1)
    warnings = []
    monkeypatch.setattr(logger, "warning", lambda message, *values: warnings.append(message % values))
    samples = single(clips.batches(range(n, n + 1) for n in range(36)))
    assert len(samples) == 36 and len(warnings) == 3
    for name in ("broken.mkv", "small.mp4: 64x64 is too small for 96x64", "short.mp4: 4 frames from 0 on are too few"):
        assert sum(name in line for line in warnings) == 1
    for number in range(9):  # the next one in the order of the epoch that can be used stands in
        useless = {0, 2} if clips.bucket_of(number) == 0 else {0, 1, 2}
        clip = next(c for c in clips.candidates(number) if c not in useless)
        with VideoReader(tmp_path / names[clip]) as video:
            found(np.stack(list(video)), samples[number]["hr"].permute(1, 2, 3, 0).numpy())


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_damaged_clips_stop_it(tmp_path, footage, workers):
    damage(film(tmp_path / "broken.mkv", codec="mpeg4"))
    names = ["broken.mkv", *(str(footage / f"{i}.mp4") for i in range(6))]
    config = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": n} for n in names]), workers=workers)
    plan = [range(n, n + 1) for n in range(7)]
    with pytest.raises(InputError, match=r"^\S+clips.jsonl: 1 of \d clips tried cannot be read.*broken.mkv") as error:
        list(ClipSet(replace(config, max_corrupt=0.14), 0, 1).batches(plan))
    assert "\n" not in str(error.value)
    assert len(list(ClipSet(replace(config, max_corrupt=0.15), 0, 1).batches(plan))) == 7


def test_no_clip_of_use_is_an_error(tmp_path):
    film(tmp_path / "small.mp4", size=(32, 64))
    config = replace(CONFIG, manifest=manifest(tmp_path, [{"file_name": "small.mp4"}] * 3), max_corrupt=0)
    with pytest.raises(InputError, match=r"none of 3 clips in a row.*64x32 is too small for 64x64"):
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
    clips = ClipSet(config, 0, 6)
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
    noisy = ClipSet(replace(config, degradation="light"), 0, 6)
    lr = [next(noisy[n].batch["lr"] for n in range(k, k + 6) if clips.candidates(n)[0] == 2) for k in (0, 12)]
    assert not torch.equal(*lr)  # the crop is fixed, what happens to it is not
    (tmp_path / "latents" / f"{clips.fixed_key(clips.candidates(1)[0], 0)}.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"HR latents of .*\.mp4 in 64x64 are not there.*train/precompute\.py"
    ) as error:
        list(ClipSet(replace(config, workers=2), 0, 6).batches([range(6)]))
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


ROWS = [{"file_name": "a.mp4", "caption": "a, or b", "start": 3, "frames": 9}, {"file_name": "b.mp4", "start": 0}]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "folder"])
def test_forms_of_a_manifest(tmp_path, form):
    for name in "ab":
        (tmp_path / f"{name}.mp4").touch()
    file = tmp_path / ("metadata.csv" if form == "folder" else f"clips.{form}")
    if form == "jsonl":
        manifest(tmp_path, ROWS)
    elif form == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([*ROWS[:1], ROWS[1] | {"frames": None, "caption": None}]), file)
    else:
        with file.open("w", newline="") as text:
            writer = csv.DictWriter(text, list(ROWS[0]), restval="")
            writer.writeheader()
            writer.writerows(ROWS)
    wanted = [ClipEntry(tmp_path / "a.mp4", "a, or b", 3, 9), ClipEntry(tmp_path / "b.mp4")]
    assert read_manifest(str(tmp_path if form == "folder" else file)) == wanted


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("clips.txt", "a.mp4", r"got the ending '\.txt', wanted \.jsonl, \.csv, \.parquet"),
        ("clips.jsonl", "", "got no rows, wanted a file_name a row"),
        ("clips.csv", "file_name\n", "got no rows"),
        ("clips.csv", "video,caption\na.mp4,x\n", r"row 1: file_name: got none \(its columns: video, caption\)"),
        ("clips.csv", "file_name,caption\na.mp4,x\n,y\n", "row 2: file_name: got none"),
        ("clips.jsonl", '{"file_name": "a.mp4"}\n\n{"file_name": 7}', "row 2: file_name: got 7, wanted a path"),
        ("clips.jsonl", '{"file_name": "a.mp4"}\n{"file_name"', "line 2: not JSON"),
        ("clips.jsonl", '["a.mp4"]', "line 1: got list, wanted an object"),
        ("clips.jsonl", '{"file_name": "a.mp4", "start": -1}', "row 1: start: got -1, wanted a whole number, 0 or"),
        ("clips.csv", "file_name,frames\na.mp4,9.5\n", "row 1: frames: got '9.5', wanted a whole number, 1 or more"),
        ("clips.jsonl", '{"file_name": "a.mp4", "frames": true}', "frames: got True"),
        ("clips.jsonl", '{"file_name": "a.mp4", "caption": ["x"]}', "row 1: caption: got .'x'., wanted text"),
        ("clips.csv", "file_name\na.mp4\nb.mp4\nc.mp4\n", r"2 of 3 files that it names are missing, first \S+b\.mp4"),
        ("clips.csv", b"file_name\n\xff\n", "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_one_clear_line(tmp_path, name, text, message):
    (tmp_path / "a.mp4").touch()
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as error:
        read_manifest(str(tmp_path / name))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_a_manifest_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="got nothing there"):
        read_manifest(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match=r"a folder without metadata, wanted one of metadata\.jsonl"):
        read_manifest(str(tmp_path))
    for form in ("csv", "jsonl"):
        (tmp_path / f"metadata.{form}").touch()
    with pytest.raises(InputError, match=r"got metadata\.jsonl and metadata\.csv, wanted one of"):
        read_manifest(str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "clips.parquet").touch()
    with pytest.raises(InputError, match="pip install pyarrow, or write it as JSONL or CSV"):
        read_manifest(str(tmp_path / "clips.parquet"))


def test_a_parquet_file_that_is_none(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "clips.parquet").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"clips\.parquet: not a Parquet file"):
        read_manifest(str(tmp_path / "clips.parquet"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", 48), ("buckets", ()), ("buckets", ("832x481",)), ("buckets", ("832",)), ("buckets", ("0x32",)),
        ("scale", 3), ("degradation", "worse"), ("caption_dropout", 1.5), ("workers", -1), ("max_corrupt", 2.0),
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
