"""Previews and comparisons of ``upscale``."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from realis.commands.__main__ import run_upscale
from small_clips import clip, images, run
from videos import make, picture, seconds, sound


def test_a_preview_is_a_few_frames_from_the_middle_and_a_sheet(tmp_path):
    source = clip(tmp_path / "in.mp4", 29)
    run("--input", source, "--output", tmp_path / "out.mp4", "--preview", "--compare", tmp_path / "both.mp4")
    preview, wanted = images(tmp_path / "out_preview.mp4"), images(source)[12:17]
    assert len(preview) == len(images(tmp_path / "both_preview.mp4")) == 5
    for big, small in zip(preview, wanted, strict=True):
        assert np.abs(big[::2, ::2].astype(int) - small).mean() < 12
    with Image.open(tmp_path / "out_preview.mp4_before_after.png") as sheet:
        assert sheet.width > 100
    assert not (tmp_path / "out.mp4").exists()


def test_a_preview_of_a_part_is_its_middle(tmp_path):
    frames, ticks = [picture(i) for i in range(16)], [0, 1, 2, 3, 10, 11, 20, 31, 32, 33, 34, 35, 60, 61, 62, 63]
    source = make(tmp_path / "in.mkv", frames, times=ticks, time_base=Fraction(1, 10), rate=Fraction(10))
    words = ["--output", tmp_path / "out.mkv", "--codec", "ffv1", "--start", "1", "--duration", "5"]
    run_upscale(
        [*map(str, ["--input", source, *words]), "--target", "1x", "--method", "bicubic", "--preview"]
    )  # frames 4 to 11
    for image, wanted in zip(images(tmp_path / "out_preview.mkv"), images(source)[5:10], strict=True):
        assert (image == wanted).all()


@pytest.mark.parametrize(("name", "count", "shown"), [("in.mp4", 3, 3), ("in.mp4", 6, 5), ("in.h264", 29, 5)])
def test_previews_of_short_videos_and_of_some_without_times(tmp_path, name, count, shown):
    clip(tmp_path / "in.mp4", count)
    if name == "in.h264":
        with av.open(str(tmp_path / "in.mp4")) as source, av.open(str(tmp_path / name), "w", format="h264") as raw:
            copy = raw.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    raw.mux(packet)
    run("--input", tmp_path / name, "--output", tmp_path / "out.mp4", "--preview")
    assert len(images(tmp_path / "out_preview.mp4")) == shown


def test_a_comparison_shows_bicubic_left_and_the_result_right(tmp_path):
    source, output, both = clip(tmp_path / "in.mp4", 20), tmp_path / "out.mp4", tmp_path / "both.mp4"
    run_upscale(["--input", str(source), "--output", str(output), "--target", "2x", "--compare", str(both),
                 "--tile-height", "64", "--tile-width", "64"])  # fmt: skip
    run("--input", source, "--output", tmp_path / "bicubic.mp4")
    compared, right, left = (images(path) for path in (both, output, tmp_path / "bicubic.mp4"))
    assert len(compared) == 20
    for i in (0, 17, 19):
        for half, own, other in ((slice(50, None), right, left), (slice(38), left, right)):
            error, wrong = (np.abs(compared[i][:, half].astype(int) - x[i][:, half]).mean() for x in (own, other))
            assert error < 0.8 * wrong
        assert compared[i][:, 43:45].mean() > 225


def test_a_comparison_keeps_times_and_sound(tmp_path):
    ticks = [0, 100, 133, 150, 151, 400, 433, 466, 500, 900]
    frames = [picture(i) for i in range(10)]
    source = make(
        tmp_path / "in.mp4", frames, "libx264", "yuv420p", ticks, Fraction(1, 1000), Fraction(25), extra=sound(48000, 0)
    )
    run("--input", source, "--output", tmp_path / "out.mp4", "--compare", tmp_path / "both.mp4")
    assert seconds(tmp_path / "both.mp4") == [Fraction(t, 1000) for t in ticks]
    with av.open(str(tmp_path / "both.mp4")) as container:
        assert len(container.streams.audio) == 1


def test_a_comparison_of_hdr_has_ten_bits(tmp_path):
    source = make(tmp_path / "in.mkv", [picture(0, white=65280)], form="yuv420p10le", tags=(9, 16, 9, 1))
    run("--input", source, "--output", tmp_path / "out.mp4", "--compare", tmp_path / "both.mp4")
    with av.open(str(tmp_path / "both.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.color_trc) == ("hevc", "yuv420p10le", 16)


def test_a_preview_of_images_can_be_repeated(tmp_path, capsys):
    words = ["--input", clip(tmp_path / "in.mp4", 29), "--output", tmp_path / "out", "--codec", "png", "--preview"]
    run(*words)
    run(*words)
    assert "is there already" in capsys.readouterr().err
    run(*words, "--restart")
    assert len(images(tmp_path / "out_preview")) == 5


def test_a_comparison_may_lie_beside_its_input_and_is_not_made_twice(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    clip(tmp_path / "in" / "a.mp4")
    words = ["--input", tmp_path / "in", "--output", tmp_path / "in", "--compare", tmp_path / "in" / "both.mp4"]
    run(*words)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "in").iterdir()}
    run(*words)
    assert "is there already" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "in").iterdir()}
    (tmp_path / "in" / "both.mp4").unlink()
    run(*words)
    assert len(images(tmp_path / "in" / "both.mp4")) == 9
