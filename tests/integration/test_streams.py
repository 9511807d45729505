"""What a source has beside its film comes out as it went in, or is named with the true reason before the work."""

from contextlib import ExitStack
from fractions import Fraction

import av
import numpy as np
import pytest

from realis.video.encoding import Encoding
from realis.video.mux import Timeline, join_segments
from realis.video.other_streams import dropped_streams
from realis.video.riff_sound import NO_CHECKSUMS, name_riff_sound, stand_in
from videos import contents, make, picture, upscale

RATE_25 = Fraction(25)
# codec: file that has it, results that hold it
SOUND = {
    "aac": (".mp4", ".mkv .mp4 .mov"),
    "ac3": (".mkv", ".mkv .mp4 .mov"),
    "adpcm_ima_qt": (".mov", ".mov"),
    "adpcm_ima_wav": (".avi", ".mkv"),
    "adpcm_ms": (".avi", ".mkv"),
    "alac": (".mov", ".mkv .mp4 .mov"),
    "eac3": (".mkv", ".mkv .mp4 .mov"),
    "flac": (".mkv", ".mkv .mp4"),
    "libmp3lame": (".avi", ".mkv .mp4 .mov"),
    "libopus": (".mkv", ".mkv .mp4"),
    "mp2": (".ts", ".mkv .mp4 .mov"),
    "pcm_alaw": (".mov", ".mkv .mov"),
    "pcm_f32le": (".mkv", ".mkv .mp4 .mov"),
    "pcm_mulaw": (".avi", ".mkv .mov"),
    "pcm_s16be": (".mov", ".mkv .mp4 .mov"),
    "pcm_s16le": (".avi", ".mkv .mp4 .mov"),
    "pcm_s24le": (".mkv", ".mkv .mp4 .mov"),
    "vorbis": (".ogg", ".mkv .mp4"),
    "wmav1": (".wmv", ".mkv"),
    "wmav2": (".wmv", ".mkv"),
}


def add_sound(container, codec, language=None):
    """Adds half a second of ``codec`` to ``container``; returns what fills it."""
    stream = container.add_stream(codec, rate=48000, layout="stereo", options={"strict": "-2"})
    stream.codec_context.bit_rate = 128000
    if language:
        stream.metadata["language"] = language

    def fill():
        wave = (8000 * np.sin(np.arange(2 * 24000) / 30)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.start_encoding()  # which opens the encoder
        size = stream.codec_context.frame_size or 1024
        for part in av.AudioResampler(stream.codec_context.format, "stereo", 48000, size).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))

    return fill


def sound_file(path, codec):
    with av.open(str(path), "w") as container:
        add_sound(container, codec)()
    return path


def sound_packets(path, track=0):
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def samples(path):
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """An encoded segment of 16 frames."""
    file = tmp_path_factory.mktemp("part") / "part.mp4"
    Encoding().write_video(file, (48, 64), RATE_25, [picture(i) for i in range(16)])
    return file


def join(part, source, output):
    join_segments(output, [part], RATE_25, Timeline(list(range(16)), 1, 1 / RATE_25), Fraction(1), source)
    return output


@pytest.mark.parametrize("codec", SOUND)
def test_sound_of_every_codec_is_held_or_named(tmp_path, part, codec):
    ending, holding = SOUND[codec]
    source = sound_file(tmp_path / f"in{ending}", codec)
    for ending in (".mkv", ".mp4", ".mov"):
        output = join(part, source, tmp_path / f"out{ending}")
        lines = dropped_streams(source, output, (".mkv", ".mp4", ".mov"))
        with av.open(str(source)) as before, av.open(str(output)) as after:
            assert bool(after.streams.audio) == (ending in holding.split()) == (not lines)
            if not after.streams.audio:
                assert lines[0].endswith(f"{ending} cannot hold this, --output out{holding.split()[0]} would; "
                                         "the result will have no sound")  # fmt: skip
                continue
            one, other = (file.streams.audio[0].codec_context for file in (before, after))
            assert (other.sample_rate, other.channels) == (one.sample_rate, one.channels)
        packed = codec.startswith("pcm") and ending != ".mkv"  # .mp4 packs samples anew
        one, other = sound_packets(source), sound_packets(output)
        assert b"".join(one) == b"".join(other) if packed else one == other
        if codec.startswith(("adpcm", "pcm", "wma")):  # others begin earlier, if players cannot be told to skip that
            np.testing.assert_array_equal(samples(source), samples(output))


