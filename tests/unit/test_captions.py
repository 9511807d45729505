import json
import logging
import threading
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from footage import film
from realis.builder.captioner import CaptionsConfig
from realis.builder.captions import (
    TOO_MANY,
    caption_file,
    captions,
    check_captions,
    hold_back_failures,
    map_in_threads,
    read_caption,
    read_sample,
    write_caption,
)
from realis.builder.clip import Clip, Dropped
from realis.core.errors import InputError, RunError

CONFIG = CaptionsConfig()


def clip(name="a", **known):
    return Clip(name, "video.mp4", **{"frames": 20, "rate": Fraction(25), "digest": f"of {name}"} | known)


def test_given_captions_are_taken_and_clips_without_one_dropped(tmp_path):
    has, lacks = clip("a", caption="A cat."), clip("b", caption="  ")
    (_, [kept]), (_, [dropped]) = captions([has, lacks], tmp_path, CaptionsConfig(by="given"))
    assert kept == has
    assert (dropped.name, dropped.reason) == ("b", "no caption given")


def test_what_is_known_needs_no_model(tmp_path):
    config = CaptionsConfig(model="nowhere/at-all")
    file = caption_file(clip(), tmp_path, config)
    file.parent.mkdir(parents=True)
    write_caption(file, "Ein Käfer \U0001f41e", "m")
    assert list(captions([clip()], tmp_path, config)) == [(clip(), [clip(caption="Ein Käfer \U0001f41e")])]
    assert [one.name for one in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("change", [
    {"by": "endpoint", "url": "http://localhost/v1"}, {"model": "other"}, {"prompt": "What?"}, {"frames": 9},
    {"max_pixels": 20000}, {"max_tokens": 9},
])  # fmt: skip
def test_a_caption_belongs_to_what_it_was_made_from(change, tmp_path):
    file = caption_file(clip(), tmp_path, CONFIG)
    assert caption_file(clip(), tmp_path, replace(CONFIG, **change)) != file
    assert caption_file(clip(digest="else"), tmp_path, CONFIG) != file
    assert caption_file(clip("b", digest="of a"), tmp_path, replace(CONFIG, batch=1, retries=0, timeout=1.0)) == file


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"caption": null}', "[" * 100_000])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=r"x\.json: is damaged .* delete it"):
        read_caption(tmp_path / "x.json")


def test_frames_are_those_in_the_middles_of_equal_parts(tmp_path):
    film(tmp_path / "a.mkv", codec="ffv1", fmt="bgr0", options={"bf": "0"})
    sample = read_sample(clip(file="a.mkv"), tmp_path, replace(CONFIG, frames=5))
    whole = read_sample(clip(file="a.mkv"), tmp_path, replace(CONFIG, frames=99))
    assert len(whole.frames) == 20 and whole.rate == 25
    assert sample.rate == pytest.approx(5 / 0.8)
    assert all(np.array_equal(sample.frames[n], whole.frames[4 * n + 2]) for n in range(5))


def test_frames_are_chosen_by_time_not_by_number(tmp_path):
    times = [10 * n for n in range(10)] + [100 + 90 * n for n in range(10)]  # ten quick ones, then ten slow ones
    film(tmp_path / "a.mkv", codec="ffv1", fmt="bgr0", options={"bf": "0"}, times=times)
    known = clip(file="a.mkv", rate=Fraction(20))  # 20 in one second
    sample = read_sample(known, tmp_path, replace(CONFIG, frames=4))
    shown = [max(n for n in range(20) if times[n] <= due) for due in (125, 375, 625, 875)]
    assert shown == [10, 13, 15, 18]
    film(tmp_path / "b.mkv", codec="ffv1", fmt="bgr0", options={"bf": "0"})
    even = read_sample(clip(file="b.mkv"), tmp_path, replace(CONFIG, frames=20)).frames
    assert all(np.array_equal(frame, even[n]) for frame, n in zip(sample.frames, shown, strict=True))


