"""Files of every kind through the whole command: frames, times, size, colour and all other streams come out as they
went in. The files are made on the spot; ``--method bicubic`` at the input's own size changes no pixel."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from PIL import Image

from realis.commands.__main__ import run_upscale
from realis.video.source import open_source

RATE = Fraction(24000, 1001)


def picture(number, height=48, width=64, white=255):
    """A frame that differs from all others, with smooth and sharp parts, brightest at the top left."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    image = np.stack([1 - x, (0.5 + 0.5 * np.sin(9 * x + number / 2)), 1 - y], axis=2)
    image[height // 4 : height // 2, width // 4 + number % 8 : width // 2] *= 0.2
    return (image * white).round().astype(np.uint8 if white == 255 else np.uint16)


def make(path, images, codec="ffv1", form="bgr0", times=None, time_base=None, rate=RATE, tags=(2, 2, 2, 1), setup=None,
         extra=None):  # fmt: skip
    """Write a video; ``extra(container)`` adds other streams and returns a function that fills them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = form
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        context.time_base = time_base or 1 / rate
        if codec == "libx264":
            context.options = {"crf": "2"}
        if setup:
            setup(stream)
        fill = extra(container) if extra else lambda: None
        for i, image in enumerate(images):
            wide = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}
            frame = av.VideoFrame.from_ndarray(image, format=wide[image.itemsize, image.shape[2]])
            frame.pts, frame.time_base = times[i] if times else i, context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        fill()
    return path


def upscale(source, output, *flags, target="1x"):
    run_upscale(["--input", str(source), "--output", str(output), "--target", target, "--method", "bicubic", *flags])
    return output


def contents(path):
    with open_source(path) as source:
        return list(source.frames())


def seconds(path):
    """Presentation times as the container holds them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * frame.time_base for frame in container.decode(stream)]


@pytest.mark.parametrize(("codec", "ending"), [("ffv1", ".mkv"), ("png", "")])
@pytest.mark.parametrize("count", [1, 2, 3, 17])
@pytest.mark.parametrize("size", [(48, 64), (47, 33), (5, 8)])
def test_a_lossless_result_of_the_same_size_is_the_input(tmp_path, codec, ending, count, size):
    images = [picture(i, *size) for i in range(count)]
    source = make(tmp_path / "in.mkv", images)
    frames = contents(upscale(source, tmp_path / f"out{ending}", "--codec", codec))
    assert len(frames) == count
    assert all(np.array_equal(frame.rgb, image) for frame, image in zip(frames, images, strict=True))


