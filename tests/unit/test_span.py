"""A part of a video: its frames are those of the whole, whatever the file is like."""

from fractions import Fraction

import av
import numpy as np
import pytest

from footage import dropping_film, film, interlaced_film
from realis.core.errors import InputError
from realis.video.random_access import first_needed
from realis.video.source import open_source
from realis.video.span import WHOLE, Span, parse_span, parse_time
from realis.video.survey import survey
from realis.video.timecode import advance_timecode

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90.1", "90.1"), ("1:30", 90), ("90:00", 5400), ("1:02:03.5", "3723.5"), ("0:0:1", 1)],
)
def test_times_as_people_write_them_are_exact(text, seconds):
    assert parse_time(text, "--start") == Fraction(seconds)


@pytest.mark.parametrize(
    "text",
    ["-1", "1:75", "1:60:00", ":30", "1:", "1:2:3:4", "1e3", "9O", "90,5", "inf", " 1", ".", "1:30s", "٣", "9" * 400],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InputError, match=r"--start: got .*, wanted a time"):
        parse_span(text, "")
    with pytest.raises(InputError, match=r"--duration: got .*, wanted a time"):
        parse_span("", text)


def test_a_duration_of_nothing_is_refused_and_none_is_all():
    with pytest.raises(InputError, match="--duration: got 0:00, wanted more than 0"):
        parse_span("5", "0:00")
    assert parse_span("", "") == parse_span("0:00", "") == WHOLE