def test_sound_with_a_riff_tag_beside_truehd(tmp_path, part):
    """All say TrueHD while they are copied into Matroska; one truly is."""
    source = tmp_path / "in.mkv"
    files = [sound_file(tmp_path / f"{codec}.avi", codec) for codec in ("pcm_mulaw", "adpcm_ms")]
    with ExitStack() as stack, av.open(str(source), "w", options=NO_CHECKSUMS) as container:
        tracks = [stack.enter_context(av.open(str(file))).streams.audio[0] for file in files]
        templates = [stand_in(track, sound_packets(file)[0]) for track, file in zip(tracks, files, strict=True)]
        copies = [container.add_stream_from_template(templates[0], opaque=True)]
        copies.append(container.add_mux_stream("truehd", rate=48000))
        copies.append(container.add_stream_from_template(templates[1], opaque=True))
        packets = sound_packets(files[0]), [bytes(200)] * 9, sound_packets(files[1])
        for copy, content in zip(copies, packets, strict=True):
            for i, data in enumerate(content):
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.pts, packet.dts = copy, Fraction(1, 1000), 40 * i, 40 * i
                container.mux(packet)
    name_riff_sound(source, [True, False, True])
    output = join(part, source, tmp_path / "out.mkv")
    for file in (source, output):
        with av.open(str(file)) as container:
            names = [track.codec_context.name for track in container.streams.audio]
        assert names == ["pcm_mulaw", "truehd", "adpcm_ms"]
    for track in range(3):
        assert sound_packets(output, track) == sound_packets(source, track)


def test_that_there_will_be_no_sound_is_said_once_and_before_the_work(tmp_path, capsys):
    source = make(tmp_path / "in.avi", [picture(i) for i in range(10)], "libx264", "yuv420p",
                  extra=lambda container: add_sound(container, "pcm_mulaw"))  # fmt: skip
    upscale(source, tmp_path / "out.mp4", "--compare", str(tmp_path / "both.mp4"))
    before, after = capsys.readouterr().err.split("realis: plan")
    line = "stream 1 (audio, pcm_mulaw): .mp4 cannot hold this, --output out.mkv would; the result will have no sound"
    assert f"left out: {line}" in before and "left out" not in after


FONT, COVER_SIZE = bytes(range(256)) * 4, (16, 24)
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,300\nHello\n\n2\n00:00:00,400 --> 00:00:00,600\nBye\n"


def cover(codec="mjpeg"):
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = COVER_SIZE
    context.pix_fmt, context.time_base = {"mjpeg": "yuvj420p", "png": "rgb24"}[codec], Fraction(1)
    frame = av.VideoFrame.from_ndarray(picture(3, *COVER_SIZE), format="rgb24")
    return b"".join(bytes(p) for p in (*context.encode(frame.reformat(format=context.pix_fmt)), *context.encode(None)))


@pytest.fixture
def episode(tmp_path):
    """A .mkv with subtitles, a font and a cover."""
    (tmp_path / "in.srt").write_text(SUBTITLES)
    make(tmp_path / "film.mkv", [picture(i) for i in range(16)], "libx264", "yuv420p", rate=RATE_25)
    with (
        av.open(str(tmp_path / "film.mkv")) as film,
        av.open(str(tmp_path / "in.srt")) as text,
        av.open(str(tmp_path / "in.mkv"), "w") as both,
    ):
        targets = [both.add_stream_from_template(container.streams[0], opaque=True) for container in (film, text)]
        targets[1].metadata["language"], targets[1].disposition = "fra", av.stream.Disposition.forced
        both.add_attachment("Font.ttf", "application/x-truetype-font", FONT)
        both.add_attachment("cover.jpg", "image/jpeg", cover())
        for container, target in zip((film, text), targets, strict=True):
            for packet in [p for p in container.demux(container.streams[0]) if p.size]:
                packet.stream = target
                both.mux(packet)
    return tmp_path / "in.mkv"


