"""Files of every kind through the whole command: times, sound and all other streams come out as they
went in. The files are made on the spot; ``--method bicubic`` at the input's own size changes no pixel."""

import json
from fractions import Fraction
from itertools import accumulate, pairwise

import av
import numpy as np
import pytest

from realis.video.encoding import Encoding
from realis.video.mux import Timeline, join_segments
from videos import RATE, contents, make, packets, pcm, picture, seconds, sound, upscale


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_variable_frame_rate(tmp_path, ending, codec):
    ticks = [0, 100, 133, 150, 151, 400, 433, 466, 500, 900]
    images = [picture(i) for i in range(len(ticks))]
    source = make(tmp_path / "in.mp4", images, "libx264", "yuv420p", ticks, Fraction(1, 1000), Fraction(25))
    output = upscale(source, tmp_path / f"out{ending}", "--codec", codec, target="2x")
    assert seconds(output) == [Fraction(t, 1000) for t in ticks] == seconds(source)
    for i, frame in enumerate(contents(output)):
        assert np.abs(frame.rgb[::2, ::2].astype(int) - images[i]).mean() < 8, i


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("seed", range(4))
def test_any_times_with_b_frames(tmp_path, seed, ending):
    """Packets are in decoding order: its times rise and are never after those of presentation."""
    gaps = np.random.default_rng(seed).choice([1, 2, 33, 40, 41, 1000, 20000], 23).tolist()
    ticks = [0, *accumulate(gaps)]
    parts = [tmp_path / f"{i}.mp4" for i in range(3)]
    for i, part in enumerate(parts):  # closed groups of pictures, as segments are
        Encoding().write_video(part, (48, 64), Fraction(25), [picture(number) for number in range(8 * i, 8 * i + 8)])
    output = tmp_path / f"out{ending}"
    timeline = Timeline(ticks, 40, Fraction(1, 1000)).regular(Fraction(25))
    join_segments(output, parts, Fraction(25), timeline, Fraction(1), None)
    with av.open(str(output)) as container:
        written = [(p.dts, p.pts) for p in container.demux(container.streams.video[0]) if p.size]
    assert all(dts <= pts for dts, pts in written if dts is not None)
    assert all(a[0] < b[0] for a, b in pairwise(written) if a[0] is not None)
    assert written != sorted(written, key=lambda times: times[1])  # there are B-frames
    assert seconds(output) == [Fraction(t, 1000) for t in ticks]


@pytest.mark.parametrize("rate", [RATE, Fraction(30000, 1001), Fraction(25), Fraction(60)])
@pytest.mark.parametrize("inside", [".mkv", ".mp4"])
def test_rates_stay_exact(tmp_path, rate, inside):
    images = [picture(i) for i in range(40)]
    source = make(tmp_path / f"in{inside}", images, "libx264", "yuv420p", rate=rate)
    output = upscale(source, tmp_path / "out.mp4")
    assert seconds(output) == [i / rate for i in range(40)]
    with av.open(str(output)) as container:
        assert container.streams.video[0].average_rate == rate


def test_frames_that_an_edit_list_hides_stay_hidden(tmp_path):
    """A cut without encoding: packets from the key frame on, of which the first are not shown."""
    whole = make(tmp_path / "whole.mp4", [picture(i) for i in range(20)], "libx264", "yuv420p", rate=Fraction(25))
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as container, av.open(str(cut), "w") as copy:
        stream = container.streams.video[0]
        target = copy.add_stream_from_template(stream, opaque=True)
        for packet in container.demux(stream):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - 7 * 512, packet.dts - 7 * 512, target
                copy.mux(packet)
    shown = seconds(cut)
    assert 0 < len(shown) < 20
    output = upscale(cut, tmp_path / "out.mp4")
    assert seconds(output) == shown
    for i, frame in enumerate(contents(output)):
        errors = [np.abs(frame.rgb.astype(int) - picture(7 + j)).mean() for j in range(len(shown))]
        assert int(np.argmin(errors)) == i


