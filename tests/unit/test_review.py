"""The manual stage without its page: verdicts, who sees which clip, previews, and what is refused."""

import errno
import json
import logging
import multiprocessing
import os
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest

from footage import film
from realis.builder import review as stage
from realis.builder.clip import Clip, Dropped
from realis.builder.review import VERDICTS, ReviewConfig, review, review_sentence
from realis.builder.review_html import card_html, keyword_places
from realis.builder.review_page import TabState
from realis.builder.review_previews import Previews, preview_size
from realis.builder.review_queue import CLAIM, ReviewQueue
from realis.builder.verdicts import DROP, KEEP, UNDO, VerdictFile, decision, opinions, undecided
from realis.core.errors import InputError, RunError
from realis.video.read import VideoReader


def some_clips(count=4):
    return [Clip(f"c{i}", "x.mov", digest=f"{i:08x}") for i in range(count)]


@pytest.fixture
def clips():
    return some_clips()


@pytest.fixture
def file(tmp_path):
    return VerdictFile(tmp_path / VERDICTS)


@pytest.fixture
def log(monkeypatch):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("realis")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def decided(file, clips):
    """What follows for each clip: the verdict and its reason."""
    found = {name: decision(opinion) for name, opinion in opinions(clips, file.read()).items()}
    return {name: (one.verdict, one.reason) for name, one in found.items() if one}


def test_the_last_verdict_that_is_not_undone_counts(file, clips):
    file.add(clips[0], "Ann", KEEP)
    file.add(clips[0], "Ann", DROP, "blurry")
    file.add(clips[1], "Ann", DROP, "noise")
    assert decided(file, clips) == {"c0": ("drop", "blurry"), "c1": ("drop", "noise")}
    file.add(clips[0], "Ann", UNDO)
    file.add(clips[1], "Ann", UNDO)
    file.add(clips[1], "Ann", UNDO)  # one too many
    assert decided(file, clips) == {"c0": ("keep", "")}
    assert [clip.name for clip in undecided(clips, file.read())] == ["c1", "c2", "c3"]


@pytest.mark.parametrize("order", [("Ann", "Bob"), ("Bob", "Ann")])
def test_a_drop_wins_whoever_was_first(file, clips, order):
    says = {"Ann": (KEEP, ""), "Bob": (DROP, "upscaled")}
    for reviewer in order:
        file.add(clips[0], reviewer, *says[reviewer])
    assert decided(file, clips) == {"c0": ("drop", "upscaled")}
    file.add(clips[0], "Ann", UNDO)  # hers, not his
    assert decided(file, clips) == {"c0": ("drop", "upscaled")}
    file.add(clips[0], "Bob", UNDO)
    assert decided(file, clips) == {}


def test_a_clip_that_was_cut_anew_has_no_verdict(file, clips):
    file.add(clips[0], "Ann", KEEP)
    assert undecided([Clip("c0", "x.mov", digest="other")], file.read())


def test_lines_say_who_and_when_and_are_never_changed(file, clips):
    file.add(clips[0], "Änn\n", DROP, "noise")
    before = file.file.read_bytes()
    file.add(clips[0], "Änn\n", UNDO)
    assert file.file.read_bytes().startswith(before)
    row = json.loads(before)
    assert row.pop("time").endswith("+00:00")
    assert row == {"clip": "c0", "digest": "00000000", "reviewer": "Änn\n", "verdict": "drop", "reason": "noise"}


