"""Reading and writing: frames, rate, size, colour; nothing under the final name after an error."""

import gc
import os
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from realis.core.errors import InputError
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS
from realis.pictures.sheet import before_after_sheet, detailed_places
from realis.video.encoding import CODECS, Encoding
from realis.video.read import VideoReader
from realis.video.source import open_source
from realis.video.target import target_size
from realis.video.write import SegmentWriter, check_output, unfinished_name

BARS = np.repeat(
    np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255], [255, 255, 255]], np.uint8), 16, 0
)


def bars(i, height=64):
    return np.broadcast_to(np.roll(BARS, 2 * i, axis=0), (height, 96, 3)).copy()


def write(path, lengths, rate=Fraction(25)):
    start = 0
    with SegmentWriter(path, (64, 96), rate, Encoding(crf=1)) as sink:
        for length in lengths:
            sink.write(start, (bars(start + i) for i in range(length)))
            start += length


@pytest.mark.parametrize("container", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001), Fraction(60000, 1001)])
@pytest.mark.parametrize("lengths", [[1], [7], [12, 12, 5], [1, 1, 30]])
def test_segments_join_to_one_exact_video(tmp_path, container, rate, lengths):
    path = tmp_path / f"video{container}"
    write(path, lengths, rate)
    with VideoReader(path) as video:
        frames = list(video)
        assert video.rate == rate
        assert (video.height, video.width) == (64, 96)
    assert len(frames) == sum(lengths)
    for i, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - bars(i)).mean() < 7, i  # chroma of 4:2:0 blurs the edges; frames beside: 20
    with av.open(str(path)) as container_:
        stream = container_.streams.video[0]
        times = [float(f.pts * f.time_base * rate) for f in container_.decode(stream)]
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    np.testing.assert_allclose(times, np.arange(len(times)), atol=0.05)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "out"])
def test_a_result_is_on_disk_before_it_takes_its_name_and_the_name_after(tmp_path, monkeypatch, name):
    """Also where a file system knows no second names, and images are copied."""
    output, synced, fsync = tmp_path / name, [], os.fsync
    encoding = Encoding("h264" if name == "out.mp4" else "png")

    def noted(handle):
        paths = (path for path in (tmp_path, *tmp_path.rglob("*")) if path.exists())
        path = next(path for path in paths if os.path.samestat(path.stat(), os.fstat(handle)))
        synced.append((path.relative_to(tmp_path).parts, output.exists()))
        fsync(handle)

    def no_link(*_):
        raise OSError("no second names here")

    monkeypatch.setattr(os, "link", no_link)
    with SegmentWriter(output, (64, 96), Fraction(25), encoding) as sink:
        sink.write(0, [bars(0)])
        monkeypatch.setattr(os, "fsync", noted)
    temporary = unfinished_name(output).name
    files = [(temporary, "000000.png"), (temporary,)] if name == "out" else [(temporary,)]
    assert synced == [*((file, False) for file in files), ((), True)]


def chroma_ramp(form):
    """A grey frame whose Cr rises by 4 a chroma sample."""
    frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 128, np.uint8), format="rgb24").reformat(format=form)
    levels = np.zeros((frame.planes[2].height, frame.planes[2].line_size), np.uint8)
    levels[:, :32] = 64 + 4 * np.arange(32)
    frame.planes[2].update(levels)
    return frame


def test_chroma_is_read_where_it_lies(tmp_path):
    """On every second pixel in H.264, between two pixels in Motion JPEG: there the 16th sample, 128, gives grey."""
    for codec, form, first in (("libx264", "yuv420p", 0), ("mjpeg", "yuvj420p", 0.5)):
        with av.open(str(tmp_path / f"{codec}.mkv"), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"qp": "0", "qmin": "1", "qmax": "1"})
            (stream.height, stream.width), stream.pix_fmt = (32, 64), form
            container.mux(stream.encode(chroma_ramp(form)))
            container.mux(stream.encode(None))
        with VideoReader(tmp_path / f"{codec}.mkv") as video:
            (image,) = video
        rise = np.polyfit(np.arange(8, 56), image[16, 8:56, 0], 1)
        assert abs(np.polyval(rise, 2 * 16 + first) - 128) < 1


def test_chroma_is_written_on_the_left():
    """Red rises through grey at pixel 32, which is where Cr must pass through 128."""
    image = np.full((32, 64, 3), 128, np.uint8)
    image[:, :, 0] = 64 + 2 * np.arange(64)
    plane = Encoding().frame(image).planes[2]
    cr = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[8, 2:30]
    rise, at_zero = np.polyfit(2 * np.arange(2, 30), cr, 1)
    assert abs((128 - at_zero) / rise - 32) < 0.2


