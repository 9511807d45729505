"""Footage is cut at its shots; what is copied decodes to the very frames, and the rest is encoded nearly without loss."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from footage import film, interlaced_film
from realis.builder.clip import Clip, Dropped
from realis.builder.cut import copy_part, encode_part, part_to_copy
from realis.builder.scenes import ScenesConfig, choose_evenly, clip_ranges, decodes_to, detect_cuts, scenes
from realis.video.read import VideoReader

CONFIG = ScenesConfig(least=9, most=30, per_video=10)


def images(path):
    with VideoReader(path) as video:
        return [image.astype(int) for image in video]


@pytest.mark.parametrize(("codec", "fmt"), [("libx264", "yuv420p"), ("libx265", "yuv420p10le"), ("ffv1", "yuv422p")])
def test_a_copy_is_exact(tmp_path, codec, fmt):
    path = film(
        tmp_path / "in.mkv",
        frames=40,
        codec=codec,
        fmt=fmt,
        options={"x265-params": "log-level=error:keyint=8:open-gop=0"},
    )
    _, sums = detect_cuts(path, CONFIG)
    start, stop = part_to_copy(path, 5, 36, least=9)
    copy = copy_part(path, tmp_path / "copy", start, stop)
    assert stop - start >= 9 and start >= 5 and stop <= 36
    assert decodes_to(copy, sums[start:stop])
    assert not decodes_to(copy, sums[start + 1 : stop + 1])


def test_nothing_can_be_copied_between_key_frames(tmp_path):
    path = film(tmp_path / "in.mp4", frames=40, options={"g": "100"})
    assert part_to_copy(path, 5, 36, least=9) is None


def test_open_groups_are_not_copied(tmp_path):
    path = film(tmp_path / "in.mp4", frames=60, options={"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"})
    _, sums = detect_cuts(path, CONFIG)
    start, stop = part_to_copy(path, 5, 60, least=9)
    assert decodes_to(copy_part(path, tmp_path / "copy", start, stop), sums[start:stop])


@pytest.mark.parametrize("fmt", ["yuv420p", "yuv420p10le", "bgr0"])
def test_what_is_encoded_again_looks_the_same(tmp_path, fmt):
    codec = {"yuv420p": "libx264", "yuv420p10le": "libx265", "bgr0": "ffv1"}[fmt]
    path = film(tmp_path / "in.mkv", frames=20, codec=codec, fmt=fmt)
    out = encode_part(path, tmp_path / "part", 3, 15, crf=8)
    before, after = images(path)[3:15], images(out)
    assert len(before) == len(after)
    assert max(np.abs(a - b).mean() for a, b in zip(before, after, strict=True)) < 1.5
    assert encode_part(path, tmp_path / "again", 3, 15, crf=8).read_bytes() == out.read_bytes()
    with av.open(str(out)) as video:  # x265 encodes B-frames now this way and now that
        assert fmt == "yuv420p" or PictureType.B not in {PictureType(f.pict_type) for f in video.decode(video=0)}


@pytest.mark.parametrize("start", range(18, 27))
@pytest.mark.parametrize("ending", [".mp4", ".ts"])
def test_what_is_encoded_again_is_whole(tmp_path, start, ending):
    """Also where it begins between an open group's key frame and the frames that lean on the group before."""
    path = film(
        tmp_path / f"in{ending}", frames=60, options={"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
    )
    before, after = images(path), images(encode_part(path, tmp_path / "part", start, start + 20, crf=8))
    assert len(after) == 20
    assert max(np.abs(a - b).mean() for a, b in zip(before[start:], after, strict=False)) < 1.5


def test_transport_streams_are_cut_too(tmp_path):
    path = film(tmp_path / "in.ts", frames=40)
    (clip,) = scenes(Clip("in", str(path)), tmp_path, ScenesConfig(least=9, most=60))
    assert len(images(clip.path(tmp_path))) == clip.frames >= 9


def test_short_shots_hide_no_cut(tmp_path):
    """A cut soon after another one, or after the beginning, ends a shot too."""
    path = tmp_path / "in.mp4"
    make_shots(path, (8, 20, 5, 20))
    assert detect_cuts(path, CONFIG)[0] == [8, 28, 33]


def test_footage_is_cut_where_the_picture_changes(tmp_path):
    path = tmp_path / "in.mp4"
    make_shots(path, (20, 20))
    outcomes = list(scenes(Clip("two", str(path)), tmp_path, CONFIG))
    clips = [one for one in outcomes if isinstance(one, Clip)]
    assert not [one for one in outcomes if isinstance(one, Dropped)]
    assert {clip.name for clip in clips} == {Path(clip.file).stem for clip in clips}
    assert len(clips) == 2 and clips[0].start + clips[0].frames <= 20 - 2 and clips[1].start >= 20 + 2
    for clip in clips:
        assert len(images(clip.path(tmp_path))) == clip.frames and clip.video == str(path) and clip.digest
    again = list(scenes(Clip("two", str(path)), tmp_path, CONFIG))
    assert again == outcomes


def make_shots(path, lengths):
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "6", "crf": "12"})
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for number, length in enumerate(lengths):
            shot = rng.integers(0, 255, (96, 160, 3), dtype=np.uint8) // 4 + 150 * (number % 2)
            for i in range(length):
                image = np.ascontiguousarray(shot[:, i : i + 128]).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def test_shots_become_equal_pieces():
    assert list(clip_ranges([60], 420, ScenesConfig())) == [(0, 58), (62, 181), (181, 300), (300, 420)]
    assert list(clip_ranges([], 40, ScenesConfig())) == []
    ranges = [(10 * i, 10 * i + 9) for i in range(10)]
    assert choose_evenly(ranges, 20) == ranges and choose_evenly(ranges, 2) == [ranges[2], ranges[7]]