@pytest.mark.parametrize("torn", [b'{"clip": "c1", "dig', b'{"clip"' + b" " * 9000])
@pytest.mark.parametrize("whole", [0, 2])
def test_a_torn_last_line_does_not_count_and_is_repaired(file, clips, torn, whole):
    for clip in clips[:whole]:
        file.add(clip, "Ann", KEEP)
    file.file.parent.mkdir(exist_ok=True)
    with file.file.open("ab") as end:
        end.write(torn)
    assert len(file.read()) == whole
    file.add(clips[3], "Ann", DROP)
    assert [one.clip for one in file.read()] == [*["c0", "c1"][:whole], "c3"]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"clip": "c0"}',
        '{"clip": "c0", "digest": "", "reviewer": "A", "verdict": "?"}',
        "[" * 100_000,
        '{"clip": [], "digest": "", "reviewer": "A", "verdict": "keep"}',
        '{"clip": NaN}',
    ],
)
def test_a_damaged_line_is_named(file, clips, line):
    file.add(clips[0], "Ann", KEEP)
    with file.file.open("a") as end:
        end.write(line + "\n")
    with pytest.raises(InputError, match=r"verdicts\.jsonl, line 2: is no verdict"):
        file.read()


def test_a_full_disk_leaves_the_file_as_it_was(file, clips, monkeypatch):
    file.add(clips[0], "Ann", KEEP)
    before = file.file.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        file.add(clips[1], "Ann", KEEP)
    assert file.file.read_bytes() == before


def write_many(path, reviewer, count):
    for clip in some_clips(count):
        VerdictFile(path).add(clip, reviewer, KEEP)


def test_processes_lose_nothing(file):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(file.file, name, 40)) for name in ("Ann", "Bob", "Eve")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted((one.reviewer, one.clip) for one in file.read()) == sorted(
        (name, f"c{i}") for name in ("Ann", "Bob", "Eve") for i in range(40)
    )


def test_two_sessions_are_given_different_clips(file, clips):
    queue = ReviewQueue(clips, file)
    assert [queue.show("a", "").name, queue.show("b", "").name] == ["c0", "c1"]
    assert queue.decide("a", "Ann", "c0", KEEP).name == "c2"
    assert queue.decide("b", "Bob", "c1", DROP, "noise").name == "c3"
    assert queue.decide("b", "Bob", "c3", KEEP).name == "c2"  # hers, but nothing else waits
    assert queue.decide("a", "Ann", "c2", KEEP).name == "c2"
    progress = queue.progress()
    assert (progress.total, progress.decided, progress.kept, progress.dropped) == (4, 4, 3, 1)


def test_a_claim_ends_when_nothing_is_heard(file, clips):
    now = [0.0]
    queue = ReviewQueue(clips, file, clock=lambda: now[0])
    queue.show("a", "")
    now[0] = CLAIM - 1
    queue.stay("a", "c0")
    now[0] = CLAIM + 1
    assert queue.show("b", "").name == "c1"
    now[0] = 3 * CLAIM
    assert queue.show("c", "").name == "c0"


def test_undo_goes_back_over_the_reviewers_own_verdicts(file, clips):
    queue = ReviewQueue(clips, file)
    queue.decide("a", "Ann", "c0", KEEP)
    queue.decide("b", "Bob", "c1", KEEP)
    queue.decide("a", "Ann", "c2", DROP, "other")
    assert queue.undo("a", "Ann", "c3").name == "c2"
    assert queue.undo("a", "Ann", "c2").name == "c0"
    assert queue.undo("a", "Ann", "c0").name == "c0"  # nothing is left
    assert decided(file, clips) == {"c1": ("keep", "")}
    assert len(file.read()) == 5


def test_arrows_move_over_all_clips_without_a_verdict(file, clips):
    queue = ReviewQueue(clips, file)
    assert [queue.step("a", "c3", 1).name, queue.step("a", "c0", -1).name, queue.step("a", "gone", 1).name] == [
        "c0",
        "c3",
        "c1",
    ]
    assert not file.file.exists()


def test_a_key_pressed_twice_says_nothing_of_the_next_clip(file, clips):
    queue = ReviewQueue(clips, file)
    queue.show("a", "")
    for _ in range(2):  # the browser still shows c0
        queue.decide("a", "Ann", "c0", KEEP)
    assert decided(file, clips) == {"c0": ("keep", "")}