def test_colours_survive(tmp_path):
    write(tmp_path / "video.mp4", [1])
    with VideoReader(tmp_path / "video.mp4") as video:
        frame = next(iter(video))
    inner = [8 + 16 * k for k in range(6)]
    assert np.abs(frame[32, inner].astype(int) - bars(0)[32, inner]).max() <= 2


@pytest.mark.parametrize(
    ("matrix", "full", "height"), [(1, False, 64), (6, False, 64), (6, True, 64), (2, False, 64), (2, False, 720)]
)
def test_a_file_is_read_by_its_own_matrix_and_range(tmp_path, matrix, full, height):
    """Colours of BT.601, BT.709, full-range and untagged files; untagged ones as players guess, by their height."""
    path = tmp_path / "video.mkv"
    image = bars(0, height)
    kr, kb = (0.2126, 0.0722) if matrix == 1 or height == 720 else (0.299, 0.114)
    r, g, b = (image[..., i] / 255 for i in range(3))
    y = kr * r + (1 - kr - kb) * g + kb * b
    planes = np.stack([y, (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)])
    planes = planes * 255 if full else planes * np.array([219, 224, 224]).reshape(3, 1, 1)
    planes = planes + np.array([0 if full else 16, 128, 128]).reshape(3, 1, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = image.shape[1], height, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(planes.round().clip(0, 255).astype(np.uint8), format="yuv444p")
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoReader(path) as video:
        assert np.abs(next(iter(video)).astype(int) - image).max() <= 3


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), SegmentWriter(tmp_path / "video.mp4", (64, 96), Fraction(25)) as sink:
        sink.write(0, [bars(0)])
        raise RuntimeError("upscaling failed")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), SegmentWriter(path, (64, 96), Fraction(25)) as sink:
        sink.write(0, [bars(0)])
        raise RuntimeError("upscaling failed")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("target", "source", "wanted"),
    [
        ("4k", (960, 540), (2160, 3840)),
        ("4K", (540, 960), (3840, 2160)),
        ("4k", (640, 480), (2160, 2880)),
        ("4k", (3840, 2160), (2160, 3840)),
        ("8k", (960, 540), (4320, 7680)),
        ("1080p", (316, 178), (1080, 1916)),
        ("2x", (316, 178), (356, 632)),
        ("1.5x", (212, 120), (180, 318)),
        ("640x360", (320, 180), (360, 640)),
    ],
)
def test_targets(target, source, wanted):
    assert target_size(target, *source, even=True) == wanted


@pytest.mark.parametrize("target", ["5k", "", "x2", "0x", "-2x", "12", "641x360", "100x100", "0.5x", "128x", "720p"])
def test_targets_that_cannot_be_met(target):
    with pytest.raises(InputError, match="--target"):
        target_size(target, 1920, 1080, even=True)


def test_a_factor_without_its_x_is_corrected():
    with pytest.raises(InputError, match=r"write 1\.5x"):
        target_size("1.5", 1920, 1080, even=True)


def test_outputs_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "a.avi", tmp_path / "file" / "a.mp4"):
        with pytest.raises(InputError, match="--output"):
            check_output(output)


def test_training_never_sees_the_sample_or_the_middlebury_pair():
    assert not set(SAMPLE_PHOTOGRAPHS) & set(TRAINING_PHOTOGRAPHS)
    assert not [name for name in (*SAMPLE_PHOTOGRAPHS, *TRAINING_PHOTOGRAPHS) if "motorcycle" in name]