def test_frames_that_a_decoder_mends_are_damage(tmp_path):
    """A wrong bit is concealed, so that the file plays on."""
    path = film(tmp_path / "in.mp4", frames=40)
    assert all(isinstance(one, Clip) for one in scenes(Clip("a", str(path)), tmp_path, CONFIG))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    assert [one.reason for one in scenes(Clip("a", str(path)), tmp_path, CONFIG)] == ["damaged"]


def test_frames_that_cannot_be_decoded_are_damage(tmp_path):
    """A key frame of HEVC is gone: those that lean on it are left out without a word, and all numbers behind are others."""
    options = {"x265-params": "keyint=12:min-keyint=12:open-gop=0:log-level=error"}
    path = film(tmp_path / "whole.mkv", frames=48, codec="libx265", options=options)
    with av.open(str(path)) as whole, av.open(str(tmp_path / "lossy.mkv"), "w") as lossy:
        stream = lossy.add_stream_from_template(whole.streams.video[0])
        keys = 0
        for packet in whole.demux(whole.streams.video[0]):
            keys += packet.is_keyframe
            if packet.size and not (packet.is_keyframe and keys == 2):
                packet.stream = stream
                lossy.mux(packet)
    assert all(isinstance(one, Clip) for one in scenes(Clip("a", str(path)), tmp_path, CONFIG))
    (dropped,) = scenes(Clip("b", str(tmp_path / "lossy.mkv")), tmp_path, CONFIG)
    assert dropped.reason == "damaged" and "of its 47 frames some in the middle" in dropped.detail


@pytest.mark.parametrize("fmt", ["yuv420p", "yuv444p"])
def test_sides_may_be_odd(tmp_path, fmt):
    path = film(tmp_path / "in.mkv", frames=20, size=(65, 97), codec="ffv1", fmt=fmt)
    clips = list(scenes(Clip("a", str(path)), tmp_path, CONFIG))
    assert [(clip.height, clip.width, clip.frames) for clip in clips] == [(65, 97, 20)]


def test_what_nothing_can_encode_is_dropped(tmp_path):
    path = film(tmp_path / "in.avi", frames=20, codec="rawvideo", fmt="uyvy422")
    (dropped,) = scenes(Clip("a", str(path)), tmp_path, CONFIG)
    assert isinstance(dropped, Dropped) and "uyvy422" in dropped.detail


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_recording_that_was_cut_off_is_used_up_to_there(tmp_path, codec):
    options = {"x265-params": "keyint=12:log-level=error", "bf": "0", "g": "12"}
    path = film(tmp_path / "whole.ts", frames=48, codec=codec, options=options)
    content = path.read_bytes()
    (tmp_path / "cut.ts").write_bytes(content[: len(content) * 97 // 100])
    clips = list(scenes(Clip("a", str(tmp_path / "cut.ts")), tmp_path, CONFIG))
    assert all(isinstance(one, Clip) for one in clips), clips
    assert 40 <= sum(one.frames for one in clips) <= 48


@pytest.mark.parametrize("progressive", [0, 6])
def test_a_video_with_frames_of_two_fields_is_dropped(tmp_path, progressive):
    path = interlaced_film(tmp_path / "in.mkv", progressive)
    (dropped,) = scenes(Clip("in", str(path)), tmp_path, CONFIG)
    assert isinstance(dropped, Dropped) and dropped.reason == "interlaced"
    assert f"frame {progressive} is two fields" in dropped.detail