def all_streams(container):
    container.metadata["title"] = "A day out"
    container.set_chapters([{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}},
                            {"id": 2, "start": 400, "end": 800, "time_base": Fraction(1, 1000), "metadata": {"title": "Two"}}])  # fmt: skip
    fills = [sound(48000, 0)(container), sound(44100, 1)(container)]
    return lambda: [fill() for fill in fills]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_sound_chapters_and_metadata(tmp_path, ending):
    images = [picture(i) for i in range(20)]
    source = make(tmp_path / "in.mp4", images, "libx264", "yuv420p", rate=Fraction(25), extra=all_streams)
    output = upscale(source, tmp_path / f"out{ending}", target="2x")
    with av.open(str(source)) as before, av.open(str(output)) as after:
        assert after.metadata["title"] == "A day out"
        chapters = [[c["metadata"]["title"] for c in file.chapters()] for file in (before, after)]
        assert chapters[0] == chapters[1] == ["One", "Two"]
        first = [float(seconds(path)[0]) for path in (source, output)]
        starts = [[float(c["start"] * c["time_base"]) for c in file.chapters()] for file in (before, after)]
        # Matroska moves all but chapters to where the first packet, which is of sound, is at 0
        np.testing.assert_allclose(np.array(starts[0]) - first[0], np.array(starts[1]) - first[1], atol=0.025)
        for track in range(2):
            one, other = (file.streams.audio[track] for file in (before, after))
            assert other.rate == one.rate and other.language == one.language
        for track in range(2):
            one, other = (packets(path, track) for path in (source, output))
            assert [content for _, content in one] == [content for _, content in other]
            np.testing.assert_allclose([t for t, _ in one], [t for t, _ in other], atol=0.001)


def test_endings_in_capitals_lose_nothing(tmp_path, capsys):
    images = [picture(i) for i in range(20)]
    source = make(tmp_path / "IN.MP4", images, "libx264", "yuv420p", rate=Fraction(25), extra=all_streams)
    for ending in (".MP4", ".MKV", ".Mov"):
        output = upscale(source, tmp_path / f"OUT{ending}")
        assert "left out" not in capsys.readouterr().err
        with av.open(str(output)) as container:
            assert len(container.streams.audio) == 2 and len(container.chapters()) == 2


def test_matroska_that_starts_late_keeps_its_rate(tmp_path):
    images = [picture(i) for i in range(40)]
    times = [21 + round(i * 1001 / 24) for i in range(40)]  # milliseconds
    source = make(tmp_path / "in.mkv", images, "libx264", "yuv420p", times, Fraction(1, 1000))
    output = upscale(source, tmp_path / "out.mp4")
    assert seconds(output) == [Fraction(21, 1000) + i / RATE for i in range(40)]


def test_a_dropped_frame_stays_dropped(tmp_path):
    ticks = [0, 1, 2, 4, 5, 6]
    source = make(
        tmp_path / "in.mkv", [picture(i) for i in ticks], "libx264", "yuv420p", ticks, Fraction(1, 25), Fraction(25)
    )
    assert seconds(upscale(source, tmp_path / "out.mp4")) == [Fraction(t, 25) for t in ticks]