@pytest.mark.parametrize(("form", "bits"), [("gbrp10le", 10), ("gbrp12le", 12), ("gbrp16le", 16)])
def test_all_bits_pass(tmp_path, form, bits):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 2**bits, (48, 64, 3))
    source = make(tmp_path / "in.mkv", [np.round(levels / (2**bits - 1) * 65535).astype(np.uint16)], form=form)
    (frame,) = contents(upscale(source, tmp_path / "out.mkv", "--codec", "ffv1"))
    assert np.array_equal(np.round(frame.rgb / frame.white * (2**bits - 1)), levels)


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


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_rotation_is_applied(tmp_path, turn):
    images = [picture(i) for i in range(3)]
    source = make(tmp_path / "in.mp4", images, "libx264", "yuv444p", setup=lambda s: s.set_display_rotation(turn))
    output = upscale(source, tmp_path / "out.mkv", "--codec", "ffv1")
    upright = np.rot90(images[0], turn // 90)
    frames = contents(output)
    assert frames[0].rgb.shape == upright.shape
    assert np.abs(frames[0].rgb.astype(int) - upright).mean() < 4


@pytest.mark.parametrize(("turn", "flips", "what"), [(0, {"vflip": True}, "mirrored"), (0, {"hflip": True}, "mirrored"),
                                                     (90, {"hflip": True}, "mirrored"), (45, {}, "turned by 45")])  # fmt: skip
def test_mirrors_and_other_angles_are_refused(tmp_path, turn, flips, what, capsys):
    def setup(stream):
        stream.set_display_rotation(turn, **flips)

    source = make(tmp_path / "in.mp4", [picture(0)], "libx264", "yuv420p", setup=setup)
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "out.mp4")
    assert f"is to be shown {what}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("target", "size", "aspect"), [("2x", (96, 170), 1), ("170x200", (200, 170), Fraction(25, 12))]
)
def test_pixel_aspect_is_honoured(tmp_path, target, size, aspect):
    """64x48 pixels of 4:3 are 85x48 square ones; a size that would distort the picture is given another pixel aspect."""

    def wide(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    source = make(tmp_path / "in.mp4", [picture(0)], "libx264", "yuv420p", setup=wide)
    output = upscale(source, tmp_path / "out.mp4", target=target)
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == size
        assert abs(Fraction(stream.sample_aspect_ratio or 1) - aspect) < 0.02


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "primaries", "transfer"), [(1, 1, 1), (6, 6, 6), (5, 5, 4), (9, 9, 14), (2, 2, 2)])
@pytest.mark.parametrize(("form", "codec"), [("yuv444p", "h264"), ("yuv444p10le", "h265"), ("yuv420p10le", "prores")])
def test_colours_and_their_tags(tmp_path, full, matrix, primaries, transfer, form, codec):
    """Read by one's own reckoning from what is stored, the colours are those of the input; tags are kept or guessed."""
    color = (0.9, 0.4, 0.15)
    source = tmp_path / "in.mkv"
    bits = 10 if "10" in form else 8
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        frame = av.VideoFrame(64, 48, form)
        for plane, value in zip(frame.planes, ycbcr(color, matrix, full, bits), strict=True):
            kind = np.uint8 if bits == 8 else np.uint16
            row = np.full(plane.line_size // kind().itemsize, round(value), kind)
            plane.update(np.broadcast_to(row, (plane.height, len(row))).tobytes())
        for thing in (stream.codec_context, frame):
            thing.color_primaries, thing.color_trc, thing.colorspace = primaries, transfer, matrix
            thing.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    output = upscale(source, tmp_path / "out.mov", "--codec", codec, target="2x")
    with av.open(str(output)) as container:
        frame = next(container.decode(video=0))
    known = [tag if tag != 2 else guess for tag, guess in ((primaries, 1), (transfer, 1), (matrix, 6))]
    assert [int(t) for t in (frame.color_primaries, frame.color_trc, frame.colorspace)] == known
    assert frame.color_range in (ColorRange.MPEG, 0 if codec == "prores" else 1)
    stored_bits = frame.format.components[0].bits
    wanted = ycbcr(color, known[2], False, stored_bits)
    for plane, value in zip(frame.planes, wanted, strict=True):
        got = np.frombuffer(bytes(plane), np.uint8 if stored_bits == 8 else np.uint16)[: plane.width].mean()
        assert abs(got - value) <= 1.5 * 2 ** (stored_bits - bits if stored_bits > bits else 0) + 0.5


def ycbcr(color, matrix, full, bits):
    """Y, Cb, Cr levels of a colour (ITU-T H.273, equations 25 to 33)."""
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    r, g, b = color
    y = kr * r + (1 - kr - kb) * g + kb * b
    chroma = ((b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr))
    if full:
        return [y * (2**bits - 1), *(c * (2**bits - 1) + 2 ** (bits - 1) for c in chroma)]
    return [(219 * y + 16) * 2 ** (bits - 8), *((224 * c + 128) * 2 ** (bits - 8) for c in chroma)]


@pytest.mark.parametrize("matrix", [8, 10, 14])
def test_colours_that_would_come_out_wrong_are_refused(tmp_path, matrix, capsys):
    source = make(tmp_path / "in.mp4", [picture(0)], "libx264", "yuv420p", tags=(9, 16, matrix, 1))
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "out.mp4")
    assert f"matrix {matrix} of ITU-T H.273" in capsys.readouterr().err.splitlines()[-1]


def test_hdr_keeps_its_tags_and_wants_ten_bits(tmp_path, capsys):
    source = make(tmp_path / "in.mkv", [picture(0, white=65280)], form="yuv420p10le", tags=(9, 16, 9, 1))
    output = upscale(source, tmp_path / "out.mp4")
    with av.open(str(output)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.codec_tag, context.pix_fmt) == ("hevc", "hvc1", "yuv420p10le")
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (9, 16, 9, 1)
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "no.mp4", "--codec", "h264")
    assert "the input is HDR (PQ)" in capsys.readouterr().err.splitlines()[-1]


