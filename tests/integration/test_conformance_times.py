"""Files of every kind through the whole command: times, sound and all other streams come out as they
went in. The files are made on the spot; ``--method bicubic`` at the input's own size changes no pixel."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from videos import RATE, contents, make, packets, picture, seconds, sound, upscale


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
        assert "cannot hold" not in capsys.readouterr().err
        with av.open(str(output)) as container:
            assert len(container.streams.audio) == 2 and len(container.chapters()) == 2


SUBTITLES = "1\n00:00:00,100 --> 00:00:00,300\nHello\n\n2\n00:00:00,400 --> 00:00:00,600\nBye\n"


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_subtitles_are_copied_or_named(tmp_path, ending, capsys):
    (tmp_path / "in.srt").write_text(SUBTITLES)
    make(tmp_path / "film.mkv", [picture(i) for i in range(20)], "libx264", "yuv420p", rate=Fraction(25))
    with (
        av.open(str(tmp_path / "film.mkv")) as film,
        av.open(str(tmp_path / "in.srt")) as text,
        av.open(str(tmp_path / "in.mkv"), "w") as both,
    ):
        targets = [both.add_stream_from_template(container.streams[0], opaque=True) for container in (film, text)]
        for container, target in zip((film, text), targets, strict=True):
            for packet in [p for p in container.demux(container.streams[0]) if p.size]:
                packet.stream = target
                both.mux(packet)
    output = upscale(tmp_path / "in.mkv", tmp_path / f"out{ending}")
    said = capsys.readouterr().err
    with av.open(str(output)) as container:
        if ending == ".mkv":
            texts = [bytes(p) for p in container.demux(container.streams.subtitles[0]) if p.size]
            assert texts == [b"Hello", b"Bye"]
        else:
            assert not container.streams.subtitles
            assert ".mp4 cannot hold stream 1 of the input (subtitle, srt): it is left out" in said


def frames_and_sound(codec):
    """Adds a track of ``codec``."""

    def add(container):
        stream = container.add_stream(codec, rate=48000, layout="stereo")

        def fill():
            wave = np.zeros((1, 2 * 48000), np.int16)
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 0
            for part in av.AudioResampler(stream.codec_context.format, "stereo", 48000, 960).resample(frame):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))

        return fill

    return add


@pytest.mark.parametrize(("codec", "inside", "outside"), [("pcm_s16le", ".avi", ".mp4"), ("pcm_s16le", ".mkv", ".mov"),
                                                          ("flac", ".mkv", ".mov"), ("libopus", ".mkv", ".mov"),
                                                          ("flac", ".mkv", ".mp4")])  # fmt: skip
def test_sound_of_every_kind_is_copied_or_named(tmp_path, codec, inside, outside, capsys):
    images = [picture(i) for i in range(20)]
    source = make(
        tmp_path / f"in{inside}", images, "libx264", "yuv420p", rate=Fraction(25), extra=frames_and_sound(codec)
    )
    output = upscale(source, tmp_path / f"out{outside}")
    said = capsys.readouterr().err
    with av.open(str(output)) as container:
        assert bool(container.streams.audio) != (f"{outside} cannot hold stream 1" in said)


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


def pcm(times):
    """Adds a track of 40 ms of sound at each of ``times``, in milliseconds."""

    def add(container):
        stream = container.add_stream("pcm_s16le", rate=48000, layout="mono")

        def fill():
            for i, time in enumerate(times):
                packet = av.Packet(np.full(1920, i, np.int16).tobytes())
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = time
                container.mux(packet)

        return fill

    return add


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_sound_whose_time_stands_still_is_moved_by_a_tick(tmp_path, ending, capsys):
    images = [picture(i) for i in range(10)]
    times = [0, 40, 80, 80, 160, 200, 200, 280]
    source = make(tmp_path / "in.mkv", images, "libx264", "yuv420p", rate=Fraction(25), extra=pcm(times))
    output = upscale(source, tmp_path / f"out{ending}")
    assert capsys.readouterr().err.count("timestamps that do not rise") == 1
    one, other = (packets(path, 0) for path in (source, output))
    assert b"".join(content for _, content in one) == b"".join(content for _, content in other)
    if ending == ".mkv":  # .mp4 packs samples anew
        np.testing.assert_allclose([t for t, _ in one], [t for t, _ in other], atol=0.0011)


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
