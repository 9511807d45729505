"""Playing as players do: times that rise without moving good ones, what is lost is held, one size."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage import PICTURE, film
from realis.errors import InputError
from realis.video.playback import _Decoded, _rising, play, tick
from realis.video.read import VideoReader
from realis.video.survey import Survey, survey

FRAME = av.VideoFrame(16, 16, "yuv420p")


def repaired(times, parts=1, usual=40):
    return [time for _, time in _rising((_Decoded(FRAME, time) for time in times), parts, usual)]


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([0, 40, 80, 120], [0, 40, 80, 120]),
        ([0, 40, 80, 80, 160, 160, 240], [0, 40, 80, 120, 160, 200, 240]),
        ([0, 40, 125, 83, 165, 200], [0, 40, 125, 145, 165, 200]),  # one that goes back
        ([0, 40, 9000, 120, 160, 200], [0, 40, 80, 120, 160, 200]),  # one far ahead moves no other
        ([0, 40, 9000, 9040, 160, 200, 240], [0, 40, 80, 120, 160, 200, 240]),
        ([None, 40, None, None, 160], [0, 40, 80, 120, 160]),
        ([0, 40, 80, None], [0, 40, 80, 120]),
        ([0, 40, 80, 20], [0, 40, 80, 120]),
        ([None, None], [0, 40]),
        ([0, 1, 1, 2], [0, 1, 2, 3]),  # no tick between them
    ],
)
def test_times_that_do_not_rise_are_set_between_their_neighbours(times, wanted):
    assert repaired(times) == wanted


def test_coarse_ticks_have_parts_to_set_frames_to():
    assert repaired([0, 1, 1, 2], parts=64, usual=64) == [0, 64, 96, 128]


def test_frames_without_any_time_do_not_wait_for_the_end():
    given_up = []
    frames = (given_up.append(i) or _Decoded(FRAME, None) for i in range(1000))
    assert next(_rising(frames, 1, 40))[1] == 0 and len(given_up) < 50
    assert repaired([None] * 100) == list(range(0, 4000, 40))


@given(
    st.lists(st.integers(2, 100), min_size=6, max_size=40),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(-(10**6), 10**6)),
)
def test_one_wrong_time_moves_no_other_frame(steps, place, wrong):
    times = np.cumsum(steps).tolist()
    place *= len(times) // 6
    bad = [*times[:place], wrong, *times[place + 1 :]]
    got = repaired(bad)
    assert all(a < b for a, b in zip(got, got[1:], strict=False))
    is_out = wrong is None or not times[place - 1] < wrong < times[place + 1]
    # two wrong ones beside each other cannot be told from one: a time just beyond its neighbour may take that one's place
    moved = [i for i in range(len(times)) if i != place and got[i] != times[i]]
    assert len(moved) <= (1 if is_out else 0), (bad, got)


def frames_of(path):
    with VideoReader(path) as reader:
        return [(float(item.time * tick(reader)), item.fault) for item in play(reader)]


def avi(path, frames=20, options=None):
    return film(path, frames, options={"bf": "3", "b_strategy": "0"} | (options or {}))


def test_frames_without_times_of_their_own_stand_at_their_number_over_the_rate(tmp_path):
    """AVI keeps none; what libavformat makes of B-frames is up to three frames off."""
    for name in ("a.avi", "a.h264"):
        got = frames_of(avi(tmp_path / name))
        assert [fault for _, fault in got] == [""] * 20
        np.testing.assert_allclose([time for time, _ in got], np.arange(20) / 25, atol=1e-6)


def test_an_avi_that_drops_a_frame_keeps_the_gap(tmp_path):
    """A chunk of no bytes in an AVI holds the frame before it."""
    film(tmp_path / "a.mkv", 8, codec="mpeg4", options={"bf": "0"})
    with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(tmp_path / "a.avi"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number + 3 * (number >= 4)
            copy.mux(packet)
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
    whole = frames_of(path)
    got = frames_of(broken(path))
    assert [time for time, _ in got] == [time for time, _ in whole]
    assert "lost" in {fault for _, fault in got}
    assert sum(bool(fault) for _, fault in got) < 30


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
    assert "resized" in {item.fault for item in items[4:]}  # others count as damaged: the stream was put together
    scaled = cv2.resize(PICTURE[6 : 6 + 64, 9 : 9 + 96], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(items[-1].frame.to_ndarray(format="rgb24").astype(int) - scaled).mean() < 12


def test_a_file_without_any_frame_is_refused(tmp_path):
    path = film(tmp_path / "a.mp4", 10)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)
    with VideoReader(path) as reader, pytest.raises(InputError, match="no frame in it can be decoded"):
        list(play(reader))
