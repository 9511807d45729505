"""Playing as players do: times that rise without moving good ones, what is lost is held, one size."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage import PICTURE, dropping_film, film
from realis.core.errors import InputError
from realis.video.playback import _Decoded, _with_rising_times, play, tick
from realis.video.read import VideoReader
from realis.video.survey import Survey, _Clock, survey

FRAME = av.VideoFrame(16, 16, "yuv420p")


def repaired(times, per_base=1, usual=40):
    return [time for _, time in _with_rising_times((_Decoded(FRAME, time) for time in times), per_base, usual, 0)]


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([0, 40, 80, 120], [0, 40, 80, 120]),
        ([0, 40, 80, 80, 160, 160, 240], [0, 40, 80, 120, 160, 200, 240]),
        ([0, 40, 125, 83, 165, 200], [0, 40, 125, 145, 165, 200]),  # one that goes back
        ([0, 40, 9000, 120, 160, 200], [0, 40, 80, 120, 160, 200]),  # one far ahead moves no other
        ([0, 40, 9000, 9040, 160, 200, 240], [0, 40, 80, 120, 160, 200, 240]),
        ([0, 40, 9000, 9040, 9080, 9120, 240, 280, 320, 360, 400], [*range(0, 401, 40)]),
        ([0, 40, 80, 20], [0, 40, 80, 120]),
        ([None, None], [0, 40]),
        ([None, 40, 80, 120], [0, 40, 80, 120]),
        ([9000, 40, 80, 120], [0, 40, 80, 120]),
        ([0, 40, 80, None], [0, 40, 80, 120]),
        ([0, 0, 0, 40, 80], [0, 13, 26, 40, 80]),  # never before the start
    ],
)
def test_times_that_do_not_rise_are_set_between_their_neighbours(times, wanted):
    assert repaired(times) == wanted


def test_coarse_ticks_have_parts_to_set_frames_to():
    assert repaired([0, 1, 1, 2], per_base=64, usual=64) == [0, 64, 96, 128]


def test_frames_without_any_time_do_not_wait_for_the_end():
    taken = []
    frames = (taken.append(i) or _Decoded(FRAME, None) for i in range(1000))
    assert next(_with_rising_times(frames, 1, 40, 0))[1] == 0 and len(taken) < 50
    assert repaired([None] * 100) == list(range(0, 4000, 40))


@given(
    st.lists(st.integers(2, 100), min_size=12, max_size=40),
    st.integers(1, 4),
    st.integers(0, 30),
    st.one_of(st.none(), st.integers(-(10**6), -(10**4)), st.integers(10**4, 10**6)),
)
def test_a_few_wrong_times_move_no_other_frame(steps, count, place, offset):
    times = np.cumsum(steps).tolist()
    place = 1 + place % (len(times) - 2 * count - 1)
    wrong = range(place, place + count)
    bad = [(None if offset is None else offset + time) if i in wrong else time for i, time in enumerate(times)]
    got = repaired(bad)
    assert all(a < b for a, b in zip(got, got[1:], strict=False))
    assert [got[i] for i in range(len(times)) if i not in wrong] == [t for i, t in enumerate(times) if i not in wrong]


def frames_of(path):
    with VideoReader(path) as reader:
        return [(float(item.time * tick(reader)), item.fault) for item in play(reader)]


def pictures_of(path):
    with VideoReader(path) as reader:
        return [item.frame.to_ndarray() for item in play(reader)]


def avi(path, frames=20, options=None):
    return film(path, frames, options={"bf": "3", "b_strategy": "0"} | (options or {}))


def test_frames_without_times_of_their_own_stand_at_their_number_over_the_rate(tmp_path):
    """AVI keeps none; what libavformat makes of B-frames is up to three frames off."""
    for name in ("a.avi", "a.h264", "a.asf"):
        got = frames_of(avi(tmp_path / name))
        assert [fault for _, fault in got] == [""] * 20
        np.testing.assert_allclose([time for time, _ in got], np.arange(20) / 25, atol=1e-6)


def test_an_avi_that_drops_a_frame_keeps_the_gap(tmp_path):
    dropping_film(tmp_path / "a.avi")
    got = frames_of(tmp_path / "a.avi")
    np.testing.assert_allclose([time for time, _ in got], np.array([0, 1, 2, 3, 7, 8, 9, 10]) / 25, atol=1e-6)


def broken(path, share=0.5, count=300):
    """Overwrite some bytes of a film's data."""
    data = bytearray(path.read_bytes())
    place = int(len(data) * share)
    data[place : place + count] = bytes(count)
    path.write_bytes(data)
    return path