def covers(path):
    with av.open(str(path)) as container:
        streams = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
        return [bytes(next(container.demux(stream))) for stream in streams]


def test_matroska_keeps_subtitles_fonts_and_covers(tmp_path, episode, capsys):
    output = upscale(episode, tmp_path / "out.mkv")
    assert "left out" not in capsys.readouterr().err
    with av.open(str(output)) as container:
        (subtitles,), (font,) = container.streams.subtitles, container.streams.attachments
        assert [bytes(p) for p in container.demux(subtitles) if p.size] == [b"Hello", b"Bye"]
        assert subtitles.language == "fra" and subtitles.disposition & av.stream.Disposition.forced
        assert (font.name, font.mimetype, font.data) == ("Font.ttf", "application/x-truetype-font", FONT)
    assert covers(output) == [cover()]


def test_a_part_has_the_subtitles_that_are_shown_in_it(tmp_path, episode):
    output = upscale(episode, tmp_path / "out.mkv", "--start", "0.2", "--duration", "0.3")
    with av.open(str(output)) as container:
        (subtitles,), (font,) = container.streams.subtitles, container.streams.attachments
        shown = [(bytes(p), p.pts, p.duration) for p in container.demux(subtitles) if p.size]
        assert shown == [(b"Hello", 0, 100), (b"Bye", 200, 100)]  # of 100 to 300 and 400 to 600 ms
        assert font.data == FONT
    assert covers(output) == [cover()]
    upscale(episode, tmp_path / "other.mkv", "--start", "0.32", "--duration", "0.04")
    with av.open(str(tmp_path / "other.mkv")) as container:
        assert not [p for p in container.demux(container.streams.subtitles[0]) if p.size]


def test_sound_of_coarse_ticks_stays_in_time_in_a_part(tmp_path):
    """In AVI a tick of MP3 is a packet of 24 ms."""
    source = make(tmp_path / "in.avi", [picture(i) for i in range(12)], "libx264", "yuv420p", rate=RATE_25,
                  extra=lambda container: add_sound(container, "libmp3lame"))  # fmt: skip
    output = upscale(source, tmp_path / "out.mkv", "--start", "0.2")
    with av.open(str(output)) as container:
        assert next(container.demux(audio=0)).pts == 9 * 24 - 200
    assert sound_packets(output) == sound_packets(source)[9:]


@pytest.mark.parametrize(("ending", "lost"), [(".mp4", ""), (".mov", ", stream 3 (video, mjpeg)")])
def test_what_other_containers_cannot_hold_is_named_once(tmp_path, episode, ending, lost, capsys):
    output = upscale(episode, tmp_path / f"out{ending}")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert line.endswith(f"left out: stream 1 (subtitle, srt), stream 2 (attachment, Font.ttf){lost}: "
                         f"{ending} cannot hold this, --output out.mkv would")  # fmt: skip
    assert covers(output) == ([] if lost else [cover()])


@pytest.mark.parametrize("codec", ["mjpeg", "png"])
def test_covers_go_from_mp4_to_matroska_and_back(tmp_path, codec):
    ending = {"mjpeg": "jpeg", "png": "png"}[codec]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.add_attachment("picture", f"image/{ending}", cover(codec))
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for i in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        container.mux(stream.encode(None))
    for before, after in (("a.mkv", "b.mp4"), ("b.mp4", "c.mkv"), ("c.mkv", "d.mp4")):
        assert covers(upscale(tmp_path / before, tmp_path / after)) == [cover(codec)]


