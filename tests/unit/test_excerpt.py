"""Random access to a video: the frames that are presented, whatever the file is like."""

import random

import av
import cv2
import numpy as np
import pytest

from footage import PICTURE, damage, film, frames
from realis.core.errors import InputError
from realis.video.excerpt import read_excerpt, read_facts
from realis.video.read import VideoReader
from realis.video.source import open_source
from videos import make, picture


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
    facts = read_facts(path)
    assert (facts.frames, facts.height, facts.width) == frames.shape[:3]
    assert (len(frames) < 20) == (name.startswith("cut") or name == "edit_list.mp4")
    draw = random.Random(0)
    for _ in range(12):
        start, top, left = (draw.randrange(n) for n in frames.shape[:3])
        count, height, width = (draw.randint(1, n - i) for n, i in zip(frames.shape, (start, top, left), strict=False))
        got = read_excerpt(path, start, count, (top, left, height, width))
        wanted = frames[start : start + count, top : top + height, left : left + width]
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_turned_footage_is_upright_as_at_inference(tmp_path, turn):
    path = make(tmp_path / "phone.mp4", [picture(i) for i in range(5)], "libx264", "yuv420p",
                setup=lambda stream: stream.set_display_rotation(turn))  # fmt: skip
    with open_source(path) as source:
        frames = np.stack([frame.rgb for frame in source.frames()])
    facts = read_facts(path)
    assert (facts.frames, facts.height, facts.width) == frames.shape[:3]
    for top, left, height, width in [(0, 0, *frames.shape[1:3]), (3, 5, 17, 9), (20, 30, 11, 14), (7, 2, 1, 40)]:
        got = read_excerpt(path, 1, 3, (top, left, height, width))
        np.testing.assert_array_equal(got, frames[1:4, top : top + height, left : left + width])
    with pytest.raises(InputError, match=f"of {facts.height}x{facts.width}"):
        read_excerpt(path, 0, 1, (0, 0, facts.width + 1, facts.height + 1))


def test_mirrored_footage_is_refused_as_at_inference(tmp_path):
    path = make(tmp_path / "mirrored.mp4", [picture(0)], "libx264", "yuv420p",
                setup=lambda stream: stream.set_display_rotation(90, hflip=True))  # fmt: skip
    with pytest.raises(InputError, match=r"mirrored\.mp4: is to be shown mirrored"):
        read_facts(path)


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
        read_excerpt(broken, 0, read_facts(broken).frames, (0, 0, 8, 8))
    short = film(tmp_path / "short.mp4")
    with pytest.raises(InputError, match=r"5 frames from 16 on.*20 frames of 128x160"):
        read_excerpt(short, 16, 5, (0, 0, 8, 8))
    with pytest.raises(InputError, match=r"8, 100, 128, 64.*of 128x160"):
        read_excerpt(short, 0, 5, (8, 100, 128, 64))
    (tmp_path / "cut_off.mp4").write_bytes(short.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut_off\.mp4"):
        read_facts(tmp_path / "cut_off.mp4")
    with pytest.raises(InputError, match=r"\.avi: its frames have no presentation times"):
        read_facts(film(tmp_path / "reordered.avi"))
    (tmp_path / "foreign.mp4").write_bytes(short.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(InputError, match=r"foreign\.mp4: its video codec is not known"):
        read_facts(tmp_path / "foreign.mp4")


def test_damage_of_a_header_is_no_worse_than_an_input_error(tmp_path):
    """Whatever byte of the codec's settings is wrong: the frames come, or the file is refused."""
    whole = film(tmp_path / "whole.mp4", frames=8).read_bytes()
    settings, refused = whole.index(b"avcC") + 4, 0
    for place in range(settings, settings + 40):
        for value in (0, 0xFF):
            file = tmp_path / f"{place}-{value}.mp4"
            file.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read_excerpt(file, 0, read_facts(file).frames, (0, 0, 8, 8))
            except InputError:
                refused += 1
    assert refused


def test_excerpts_of_a_folder_of_frames_read_no_others(tmp_path):
    folder = frames(tmp_path / "clip", 12, (64, 48), name="{}.png")  # 10.png comes after 9.png
    facts = read_facts(folder)
    assert (facts.frames, facts.height, facts.width) == (12, 64, 48)
    for i in (3, 8, 11):
        (folder / f"{i}.png").write_bytes(b"broken")
    excerpt = read_excerpt(folder, 9, 2, (5, 7, 20, 30))
    wanted = np.stack([PICTURE[2 * i : 2 * i + 64, 3 * i : 3 * i + 48][5:25, 7:37] for i in (9, 10)])
    assert excerpt.dtype == np.uint8 and (excerpt == wanted).all()
    with pytest.raises(InputError, match=r"got 3 frames from 10 on.*wanted a part of 12 frames of 64x48"):
        read_excerpt(folder, 10, 3, (0, 0, 64, 48))


def test_folders_that_cannot_be_read_are_named(tmp_path):
    folder = frames(tmp_path / "clip", 6)
    images = sorted(folder.iterdir())
    read_facts(folder)
    images[1].write_bytes(images[1].read_bytes()[:-500])
    images[2].write_bytes(b"")
    cv2.imwrite(str(images[3]), np.zeros((64, 48, 3), np.uint16))
    cv2.imwrite(str(images[4]), np.zeros((48, 64, 3), np.uint8))
    images[5].unlink()
    faults = ["not a picture", "not a picture", "uint16; wanted an 8-bit", "got 64x48, wanted 48x64", "cannot be read"]
    for i, fault in enumerate(faults, 1):
        with pytest.raises(InputError, match=f"0000000{i}.png: {fault}"):
            read_excerpt(folder, i, 1, (0, 0, 64, 48))
    assert read_excerpt(folder, 0, 1, (0, 0, 64, 48)).shape == (1, 64, 48, 3)
    (tmp_path / "empty").mkdir()
    for name, fault in (("empty", "no frames in it"), ("gone", "nothing there|No such file")):
        with pytest.raises(InputError, match=fault):
            read_facts(tmp_path / name)
    (frames(tmp_path / "twice", 1) / "00000000.jpg").touch()
    with pytest.raises(InputError, match="two pictures are called 00000000; wanted one a frame"):
        read_facts(tmp_path / "twice")