def test_a_clip_that_is_not_there_gets_no_verdict(file, clips):
    assert ReviewQueue(clips, file).decide("a", "Ann", "../c0", KEEP).name == "c0"
    assert not file.file.exists()


def test_all_decided_needs_no_page(tmp_path, file, clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "realis.builder.review_page", raising=False)
    for clip in clips[:3]:
        file.add(clip, "Ann", KEEP)
    file.add(clips[3], "Ann", DROP)
    file.add(clips[1], "Bob", DROP, "wrong caption")
    given = list(review(clips, tmp_path, ReviewConfig()))
    assert given == [
        (clips[0], [clips[0]]), (clips[1], [Dropped("c1", "drop: wrong caption", "drop 1, keep 1")]),
        (clips[2], [clips[2]]), (clips[3], [Dropped("c3", "drop: no reason given", "drop 1, keep 0")]),
    ]  # fmt: skip
    assert (
        review_sentence([clips[0], clips[2]], tmp_path) == "Every clip was looked at and kept by hand, by 1 reviewer."
    )


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "jinja2"])
def test_without_its_packages_one_line_says_what_to_install(tmp_path, clips, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("builder.review_page", "builder.review_html", "serving.app", "serving.limits", "serving.server"):
        monkeypatch.delitem(sys.modules, f"realis.{name}", raising=False)
    with pytest.raises(InputError, match=rf"review: got .*{package}.*, wanted FastAPI.*pip install 'realis\[ui\]'"):
        list(review(clips, tmp_path, ReviewConfig(port=0)))


def test_auto_accept_keeps_and_says_so(tmp_path, file, clips, log):
    file.add(clips[0], "Ann", DROP, "noise")
    file.add(clips[1], "Ann", KEEP)
    given = list(review(clips, tmp_path, ReviewConfig(auto_accept=True)))
    assert [isinstance(outcome, Clip) for _, (outcome,) in given] == [False, True, True, True]
    assert any("REVIEW LEFT OUT: nobody has looked at 2 of 4 clips" in line for line in log)
    sentence = review_sentence(clips[1:], tmp_path)
    assert "**Nobody has looked at 2 of 3 clips**" in sentence
    assert "the other 1" in sentence
    assert len(file.read()) == 2  # what nobody has said is not written down


def test_the_stage_ends_when_nothing_has_come_for_a_while(file, clips, monkeypatch):
    now, says = [0.0], iter([(KEEP, 2), (UNDO, 2), (DROP, 9)])
    file.add(clips[0], "Ann", KEEP)

    def pass_time(_):
        verdict, seconds = next(says)
        file.add(clips[1], "Ann", verdict)
        now[0] += seconds

    monkeypatch.setattr(stage.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(stage.time, "sleep", pass_time)
    with pytest.raises(StopIteration):  # the third verdict starts the wait again
        stage.wait_for_verdicts(ReviewQueue(clips[:2], file), linger=5)
    monkeypatch.setattr(stage.time, "sleep", lambda _: now.__setitem__(0, now[0] + 4))
    verdicts = stage.wait_for_verdicts(ReviewQueue(clips[:2], file), linger=5)
    assert len(verdicts) == 4
    assert now[0] == 13 + 8


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"port": 70000}, {"host": " "}, {"crop": 8}, {"preview": 9999}, {"linger": -1}]
)
def test_nonsense_is_rejected(wrong):
    with pytest.raises(InputError, match=f"--review.{next(iter(wrong))}"):
        ReviewConfig(**wrong)


def test_words_are_marked_where_they_are_asserted():
    caption = "İ Close\u2011up of <b>leaves</b>. No fur, no text; grassy."
    found = [caption[start:stop] for start, stop in keyword_places(caption, ("close-up", "leaves", "fur", "grass"))]
    assert found == ["Close\u2011up", "leaves", "grassy"]
    assert keyword_places(caption, ()) == []
    assert keyword_places("a b-word of one's own", ("b-word",)) == [(2, 8)]


