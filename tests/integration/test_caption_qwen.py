"""Qwen2.5-VL for real: a tiny random one, written to a folder and opened by the code that opens the 7B."""

import logging
import platform
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from qwen_vl_utils import process_vision_info

from footage import film
from reads import unread_fields
from realis.builder.caption_qwen import QwenCaptioner
from realis.builder.captioner import CaptionsConfig
from realis.builder.captions import captions, read_sample
from realis.builder.clip import Clip, Dropped
from realis.core.errors import InputError, RunError
from realis.video.fingerprint import fingerprint
from tiny_qwen import write_tiny_qwen

OF_SERVERS = ("api_key_file", "budget_requests", "budget_tokens", "requests", "retries", "retry_wait", "timeout", "url")


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory):
    return write_tiny_qwen(tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def config(qwen_folder):
    return CaptionsConfig(
        model=str(qwen_folder), frames=4, max_tokens=8, batch=2, max_pixels=12544, prompt="What is it?"
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    for number, size in enumerate([(96, 128), (128, 96), (96, 160)]):
        film(folder / f"clip{number}.mp4", frames=12, size=size, place=60 * number)
    return folder


@pytest.fixture
def clips():
    return [
        Clip(f"clip{n}", f"video{n}.mp4", file=f"clip{n}.mp4", frames=12, rate=Fraction(25), digest=f"digest{n}")
        for n in range(3)
    ]


@pytest.fixture
def fresh(build, tmp_path):
    """The build without captions."""
    for file in build.glob("*.mp4"):
        (tmp_path / file.name).hardlink_to(file)
    return tmp_path


def by_name(outcomes):
    return {clip.name: outcome for clip, [outcome] in outcomes}


def test_frames_in_text_out_and_nothing_is_captioned_twice(fresh, clips, config, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("realis"), "propagate", True)
    caplog.set_level(logging.INFO, "realis")
    with unread_fields(CaptionsConfig) as unread:
        first = by_name(captions(clips, fresh, config))
    assert unread == {f"CaptionsConfig.{name}" for name in OF_SERVERS}
    assert sorted(first) == ["clip0", "clip1", "clip2"]
    assert all(
        outcome == replace(clip, caption=outcome.caption) for clip, outcome in zip(clips, first.values(), strict=True)
    )
    assert all(len(outcome.caption) > 3 for outcome in first.values())
    assert "captions: 0 cached, 3 asked, 0 failed" in caplog.text

    def load(*_):
        raise AssertionError("the model was loaded though all is known")

    monkeypatch.setattr("realis.builder.caption_qwen.load", load)
    assert by_name(captions(clips, fresh, config)) == first
    assert "captions: 3 cached, 0 asked, 0 failed" in caplog.text
    with pytest.raises(AssertionError, match="loaded"):
        list(captions(clips, fresh, replace(config, prompt="Another one?")))


def test_clips_together_are_captioned_as_one_by_one(build, clips, config):
    captioner = QwenCaptioner(replace(config, batch=3))
    samples = [read_sample(clip, build, config) for clip in clips]
    lengths = {captioner.inputs([sample])["input_ids"].shape[1] for sample in samples}
    alone = [captioner.caption([sample])[0] for sample in samples]
    assert len(lengths) > 1, "without padding the test would show nothing"
    assert len(set(alone)) > 1, "a model that does not look would show nothing"
    assert captioner.caption(samples) == alone


def test_what_it_says_depends_on_the_picture(build, clips, config):
    captioner = QwenCaptioner(config)
    sample = read_sample(clips[0], build, config)
    other = sample._replace(frames=[255 - frame for frame in sample.frames])
    assert captioner.caption([sample]) != captioner.caption([other])


def test_the_model_is_told_how_far_apart_frames_are(build, clips, config):
    captioner = QwenCaptioner(config)
    quick = read_sample(clips[0], build, config)
    slow = quick._replace(rate=quick.rate / 10)
    seconds = captioner.inputs([quick, slow])["second_per_grid_ts"]
    duration = 12 / 25
    assert [float(value) for value in seconds] == pytest.approx([2 * duration / 4, 20 * duration / 4])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="decord has no wheels for other machines")
def test_qwen_vl_utils_reads_videos_by_decord(build):
    """Those given by their path; on a fault of decord it would fall back to torchvision, and say so here."""
    chat = [{"role": "user", "content": [{"type": "video", "video": str(build / "clip0.mp4"), "nframes": 4}]}]
    _, [(frames, metadata)] = process_vision_info(chat, return_video_metadata=True)
    assert metadata["video_backend"] == "decord"
    assert len(frames) == 4


def test_less_memory_means_fewer_clips_at_a_time(build, clips, config, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("realis"), "propagate", True)
    captioner = QwenCaptioner(replace(config, batch=3))
    samples = [read_sample(clip, build, config) for clip in clips]
    wanted = [captioner.caption([sample])[0] for sample in samples]

    def full(_, __, inputs):
        if inputs["input_ids"].shape[0] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    captioner.model.register_forward_pre_hook(full, with_kwargs=True)
    assert captioner.caption(samples) == wanted
    assert captioner.together == 1
    assert "out of GPU memory with 3 clips at a time; going on with 1" in caplog.text


def test_not_even_one_clip_fits(build, clips, config):
    captioner = QwenCaptioner(config)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    captioner.model.register_forward_pre_hook(full)
    with pytest.raises(RunError, match="single clip"):
        captioner.caption([read_sample(clips[0], build, config)])


def test_a_clip_that_cannot_be_read_is_dropped(fresh, clips, config):
    (fresh / "clip1.mp4").unlink()
    (fresh / "clip1.mp4").write_bytes(b"nothing of the kind")
    clips[1] = replace(clips[1], digest=fingerprint(fresh / "clip1.mp4"))  # as it was made, not damaged since
    outcomes = by_name(captions(clips, fresh, config))
    assert isinstance(outcomes["clip1"], Dropped)
    assert outcomes["clip1"].reason == "cannot be read"
    assert outcomes["clip0"].caption and outcomes["clip2"].caption


def test_weights_that_are_no_safetensors_are_not_opened(qwen_folder, tmp_path, config):
    for file in qwen_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        QwenCaptioner(replace(config, model=str(tmp_path)))


def test_another_model_is_refused(tmp_path, config):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match=r"got a llama, wanted a Qwen2\.5-VL"):
        QwenCaptioner(replace(config, model=str(tmp_path)))


def test_weights_that_are_missing_are_refused(qwen_folder, tmp_path, config):
    from safetensors.torch import load_file, save_file

    for file in qwen_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks 1 weight, such as"):
        QwenCaptioner(replace(config, model=str(tmp_path)))


def test_no_gpu_where_one_is_asked_for(config):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="sees no GPU"):
        QwenCaptioner(replace(config, device="cuda"))