@pytest.mark.parametrize(("ending", "is_held"), [(".mkv", False), (".mp4", True), (".mov", True)])
def test_subtitles_of_mp4(tmp_path, part, ending, is_held):
    source, text = tmp_path / "in.mp4", b"\x00\x05Hello"
    with av.open(str(source), "w") as container:
        stream = container.add_mux_stream("mov_text")
        stream.metadata["language"] = "eng"
        packet = av.Packet(text)
        packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), 200, 200
        packet.duration = 300
        container.mux(packet)
    with av.open(str(join(part, source, tmp_path / f"out{ending}"))) as container:
        texts = [
            (bytes(p), p.pts * p.time_base)
            for s in container.streams.subtitles
            for p in container.demux(s)
            if p.size > 2
        ]
        assert texts == ([(text, Fraction(1, 5))] if is_held else [])
        assert [s.language for s in container.streams.subtitles] == (["eng"] if is_held else [])
    assert dropped_streams(source, tmp_path / f"out{ending}", (".mkv", ".mp4", ".mov")) == ([] if is_held else [
        "left out: stream 0 (subtitle, mov_text): .mkv cannot hold this, --output out.mp4 would"])  # fmt: skip


def test_ending_that_the_codec_does_not_have_is_not_advised(tmp_path, episode, capsys):
    upscale(episode, tmp_path / "out.mov", "--codec", "prores")
    said = capsys.readouterr().err
    assert ".mov cannot hold this" in said and "--output" not in said


def two_films(path, default):
    """Film 0 shows picture 0, film 1 picture 1; ``default`` is marked."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25, options={"crf": "2"}) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == default else 0
        for number, stream in enumerate(streams):
            for _ in range(8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(8 * number), format="rgb24")))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("default", "film"), [(0, 0), (1, 1), (None, 0)])
def test_of_several_films_the_default_one_is_upscaled(tmp_path, default, film, capsys):
    source = two_films(tmp_path / "in.mkv", default)
    frames = contents(upscale(source, tmp_path / "out.mp4"))
    errors = [np.abs(frames[0].rgb.astype(int) - picture(8 * number)).mean() for number in range(2)]
    assert np.argmin(errors) == film
    said = capsys.readouterr().err
    assert said.count("left out") == 1
    assert f"left out: stream {1 - film} (video, h264): only one video stream is upscaled" in said


@pytest.mark.parametrize(("inside", "language", "in_mov"), [(".mkv", "deu", "ger"), (".mov", "ita", "ita")])
@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".mov"])
def test_tags_of_the_film_and_its_sound_stay_true(tmp_path, inside, language, in_mov, ending, capsys):
    """The timecode is a track of its own in .mov and .mp4, made from the tag."""

    def tag(stream):
        stream.metadata.update({"language": language, "title": "Title", "timecode": "01:00:00:00", "BPS": "123"})

    source = make(tmp_path / f"in{inside}", [picture(i) for i in range(16)], "libx264", "yuv420p", rate=RATE_25, setup=tag,
                  extra=lambda container: add_sound(container, "aac", language))  # fmt: skip
    output = upscale(source, tmp_path / f"out{ending}")
    assert "left out" not in capsys.readouterr().err
    with av.open(str(output)) as container:
        film, sound = container.streams.video[0], container.streams.audio[0]
        tags = {key.lower(): value for key, value in film.metadata.items()}
        assert film.language == sound.language == (in_mov if ending == ".mov" else language)
        assert tags["timecode"] == "01:00:00:00" and "bps" not in tags and "encoder" not in tags
    if inside == ".mkv":
        with av.open(str(upscale(source, tmp_path / f"part{ending}", "--start", "0.4"))) as container:
            tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
            assert tags["timecode"] == "01:00:00:10"


def test_data_tracks_are_named_as_such(tmp_path):
    source = tmp_path / "in.ts"
    with av.open(str(source), "w") as container:
        stream, data = container.add_stream("mpeg2video", rate=25), container.add_data_stream("klv")
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for i in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
            packet = av.Packet(bytes(range(20)))
            packet.stream, packet.time_base, packet.pts, packet.dts = data, 1 / RATE_25, i, i
            container.mux(packet)
        container.mux(stream.encode(None))
    assert dropped_streams(source, tmp_path / "out.mkv", (".mkv",)) == [
        "left out: stream 1 (data, klv): data tracks are not copied"
    ]