def test_frames_are_reduced_and_keep_their_shape(tmp_path):
    film(tmp_path / "a.mp4", size=(128, 256))
    small = read_sample(clip(file="a.mp4"), tmp_path, replace(CONFIG, max_pixels=13000))
    height, width = small.frames[0].shape[:2]
    assert 12000 < height * width <= 13000
    assert width / height == pytest.approx(2, rel=0.02)
    assert read_sample(clip(file="a.mp4"), tmp_path, CONFIG).frames[0].shape == (128, 256, 3)


def test_a_file_that_is_shorter_than_known_gives_its_last_frame(tmp_path):
    film(tmp_path / "a.mp4", frames=5)
    assert len(read_sample(clip(file="a.mp4"), tmp_path, replace(CONFIG, frames=4)).frames) == 4


def test_after_an_error_what_is_under_way_is_finished_and_nothing_new_begun():
    begun, release, stopped = [], threading.Event(), threading.Event()

    def make(item):
        begun.append(item)
        if item == 0:
            threading.Timer(0.5, release.set).start()
            raise InputError("stop")
        assert release.wait(20)
        return item

    given = []
    with pytest.raises(InputError, match="stop"):
        for item in map_in_threads(make, iter(range(100)), 3, stopped.set):
            given.append(item)
    assert sorted(given) == [1, 2]
    assert sorted(begun) == [0, 1, 2]
    assert not stopped.is_set()


def test_who_stops_waits_for_nothing_to_be_tried_again():
    stopped = threading.Event()

    def make(item):
        assert item == 0 or stopped.wait(20)
        return item

    outcomes = map_in_threads(make, iter(range(100)), 3, stopped.set)
    assert next(outcomes) == 0
    outcomes.close()
    assert stopped.is_set()


def test_so_many_at_a_time_and_no_more():
    together, most, lock, full = 0, 0, threading.Lock(), threading.Event()

    def make(item):
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
            if together == 3:
                full.set()
        assert full.wait(20)
        with lock:
            together -= 1
        return item

    assert sorted(map_in_threads(make, iter(range(12)), 3, list)) == list(range(12))
    assert most == 3


def test_clips_without_a_caption_are_held_back_until_another_has_one(tmp_path):
    bad = [(tmp_path / str(n), Dropped("", "malformed reply", "x")) for n in range(TOO_MANY)]
    good = (tmp_path / "good", "A cat.")
    lost = (tmp_path / "lost", Dropped("", "cannot be read", "x"))
    assert list(hold_back_failures(iter([*bad[:-1], good, *bad[:-1]]))) == [*bad[:-1], good, *bad[:-1]]
    assert len(list(hold_back_failures(iter([lost] * 50)))) == 50
    answers = hold_back_failures(iter([good, *bad]))
    assert next(answers) == good
    with pytest.raises(InputError, match=f"{TOO_MANY} clips in a row got none.*malformed reply"):
        next(answers)


@pytest.mark.parametrize("wrong", [
    {"frames": 0}, {"max_tokens": 0}, {"batch": 0}, {"requests": 0}, {"retries": -1}, {"budget_requests": -1},
    {"budget_tokens": -1}, {"max_pixels": 100}, {"max_pixels": 10**6}, {"timeout": 0.0}, {"timeout": float("nan")},
    {"retry_wait": -1.0}, {"model": " "}, {"prompt": ""}, {"device": "tpu"},
])  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(InputError, match=f"--captions.{next(iter(wrong)).replace('_', '-')}"):
        CaptionsConfig(**wrong)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://me:secret@host/v1"])
def test_an_endpoint_needs_an_address(url):
    with pytest.raises(InputError, match=r"--captions\.url") as refused:
        CaptionsConfig(by="endpoint", url=url)
    assert "secret" not in str(refused.value)


def test_the_file_of_a_caption_says_which_model_made_it(tmp_path):
    write_caption(tmp_path / "a.json", "A cat.", "some/model")
    assert json.loads((tmp_path / "a.json").read_text()) == {"caption": "A cat.", "model": "some/model"}