@pytest.mark.parametrize(
    ("before", "frames", "rate", "after"),
    [
        ("01:00:00:00", 30, Fraction(25), "01:00:01:05"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("00:00:00;00", 17982 * 6, NTSC, "01:00:00;00"),  # a tenth of what an hour's clock shows
        ("00:00:59;59", 1, 2 * NTSC, "00:01:00;04"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
        ("noon", 1, NTSC, "noon"),
        ("00:00:00:00", 1, Fraction(1, 5), "00:00:00:00"),
    ],
)
def test_timecodes_go_on(before, frames, rate, after):
    assert advance_timecode(before, frames, rate) == after


HEVC = {"codec": "libx265", "options": {"x265-params": "keyint=8:bframes=3:log-level=none"}}
IDR, OPEN = {}, {"options": {"x264-params": "open-gop=1:scenecut=0"}}
FILMS = {  # whether all before the part is decoded; a film of 76 frames, with a key frame every 8
    "idr.mp4": (False, IDR),
    "idr.ts": (False, IDR),
    "hevc.mp4": (False, HEVC),
    "hevc.ts": (False, HEVC),
    "open_gop.mp4": (True, OPEN),
    "gradual_refresh.mkv": (True, {"options": {"bf": "0", "x264-params": "intra-refresh=1"}}),
    "vp9.webm": (False, {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}),
    "lossless.nut": (False, {"codec": "ffv1"}),
    "changing_rate.mkv": (False, {"times": np.cumsum(np.tile([20, 33, 40, 80, 17], 16)).tolist()}),
    "b_frames.avi": (True, IDR),
    "dvd.mpg": (True, {"codec": "mpeg2video"}),
}


def check_parts(path, mode="no", clock=0, spans=((0, Fraction(1, 3)), (Fraction(12, 5), Fraction(14, 5)))):
    """Make sure that parts of a film have the frames of the whole; return from which packet on the last is decoded, and
    how many frames it has."""
    with open_source(path, mode) as source:
        whole, tick = list(source.frames()), source.time_base
    for start, stop in spans:
        span = Span(Fraction(start), stop)
        wanted = [frame for frame in whole if span.holds(frame.time * tick - clock)]
        with open_source(path, mode, span) as source:
            part, needed = list(source.frames()), source.reader.first_needed
        assert [frame.time + wanted[0].time for frame in part] == [frame.time for frame in wanted]
        assert [frame.fault for frame in part] == [frame.fault for frame in wanted]
        assert all(np.array_equal(one.rgb, other.rgb) for one, other in zip(part, wanted, strict=True))
    return needed, len(part)


@pytest.mark.parametrize("name", FILMS)
def test_a_part_has_the_frames_of_the_whole(tmp_path, name):
    decodes_all, kind = FILMS[name]
    path = film(tmp_path / name, 76, (48, 64), **kind)
    needed, count = check_parts(path)
    assert decodes_all == (needed == 0)
    assert survey(path, span=Span(Fraction(12, 5), Fraction(14, 5))).frames == count > 0


def copy(path, target, keep=lambda packet: True, move=lambda packet: 0):
    """The packets of a film that are to ``keep``, by their numbers, ``move`` ticks later."""
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.pts = stream, packet.pts + move(number)
            packet.dts += min(move(number), 0)
            if keep(number):
                container.mux(packet)
    return target


def test_a_part_of_a_film_with_an_edit_list_or_without_its_beginning(tmp_path):
    whole = film(tmp_path / "a.mp4", 76, (48, 64))
    assert check_parts(copy(whole, tmp_path / "edited.mp4", move=lambda number: -11 * 512))[0]
    late = film(tmp_path / "late.mkv", 76, (48, 64), times=[36_000_000 + 40 * i for i in range(76)])
    assert check_parts(late, clock=36_000)[0]
    hevc = film(tmp_path / "a.ts", 76, (48, 64), **HEVC)
    cut = copy(hevc, tmp_path / "cut.ts", keep=lambda number: number >= 8)  # frames that lean on those are not shown
    assert check_parts(cut, spans=[(Fraction(12, 5), None)])[0]


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
@pytest.mark.parametrize("bad", [range(3), range(20, 22), range(58, 62)])
def test_a_part_of_a_damaged_film(tmp_path, ending, bad):
    whole, broken = film(tmp_path / f"a{ending}", 76, (48, 64)), tmp_path / f"b{ending}"
    with av.open(str(whole)) as source, av.open(str(broken), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, old in enumerate(p for p in source.demux(video=0) if p.size):
            packet = av.Packet(bytes(old)[:9] + bytes(old.size - 9) if number in bad else bytes(old))
            packet.pts, packet.dts, packet.time_base = old.pts, old.dts, old.time_base
            packet.stream, packet.is_keyframe = stream, old.is_keyframe
            container.mux(packet)
    check_parts(broken)


@pytest.mark.parametrize("mode", ["frame", "field"])
def test_a_part_of_an_interlaced_film(tmp_path, mode):
    check_parts(interlaced_film(tmp_path / "a.mkv", 40, 36), mode)


def test_a_part_of_a_film_with_dropped_frames(tmp_path):
    check_parts(dropping_film(tmp_path / "a.avi"), spans=[(Fraction(1, 10), Fraction(3, 10)), (Fraction(1, 5), None)])


def test_all_is_decoded_where_a_time_before_would_move_others(tmp_path):
    path = film(tmp_path / "a.mp4", 76, (48, 64))
    assert first_needed(path, Fraction(3)) > 16
    wrong = copy(path, tmp_path / "b.mkv", move=lambda number: 300_000 * (number == 12))
    assert first_needed(wrong, Fraction(3)) <= 12
    check_parts(wrong)


def test_a_part_that_has_no_frames_is_refused(tmp_path):
    path = film(tmp_path / "a.mkv", 3, (48, 64), times=[0, 2000, 2040])
    for look in (survey, lambda path, span: open_source(path, span=span).frames().__next__()):
        with pytest.raises(InputError, match=r"--start: got 90 s, but it is 2\.\d+ s long"):
            look(path, span=Span(Fraction(90)))
        with pytest.raises(InputError, match=r"no frame begins between 0\.5 and 1 s"):
            look(path, span=Span(Fraction(1, 2), Fraction(1)))


def test_what_is_wrong_outside_of_a_part_is_not_told(tmp_path):
    path = film(tmp_path / "a.ts", 60, (48, 64))
    copy(path, tmp_path / "b.ts", keep=lambda number: number not in range(24, 32))
    assert survey(tmp_path / "b.ts").damage
    assert survey(tmp_path / "b.ts", strict=True, span=Span(Fraction(0), Fraction(1, 2))).damage == ()