def test_lost_frames_are_held_at_their_own_times(tmp_path):
    path = film(tmp_path / "a.mp4", 60, options={"g": "12"})
    whole, pictures = frames_of(path), pictures_of(path)
    got = frames_of(broken(path))
    assert [time for time, _ in got] == [time for time, _ in whole]
    lost = [number for number, (_, fault) in enumerate(got) if fault == "lost"]
    assert lost and sum(bool(fault) for _, fault in got) < 6
    played = pictures_of(path)
    assert all(np.array_equal(played[number], played[number - 1]) for number in lost)
    for number in (*range(lost[0] - 2), *range(48, 60)):  # the damage is in the group of pictures from 24 or 36 on
        assert np.array_equal(played[number], pictures[number])


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("bad_ones", [[38], [*range(12)]])
def test_damage_at_either_end_costs_no_frame_without_a_word(tmp_path, codec, bad_ones):
    options = {"bf": "3", "g": "12", "x265-params": "log-level=error:keyint=12:open-gop=0"}
    path = film(tmp_path / "a.mkv", 40, codec=codec, options=options)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        stream.time_base = Fraction(1, 25)
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            bad = av.Packet(bytes(packet.size) if number in bad_ones else bytes(packet))
            bad.pts, bad.dts, bad.time_base = packet.pts, packet.dts, packet.time_base
            bad.stream, bad.is_keyframe = stream, packet.is_keyframe
            copy.mux(bad)
    got = frames_of(tmp_path / "b.mp4")
    assert len(got) == 40
    assert len(bad_ones) <= [fault for _, fault in got].count("lost") <= len(bad_ones) + 3  # some lean on those
    with pytest.raises(InputError, match="strict"):
        survey(tmp_path / "b.mp4", strict=True)


@pytest.mark.parametrize("bad", [range(10), range(10, 15), range(33, 36)])
@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_damage_in_a_file_without_times_moves_no_other_frame(tmp_path, bad, b_frames):
    """Each frame of the pan is told by its place."""
    film(tmp_path / "whole.avi", 40, options={"bf": b_frames, "b_strategy": "0", "g": "6", "crf": "4"})
    with av.open(str(tmp_path / "whole.avi")) as source, av.open(str(tmp_path / "a.avi"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for number, old in enumerate(p for p in source.demux(video=0) if p.size):
            packet = av.Packet(bytes(old)[:5] + bytes(old.size - 5) if number in bad else bytes(old))
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, old.is_keyframe
            copy.mux(packet)
    with VideoReader(tmp_path / "a.avi") as reader:
        items = list(play(reader))
        seconds = [float(item.time * tick(reader)) for item in items]
    for item, second in zip(items, seconds, strict=True):
        shown = item.frame.to_ndarray(format="rgb24").astype(int)
        place = min(range(40), key=lambda i: np.abs(shown - PICTURE[2 * i : 2 * i + 128, 3 * i : 3 * i + 160]).mean())
        if not item.fault and round(second * 25) not in range(bad[0] - 6, bad[-1] + 12):
            assert place == round(second * 25)
    assert len(items) == 40


@pytest.mark.parametrize(("ending", "count"), [(".mp4", 300), (".mkv", 300), (".ts", 400), (".ts", 3008)])
def test_no_damage_passes_without_a_word(tmp_path, ending, count):
    """Where packets vanish with the damage (16 of 188 bytes: the counter of MPEG-TS is as before), times have a gap."""
    path = film(tmp_path / f"a{ending}", 60, options={"g": "12"})
    assert survey(path) == Survey(60) and survey(path, strict=True) == Survey(60)
    broken(path, count=count)
    assert survey(path).damage or {fault for _, fault in frames_of(path)} > {""}
    with pytest.raises(InputError, match="strict"):
        survey(path, strict=True)


def shifted(path, seconds):
    """The film of ``path`` as bytes of a transport stream that begins so late."""
    late = path.with_suffix(".late.ts")
    with av.open(str(path)) as source, av.open(str(late), "w", options={"output_ts_offset": str(seconds)}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    return late.read_bytes()


def two_sizes(folder):
    """A transport stream of four frames of 64x64, and four of 96x64."""
    parts = [film(folder / f"{width}.ts", 4, (64, width), "mpeg2video", options={"bf": "0"}) for width in (64, 96)]
    (folder / "a.ts").write_bytes(parts[0].read_bytes() + shifted(parts[1], 0.16))
    return folder / "a.ts"


def test_a_frame_of_another_size_is_scaled_to_the_first(tmp_path):
    with VideoReader(two_sizes(tmp_path)) as reader:
        items = list(play(reader))
    assert {(item.frame.width, item.frame.height) for item in items} == {(64, 64)}
    assert "converted" in {item.fault for item in items[4:]}  # others count as damaged: the stream was put together
    scaled = cv2.resize(PICTURE[6 : 6 + 64, 9 : 9 + 96], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(items[-1].frame.to_ndarray(format="rgb24").astype(int) - scaled).mean() < 12


def test_one_wrong_time_of_decoding_is_no_join():
    clock = _Clock()
    times = [*range(10), 500, *range(10, 20), 3, *range(20, 30)]
    assert [clock.went_back(Fraction(time)) for time in times] == [None] * len(times)
    assert [clock.went_back(Fraction(time)) for time in range(6)] == [None] * 4 + [25, None]


def test_a_whole_film_is_not_refused_for_times_that_its_container_leaves_open(tmp_path):
    for name, codec in (("a.mpg", "mpeg2video"), ("a.asf", "libx264")):
        assert survey(film(tmp_path / name, 60, codec=codec), strict=True).damage == ()


def test_a_file_without_any_frame_is_refused(tmp_path):
    path = film(tmp_path / "a.mp4", 10)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)
    with VideoReader(path) as reader, pytest.raises(InputError, match="no frame in it can be decoded"):
        list(play(reader))