def test_where_no_captions_will_come_from_is_said_before_the_work(tmp_path):
    clip = Clip("a", "a.mp4")
    with pytest.raises(InputError, match="got no caption for any video"):
        check_captions([clip], CaptionsConfig(by="given"), False)
    check_captions([clip, replace(clip, caption="A cat")], CaptionsConfig(by="given"), False)
    with pytest.raises(InputError, match="nowhere is not there"):
        check_captions([clip], CaptionsConfig(model=str(tmp_path / "nowhere")), False)
    with pytest.raises(RunError, match=r"--captions.url: http://127.0.0.1:9/v1/chat/completions cannot be reached"):
        check_captions([clip], CaptionsConfig(by="endpoint", url="http://127.0.0.1:9/v1"), False)


BOTH = r"--captions\.by endpoint --captions\.url .*--captions\.by given, of a --source list with a column caption"


class TestTheModelIsLookedUpBeforeTheWork:
    """Of a hub that has a model of 16 GB, of which half is in its cache."""

    @pytest.fixture(autouse=True)
    def _hub(self, monkeypatch, tmp_path):
        files = [SimpleNamespace(rfilename=f"model-{n}.safetensors", size=8 * 10**9) for n in (1, 2)]
        card = SimpleNamespace(rfilename="README.md", size=10**12)
        info = SimpleNamespace(siblings=[*files, card], sha="1f")
        config = SimpleNamespace(model_type="qwen2_5_vl", dtype=torch.bfloat16)
        monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: info)
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache",
                            lambda name, file, revision: "here" if file == "model-2.safetensors" else None)  # fmt: skip
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "not" / "yet"))
        monkeypatch.setattr("transformers.AutoConfig.from_pretrained", lambda *_, **__: config)
        monkeypatch.setattr(logging.getLogger("realis"), "propagate", True)

    def has(self, monkeypatch, disk=10**12, memory=10**12, gpu=False):
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=disk))
        monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": memory}[name])
        monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)

    def test_what_will_be_fetched_is_said(self, monkeypatch, tmp_path, caplog):
        self.has(monkeypatch, gpu=True)
        with caplog.at_level(logging.INFO, "realis"):
            check_captions([], CONFIG, elsewhere=False)
        (said,) = caplog.messages
        assert f"8.0 GB into {tmp_path / 'not' / 'yet'}" in said

    def test_no_room_for_it(self, monkeypatch):
        self.has(monkeypatch, disk=7 * 10**9, gpu=True)
        with pytest.raises(RunError, match=rf"its 8\.0 GB do not fit into .* 7\.0 GB are free.*HF_HOME.*{BOTH}"):
            check_captions([], CONFIG, elsewhere=False)
        check_captions([], CONFIG, elsewhere=True)

    def test_no_gpu(self, monkeypatch, caplog):
        self.has(monkeypatch)
        check_captions([], CONFIG, elsewhere=False)
        assert "with 32.0 GB of memory" in caplog.messages[-1]
        self.has(monkeypatch, memory=16 * 10**9)
        with pytest.raises(InputError, match=rf"takes 32 GB of memory, of which there are 16; .*{BOTH}"):
            check_captions([], CONFIG, elsewhere=False)
        with pytest.raises(InputError, match="got cuda, but torch sees no GPU"):
            check_captions([], replace(CONFIG, device="cuda"), elsewhere=False)

    def test_no_hub(self, monkeypatch):
        def offline(*_, **__):
            raise OSError("no route to host")

        monkeypatch.setattr("huggingface_hub.HfApi.model_info", offline)
        monkeypatch.setattr("transformers.AutoConfig.from_pretrained", offline)
        with pytest.raises(InputError, match=rf"hub does not answer or does not know it.*{BOTH}"):
            check_captions([], CONFIG, elsewhere=False)


def test_a_folder_that_lacks_weights_is_refused_before_the_work(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r": model-2\.safetensors not in "):
        check_captions([], replace(CONFIG, model=str(tmp_path)), elsewhere=False)