def sound(rate, track, frames=20):
    """Packets of an AAC track."""

    def add(container):
        stream = container.add_stream("aac", rate=rate)
        stream.metadata["language"] = ("eng", "fra")[track]

        def fill():
            for i in range(frames):
                wave = np.sin(np.arange(1024 * i, 1024 * (i + 1)) * 0.05 * (track + 1))
                frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = rate, 1024 * i
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

        return fill

    return add


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


def packets(path, track):
    """Times from the first frame of the picture on, and contents, of a track's packets."""
    start = float(seconds(path)[0])
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        return [(float(p.pts * p.time_base) - start, bytes(p)) for p in container.demux(stream) if p.size]


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


@pytest.mark.parametrize(("codec", "ending"), [("ffv1", ".mkv"), ("prores", ".mov"), ("png", ".png")])
@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_is_carried(tmp_path, codec, ending, bits):
    white = 2**bits - 1
    alpha = np.linspace(0, white, 64)[None, :, None].repeat(48, 0).round()
    image = np.concatenate([picture(0, white=white), alpha.astype(np.uint8 if bits == 8 else np.uint16)], axis=2)
    source = make(tmp_path / "in.mkv", [image], form="bgra" if bits == 8 else "gbrap16le")
    (frame,) = contents(upscale(source, tmp_path / f"out{ending}", "--codec", codec))
    most = np.iinfo(frame.alpha.dtype).max
    assert np.abs(frame.alpha / most - image[..., 3] / white).max() < (0.004 if codec == "prores" else 1e-6)
    error = np.abs(frame.rgb / frame.white - image[..., :3] / white)
    assert error.mean() < (0.03 if codec == "prores" else 1e-6)


def test_transparency_that_would_be_lost_is_refused(tmp_path, capsys):
    image = np.concatenate([picture(0), np.full((48, 64, 1), 99, np.uint8)], axis=2)
    source = make(tmp_path / "in.mkv", [image], form="bgra")
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "out.mp4")
    assert "h264 has no transparency" in capsys.readouterr().err.splitlines()[-1]
    assert len(contents(upscale(source, tmp_path / "out.mp4", "--drop-alpha"))) == 1
    source = make(tmp_path / "in.webm", [picture(0)], "libvpx-vp9", "yuv420p",
                  setup=lambda stream: stream.metadata.update(alpha_mode="1"))  # fmt: skip
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "out.mov", "--codec", "prores")
    assert "transparency of VP8 or VP9" in capsys.readouterr().err.splitlines()[-1]
    assert len(contents(upscale(source, tmp_path / "out.mp4", "--drop-alpha", "--restart"))) == 1


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_one_image(tmp_path, ending):
    Image.fromarray(picture(0, 47, 63)).save(
        tmp_path / f"in{ending}", **({"lossless": True} if ending == ".webp" else {})
    )
    run_upscale(["--input", str(tmp_path / f"in{ending}"), "--output", str(tmp_path / "out.png"), "--target", "2x",
                 "--method", "bicubic"])  # fmt: skip
    assert np.asarray(Image.open(tmp_path / "out.png")).shape[:2] == (94, 126)


def test_a_folder_of_images_in_natural_order_keeps_its_names(tmp_path):
    folder, names = tmp_path / "in", ["shot 1", "shot 2", "shot 10", "shot 11"]
    folder.mkdir()
    for i, name in enumerate(names):
        Image.fromarray(picture(i)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no image")
    output = upscale(folder, tmp_path / "out")
    assert sorted(path.stem for path in output.iterdir()) == sorted(names)
    for i, name in enumerate(names):
        assert np.array_equal(np.asarray(Image.open(output / f"{name}.png")), picture(i))
    film = upscale(folder, tmp_path / "out.mkv", "--codec", "ffv1")
    assert all(np.array_equal(frame.rgb, picture(i)) for i, frame in enumerate(contents(film)))


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (38, 50)])
def test_no_offset(tmp_path, size):
    """A result shrunk again lies on the input: the phase correlation's peak is at no shift, to a hundredth of a pixel."""
    from skimage.registration import phase_cross_correlation

    image = picture(3, *size)
    source = make(tmp_path / "in.mkv", [image])
    (frame,) = contents(upscale(source, tmp_path / "out.mkv", "--codec", "ffv1", target="4x"))
    small = frame.rgb.reshape(size[0], 4, size[1], 4, 3).mean((1, 3))
    shift, _, _ = phase_cross_correlation(image.mean(2), small.mean(2), upsample_factor=100)
    assert np.abs(shift).max() <= 0.01


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