def test_sheet_shows_crops_apart_and_where_detail_is():
    image = np.zeros((200, 300, 3), np.uint8)
    image[100:150, 200:250] = np.random.default_rng(0).integers(0, 256, (50, 50, 3))
    places = detailed_places(image, 64, 3)
    assert len(places) == len(set(places))
    top, left = places[0]
    assert 100 - 32 <= top <= 150 and 200 - 32 <= left <= 250
    sheet = before_after_sheet(image, image, ("a", "b"), crop=64, crops=3)
    assert sheet.width == 360  # never narrower, so that the labels fit
    shown = np.asarray(sheet)[172 : 172 + 64, 8 : 8 + 64]  # the first crop, below labels and the small whole frames
    assert np.array_equal(shown, image[top : top + 64, left : left + 64])


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    parts = [tmp_path / "a.ts", tmp_path / "b.ts"]
    for part, width in zip(parts, (64, 96), strict=True):
        with av.open(str(part), "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, 64, "yuv420p"
            for _ in range(4):
                image = np.zeros((64, width, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    with VideoReader(joined) as video, pytest.raises(InputError, match="96x64 instead of 64x64"):
        list(video)


def test_frames_that_were_read_do_not_wait_for_the_garbage_collector(tmp_path):
    with SegmentWriter(tmp_path / "clip.mkv", (48, 64), Fraction(25), Encoding("ffv1")) as sink:
        sink.write(0, [np.full((48, 64, 3), n, np.uint8) for n in range(40)])
    gc.collect()
    gc.disable()
    try:
        with open_source(tmp_path / "clip.mkv") as source:
            assert len(list(source.frames())) == 40
            assert sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()) < 10
    finally:
        gc.enable()


def test_playlists_and_scripts_are_no_videos_whatever_their_ending(tmp_path):
    """An ffconcat script, or an HLS list, would have libav read other files."""
    write(tmp_path / "private.mp4", [2])
    write(tmp_path / "private.mkv", [2])
    for name, text in {
        "script.mp4": "ffconcat version 1.0\nfile private.mp4\n",
        "list.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nprivate.mp4\n#EXT-X-ENDLIST\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="not a video that can be read"):
            VideoReader(tmp_path / name)


def test_a_name_is_no_pattern(tmp_path):
    for number, name in enumerate(("shot_01.png", "shot_%02d.png")):
        av.VideoFrame.from_ndarray(np.full((8, 8, 3), 100 * number, np.uint8), format="rgb24").save(tmp_path / name)
    with VideoReader(tmp_path / "shot_%02d.png") as image:
        assert next(iter(image))[0, 0, 0] == 100


def encodes(codec, size, file):
    """Whether a frame of ``size`` (height, width) is encoded."""
    encoding = Encoding(codec, min(bits for bits, _ in CODECS[codec].pixel_formats))
    frame = np.zeros((*size, 3), np.uint8 if encoding.depth == 8 else np.uint16)
    try:
        if codec == "png":
            assert len(list(encoding.images(size, [frame]))) == 1
        else:
            encoding.write_video(file, size, Fraction(25), [frame])
    except av.FFmpegError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_sizes_that_a_codec_takes(codec, tmp_path):
    least, (height, width) = CODECS[codec].smallest, CODECS[codec].largest or (100_000, 100_000)
    for size in ((least, least), (least, width), (height, least)):
        assert CODECS[codec].takes(size) and encodes(codec, size, tmp_path / "file"), size
    for size in ((least, width + 2), (height + 2, least)) if CODECS[codec].largest else ():
        assert not CODECS[codec].takes(size) and not encodes(codec, size, tmp_path / "file"), size


def test_sizes_are_checked_before_anything_is_encoded(caplog):
    with pytest.raises(
        InputError, match="8x20 is too small for h265, wanted 32x32 to 65534x65534, or --codec h264 or ffv1"
    ):
        Encoding("h265").check_size((20, 8))
    with pytest.raises(InputError, match="20000x9000 is too large; wanted up to about 179 million pixels"):
        Encoding("png").check_size((9000, 20000))
    for codec, size, said in (("h264", (2304, 4096), 0), ("h264", (16, 4098), 1), ("h264", (2500, 4000), 1),
                              ("h265", (4320, 7680), 0)):  # fmt: skip
        caplog.clear()
        Encoding(codec).check_size(size)
        assert caplog.text.count("above level 5.2 of H.264") == said, size


def test_h265_has_no_b_frames(tmp_path):
    """With them x265 encodes the same frames now this way and now that, and a run that went on would end otherwise."""
    path = tmp_path / "out.mp4"
    with SegmentWriter(path, (64, 96), Fraction(25), Encoding("h265")) as sink:
        sink.write(0, (bars(i // 2) for i in range(24)))
    with av.open(str(path)) as video:
        kinds = {PictureType(frame.pict_type) for frame in video.decode(video=0)}
    assert kinds == {PictureType.I, PictureType.P}


def test_the_documentation_says_how_codecs_are_used():
    text = (Path(__file__).parents[2] / "docs" / "upscaling.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    header = rows.index(["`--codec`", "bits", "transparency", "endings", "`--crf`", "width x height"])
    table = {re.match(r"\w+", row[0])[0]: row for row in rows[header + 1 :][: len(CODECS)]}
    assert table.keys() == CODECS.keys()
    for name, codec in CODECS.items():
        _, bits, transparency, endings, crf, sizes = table[name]
        assert bits == ", ".join(map(str, sorted({depth for depth, _ in codec.pixel_formats})))
        deep = sorted(depth for depth, alpha in codec.pixel_formats if alpha)
        assert transparency in (("no", "") if not deep else ("yes", ", ".join(map(str, deep))))
        assert set(re.findall(r"\.\w+", endings)) == set(filter(None, codec.endings))
        assert ("a folder" in endings) == ("" in codec.endings)
        assert crf == ("" if codec.crf is None else str(codec.crf))
        least = f"{codec.smallest}x{codec.smallest} to " if codec.smallest > 2 else "up to "
        assert sizes == (f"{least}{codec.largest[1]}x{codec.largest[0]}" if codec.largest else "")