def retime(path, wrong):
    """Give packets of :func:`pcm` in a .mkv of one cluster, by number, the times ``wrong``, which no muxer would write."""
    data = bytearray(path.read_bytes())
    for number, time in wrong.items():
        content = data.index(np.full(1920, number, np.int16).tobytes())
        data[content - 3 : content - 1] = time.to_bytes(2, "big")  # before them the track, after them flags
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("wrong", [{3: 520}, {3: 480, 4: 500}, {4: 10}, {3: 80, 6: 200}])
def test_sound_of_a_wrong_time_goes_between_its_neighbours(tmp_path, wrong, ending, capsys):
    times = [40 * i for i in range(12)]
    source = make(tmp_path / "in.mkv", [picture(i) for i in range(10)], "libx264", "yuv420p", rate=Fraction(25), extra=pcm(times))  # fmt: skip
    output = upscale(retime(source, wrong), tmp_path / f"out{ending}")
    stands = 6 in wrong and ending == ".mkv"  # time may stand still there
    assert capsys.readouterr().err.count("timestamps that do not rise") == (not stands)
    one, other = (packets(path, 0) for path in (source, output))
    assert b"".join(content for _, content in one) == b"".join(content for _, content in other)
    if ending == ".mkv":  # .mp4 packs samples anew
        wanted = [wrong.get(i, time) if stands else time for i, time in enumerate(times)]
        np.testing.assert_allclose([1000 * t for t, _ in other], wanted, atol=0.01)


def broadcast(path, offset, frames=50):
    """A transport stream with sound whose clock starts at ``offset`` seconds."""
    images = [picture(i % 8) for i in range(frames)]
    source = make(
        path.with_suffix(".0.ts"),
        images,
        "libx264",
        "yuv420p",
        rate=Fraction(25),
        extra=sound(48000, 0, 2 * frames - 8),
    )
    with av.open(str(source)) as container, av.open(str(path), "w", options={"output_ts_offset": str(offset)}) as copy:
        targets = {stream.index: copy.add_stream_from_template(stream, opaque=True) for stream in container.streams}
        for packet in container.demux():
            if packet.dts is not None:
                packet.stream = targets[packet.stream_index]
                copy.mux(packet)
    return path


@pytest.mark.parametrize("offset", [0, 36000])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_clocks_that_start_anywhere_start_at_zero(tmp_path, offset, ending, capsys):
    source = broadcast(tmp_path / "in.ts", offset)
    output = upscale(source, tmp_path / f"out{ending}")
    with av.open(str(source)) as container:
        start = Fraction(container.start_time, 10**6)
    assert start > offset
    np.testing.assert_allclose(
        [float(t) for t in seconds(output)], [float(t - start) for t in seconds(source)], atol=0.0011
    )
    one, other = (packets(path, 0) for path in (source, output))
    np.testing.assert_allclose([t for t, _ in one], [t for t, _ in other], atol=0.0011 if ending == ".mkv" else 2e-5)
    assert "cut short" not in capsys.readouterr().err


def test_time_that_goes_back_is_refused_before_the_work(tmp_path, capsys):
    part = broadcast(tmp_path / "a.ts", 0).read_bytes()
    (tmp_path / "in.ts").write_bytes(part + part)
    for flags in ([], ["--dry-run"], ["--preview"]):
        with pytest.raises(SystemExit):
            upscale(tmp_path / "in.ts", tmp_path / "out.mp4", *flags)
        assert "time goes back from" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("*out*"))


def test_frames_at_one_time_are_set_between_their_neighbours_and_said_once(tmp_path, capsys):
    ticks = [0, 40, 80, 80, 160, 160, 240]
    source = make(tmp_path / "in.mkv", [picture(i) for i in range(7)], times=ticks, time_base=Fraction(1, 1000))
    output = upscale(source, tmp_path / "out.mkv", "--codec", "ffv1")
    assert [round(1000 * t) for t in seconds(output)] == [0, 40, 80, 120, 160, 200, 240]
    assert capsys.readouterr().err.count("has a time that does not rise") == 1
    assert json.loads((tmp_path / "out.mkv.json").read_text())["faults of the input, by frames"] == {"retimed": "3, 5"}


def test_a_whole_clip_of_few_frames_is_not_said_to_be_cut_short(tmp_path, capsys):
    source = make(tmp_path / "in.mkv", [picture(i) for i in range(3)])
    upscale(source, tmp_path / "out.mkv", "--codec", "ffv1")
    assert "cut short" not in capsys.readouterr().err
