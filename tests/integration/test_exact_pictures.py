"""Files of every kind through the whole command: frames, size, colour and transparency come out as they
went in. The files are made on the spot; ``--method bicubic`` at the input's own size changes no pixel."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from PIL import Image

from realis.commands.__main__ import run_upscale
from videos import contents, make, picture, upscale


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


def test_images_that_would_look_different_are_refused_or_said(tmp_path, capsys):
    exif = Image.Exif()
    exif[274] = 2
    Image.fromarray(picture(0)).save(tmp_path / "mirrored.jpg", exif=exif)
    with pytest.raises(SystemExit):
        upscale(tmp_path / "mirrored.jpg", tmp_path / "out.png")
    assert "is to be shown mirrored" in capsys.readouterr().err.splitlines()[-1]
    Image.fromarray(picture(0)).save(tmp_path / "profile.png", icc_profile=b"a profile")
    upscale(tmp_path / "profile.png", tmp_path / "out.png")
    assert "has a colour profile, which is not carried over" in capsys.readouterr().err
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
    assert "has more frames than one; wanted a video or a folder of images" in capsys.readouterr().err.splitlines()[-1]


def test_frames_that_nothing_announces_are_not_lost(tmp_path, capsys):
    pages = [Image.fromarray(picture(i)) for i in range(3)]
    (tmp_path / "in").mkdir()
    for name in ("a.png", "in/a.png", "a.tif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    make(tmp_path / "a.h264", [picture(i) for i in range(3)], "libx264", "yuv420p")
    for name, said in (("a.png", "is animated; wanted a video or a folder of images"), ("a.h264", "has more frames than one"), ("in", "is animated"),
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