def test_nothing_of_a_clip_becomes_html():
    clip = Clip(
        '"><script>', "x", caption="<script>detailed", keywords=("<i>",), scores={"<b>": 0.5}, height=9, width=9
    )
    html = card_html(clip, 0, 1, {}, 560, "<u>")
    assert "&lt;script&gt;" in html and "<mark>detailed" not in html
    for tag in ("<script>", "<i>", "<b>:", "<th><b>", "<u>"):
        assert tag not in html


def test_a_browsers_state_may_be_anything():
    assert TabState.from_browser(None) == TabState("", "", "")
    state = {"reviewer": " a\nb " + 99 * "x", "clip": 3, "session": 4}
    assert TabState.from_browser(state) == TabState("4", "a b " + 36 * "x", "3")
    assert TabState.from_browser({"reviewer": "a\udcff"}).reviewer == "a?"  # half a pair could not be shown


@pytest.fixture
def previews(tmp_path):
    film(tmp_path / "a.mkv", frames=9, size=(96, 128), codec="ffv1", fmt="bgr0")
    clip = Clip("a", "x", file="a.mkv", digest="9-00a", height=96, width=128, rate=Fraction(25), frames=9)
    lost = Clip("b", "x", file="b.mkv", digest="9-00b", height=96, width=128, rate=Fraction(25), frames=9)
    with Previews(tmp_path / "previews", tmp_path, [clip, lost], 64, 32) as previews:
        yield previews


def test_a_part_is_shown_pixel_for_pixel(previews, tmp_path):
    with VideoReader(tmp_path / "a.mkv") as video:
        middle = list(video)[4]
    still = previews.still("9-00a")
    assert still.number == 4
    assert still.places[0] in {(y, x) for y in range(0, 65, 8) for x in range(0, 97, 8)}
    for asked, at, side in (((5, 7, 99), (5, 7), 32), ((-9, 500, 32), (0, 96), 32), ((5, 120, 16), (5, 112), 16)):
        part = cv2.imdecode(np.frombuffer(previews.part("9-00a", *asked), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.array_equal(part, middle[at[0] : at[0] + side, at[1] : at[1] + side])


def test_the_preview_is_small_made_once_and_whole(previews):
    file = previews.film("9-00a")
    with VideoReader(file) as video:
        assert (video.height, video.width, video.rate, len(list(video))) == (48, 64, 25, 9)
        assert video.stream.codec_context.name == "h264"
    made = file.stat().st_mtime_ns
    assert previews.film("9-00a").stat().st_mtime_ns == made
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert preview_size(2161, 3841, 960) == (540, 960)
    assert preview_size(95, 33, 960) == (96, 32)


def test_the_preview_has_the_colours_of_the_clip(tmp_path):
    film(tmp_path / "a.mkv", frames=2, size=(192, 256), codec="ffv1", fmt="yuv444p", options={"colorspace": "bt709"})
    clip = Clip("a", "x", file="a.mkv", digest="9-00a")
    with Previews(tmp_path, tmp_path, [clip], 128, 32) as previews:
        frames = [next(iter(VideoReader(file))) for file in (clip.path(tmp_path), previews.film("9-00a"))]
    means = [frame.reshape(-1, 3).mean(axis=0) for frame in frames]
    assert np.allclose(*means, atol=1.5)


def test_a_link_out_of_the_previews_is_not_followed(previews, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "previews").mkdir()
    (tmp_path / "previews" / "9-00a-64.mp4").symlink_to(tmp_path / "secret")
    assert previews.film("9-00a").read_bytes() != b"secret"
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_clip_that_cannot_be_read_is_said_so(previews, log):
    with pytest.raises(InputError, match=r"b\.mkv: nothing there"):
        previews.film("9-00b")
    previews.prepare(previews.clips["9-00b"])
    previews.__exit__()
    assert any("no preview" in line for line in log)
    with pytest.raises(KeyError):
        previews.film("../a")