def test_images_that_would_look_different_are_refused_or_said(tmp_path, capsys):
    exif = Image.Exif()
    exif[274] = 2
    Image.fromarray(picture(0)).save(tmp_path / "mirrored.jpg", exif=exif)
    with pytest.raises(SystemExit):
        upscale(tmp_path / "mirrored.jpg", tmp_path / "out.png")
    assert "is to be shown mirrored" in capsys.readouterr().err.splitlines()[-1]
    Image.fromarray(picture(0)).save(tmp_path / "profile.png", icc_profile=b"a profile")
    upscale(tmp_path / "profile.png", tmp_path / "out.png")
    assert "its colour profile is not carried over" in capsys.readouterr().err
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    Image.fromarray(grey).save(tmp_path / "grey.tif")
    (frame,) = contents(upscale(tmp_path / "grey.tif", tmp_path / "grey.png"))
    assert np.array_equal(frame.rgb[..., 0], grey)


def test_opaque_prores_is_opaque(tmp_path):
    image = np.concatenate([picture(0, white=65535), np.full((48, 64, 1), 65535, np.uint16)], axis=2)
    source = make(tmp_path / "in.mov", [image], "prores_ks", "yuva444p10le")
    assert len(contents(upscale(source, tmp_path / "out.mp4"))) == 1


def test_a_video_does_not_become_one_image(tmp_path, capsys):
    source = make(tmp_path / "in.mp4", [picture(i) for i in range(3)], "libx264", "yuv420p")
    with pytest.raises(SystemExit):
        upscale(source, tmp_path / "out.png")
    assert "a folder for the 3 images" in capsys.readouterr().err.splitlines()[-1]


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


def test_frames_that_nothing_announces_are_not_lost(tmp_path, capsys):
    pages = [Image.fromarray(picture(i)) for i in range(3)]
    (tmp_path / "in").mkdir()
    for name in ("a.png", "in/a.png", "a.tif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    make(tmp_path / "a.h264", [picture(i) for i in range(3)], "libx264", "yuv420p")
    for name, said in (("a.png", "wanted a folder for the"), ("a.h264", "wanted a folder for the"), ("in", "is animated"),
                       ("a.tif", "has 3 pages")):  # fmt: skip
        with pytest.raises(SystemExit):
            upscale(tmp_path / name, tmp_path / "out.png")
        assert said in capsys.readouterr().err.splitlines()[-1]
    frames = contents(upscale(tmp_path / "a.png", tmp_path / "out.mkv", "--codec", "ffv1"))
    assert all(np.array_equal(frame.rgb, picture(i)) for i, frame in enumerate(frames)) and len(frames) == 3


def test_an_image_of_too_many_pixels_is_one_line(tmp_path, monkeypatch, capsys):
    Image.fromarray(picture(0)).save(tmp_path / "in.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(SystemExit):
        upscale(tmp_path / "in.png", tmp_path / "out.png")
    assert "is too large" in capsys.readouterr().err.splitlines()[-1]


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


def test_frames_at_one_time_are_moved_and_said_once(tmp_path, capsys):
    ticks = [0, 40, 80, 80, 160, 160, 240]
    source = make(tmp_path / "in.mkv", [picture(i) for i in range(7)], times=ticks, time_base=Fraction(1, 1000))
    output = upscale(source, tmp_path / "out.mkv", "--codec", "ffv1")
    assert [round(1000 * t) for t in seconds(output)] == [0, 40, 80, 81, 160, 161, 240]
    capsys.readouterr()
    contents(source)
    assert capsys.readouterr().err.count("does not come after") == 1


def test_a_whole_clip_of_few_frames_is_not_said_to_be_cut_short(tmp_path, capsys):
    source = make(tmp_path / "in.mkv", [picture(i) for i in range(3)])
    upscale(source, tmp_path / "out.mkv", "--codec", "ffv1")
    assert "cut short" not in capsys.readouterr().err
