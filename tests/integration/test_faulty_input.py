"""Inputs that are damaged, interlaced, or hold what a result cannot, through the whole command."""

import contextlib
import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from footage import PICTURE, dropping_film, film, interlaced_film
from realis.video.survey import survey
from videos import contents, make, picture, seconds, sound, upscale


def said(capsys):
    return capsys.readouterr().err


def notes(output):
    found = json.loads(output.with_name(f"{output.name}.json").read_text())
    return {name: value for name, value in found.items() if name != "the result"}  # which has a time


def break_in_the_middle(path, count=300):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + count] = bytes(count)
    path.write_bytes(data)
    return path


@pytest.fixture
def damaged(tmp_path):
    return break_in_the_middle(film(tmp_path / "in.mp4", 60, (48, 64), options={"g": "12"}))


def test_a_damaged_video_is_upscaled_as_players_show_it(damaged, tmp_path, capsys):
    whole = film(tmp_path / "whole.mp4", 60, (48, 64), options={"g": "12"})
    output = upscale(damaged, tmp_path / "out.mkv", "--codec", "ffv1")
    assert seconds(output) == [Fraction(i, 25) for i in range(60)]
    assert said(capsys).count("the frame before it is held") == 1
    faults = notes(output)["faults of the input, by frames"]
    lost = int(faults["lost"].replace(",", "-").split("-")[0])
    frames = contents(output)
    assert np.array_equal(frames[lost].rgb, frames[lost - 1].rgb)
    right = contents(whole)
    assert lost > 20
    assert np.array_equal(frames[lost - 20].rgb, right[lost - 20].rgb) and np.array_equal(frames[-1].rgb, right[-1].rgb)


def test_a_damaged_video_goes_on_to_the_same_bytes(damaged, tmp_path, monkeypatch):
    from realis.video.write import SegmentWriter

    whole, again = tmp_path / "whole.mp4", tmp_path / "again.mp4"
    upscale(damaged, whole)
    write, calls = SegmentWriter.write, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(SegmentWriter, "write", killed)
    with pytest.raises(SystemExit):
        upscale(damaged, again)
    monkeypatch.setattr(SegmentWriter, "write", write)
    upscale(damaged, again)
    assert whole.read_bytes() == again.read_bytes()
    assert notes(whole) == notes(again)


def test_a_preview_names_the_damage_that_it_shows(tmp_path, capsys):
    source = break_in_the_middle(film(tmp_path / "in.mp4", 20, (48, 64), options={"g": "5"}), 100)
    faults = [number for number, frame in enumerate(contents(source)) if frame.fault]
    upscale(source, tmp_path / "out.mp4", "--preview")  # frames 7 to 11
    named = notes(tmp_path / "out_preview.mp4")["faults of the input, by frames"]
    shown = [number - 7 for number in faults if number in range(7, 12)]
    assert shown and str(shown[0]) in " ".join(named.values())
    assert "will be listed in out_preview.mp4.json" in said(capsys)


def test_strict_refuses_damage_before_the_work(damaged, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        upscale(damaged, tmp_path / "out.mp4", "--strict")
    line = said(capsys).splitlines()[-1]
    assert stop.value.code == 2 and "cannot be decoded (refused by --strict)" in line and "held" not in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]
    upscale(film(tmp_path / "whole.mp4", 6, (48, 64)), tmp_path / "out.mp4", "--strict")


def test_a_damaged_image_of_a_folder_is_held_and_named(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for number in range(5):
        Image.fromarray(picture(number)).save(tmp_path / "in" / f"{number}.png")
    file = tmp_path / "in" / "2.png"
    file.write_bytes(file.read_bytes()[:60])
    output = upscale(tmp_path / "in", tmp_path / "out")
    frames = contents(output)
    assert len(frames) == 5 and np.array_equal(frames[2].rgb, frames[1].rgb)
    assert "frame 2 cannot be decoded" in said(capsys)
    assert notes(output)["faults of the input, by frames"] == {"lost": "2"}
    with pytest.raises(SystemExit):
        upscale(tmp_path / "in", tmp_path / "strict", "--strict")
    assert "1 of 5 images cannot be read, first 2.png" in said(capsys).splitlines()[-1]


def test_an_image_of_another_size_is_found_before_the_work(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for number in range(20):
        Image.fromarray(picture(number, 48, 64 if number < 19 else 66)).save(tmp_path / "in" / f"{number:02d}.png")
    with pytest.raises(SystemExit):
        upscale(tmp_path / "in", tmp_path / "out")
    lines = said(capsys)
    assert "19.png: is 66x48, and the first image 64x48" in lines and "plan:" not in lines


def combs(frames):
    """How much rows differ from the mean of those beside them, against that two rows apart."""
    luma = np.stack([cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY) for frame in frames]).astype(float)
    return np.abs(luma[:, 1:-1] - (luma[:, :-2] + luma[:, 2:]) / 2).mean()


def test_interlaced_video_is_said_once_and_deinterlaced_where_asked(tmp_path, capsys):
    source = interlaced_film(tmp_path / "in.mkv")
    combed = contents(upscale(source, tmp_path / "combs.mkv", "--codec", "ffv1"))
    assert said(capsys).count("--deinterlace frame") == 1
    whole = contents(upscale(source, tmp_path / "frames.mkv", "--codec", "ffv1", "--deinterlace", "frame"))
    assert "is interlaced" not in said(capsys)
    fields = contents(upscale(source, tmp_path / "fields.mkv", "--codec", "ffv1", "--deinterlace", "field"))
    assert (len(combed), len(whole), len(fields)) == (36, 36, 72)
    assert combs(whole) < 0.6 * combs(combed) and combs(fields) < 0.6 * combs(combed)
    np.testing.assert_allclose([float(t) for t in seconds(tmp_path / "frames.mkv")], np.arange(36) / 25, atol=1e-3)
    np.testing.assert_allclose([float(t) for t in seconds(tmp_path / "fields.mkv")], np.arange(72) / 50, atol=1e-3)
    for number in (20, 41):  # each field is a moment of the pan
        still = PICTURE[100:196, 3 * number : 3 * number + 128].astype(int)
        assert np.abs(fields[number].rgb - still).mean() < np.abs(combed[number // 2].rgb - still).mean()


def test_fields_after_progressive_frames_are_found(tmp_path, capsys):
    source = interlaced_film(tmp_path / "in.mkv", progressive=6)
    before = contents(source)[:6]
    upscale(source, tmp_path / "out.mkv", "--codec", "ffv1")
    assert said(capsys).count("is interlaced") == 1
    frames = contents(upscale(source, tmp_path / "whole.mkv", "--codec", "ffv1", "--deinterlace", "frame"))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(before, frames, strict=False))  # as they are


def captioned(path):
    """H.264 with a CEA-608 caption beside each picture, as broadcasts have it (ATSC A/53 in SEI)."""
    plain = film(path.with_suffix(".0.mp4"), 12, (48, 64))
    caption = bytes([0xB5, 0x00, 0x31]) + b"GA94" + bytes([0x03, 0x41, 0xFF, 0xFC, 0x94, 0x20, 0xFF])
    unit = bytes([0x06, 0x04, len(caption)]) + caption + b"\x80"
    with av.open(str(plain)) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for old in source.demux(video=0):
            if old.size:
                packet = av.Packet(len(unit).to_bytes(4, "big") + unit + bytes(old))
                packet.pts, packet.dts, packet.time_base = old.pts, old.dts, old.time_base
                packet.stream, packet.is_keyframe = stream, old.is_keyframe
                copy.mux(packet)
    return path


def mastered(path):
    """HDR video that says what it was mastered on."""
    color = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    options = {"x265-params": f"{color}:{display}:bframes=0:log-level=error"}
    return make(path, [picture(i, white=65535) for i in range(3)], "libx265", "yuv420p10le", tags=(9, 16, 9, 1),
                setup=lambda stream: setattr(stream.codec_context, "options", options))  # fmt: skip


@pytest.mark.parametrize(
    ("write", "what", "flags"),
    [(captioned, "closed captions", []), (mastered, "HDR light levels, HDR mastering data", ["--codec", "h265"])],
)
def test_what_frames_carry_and_a_result_cannot_keep_is_named_once(tmp_path, write, what, flags, capsys):
    upscale(write(tmp_path / "in.mp4"), tmp_path / "out.mp4", *flags)
    assert said(capsys).count(f"the result cannot keep: {what}") == 1


def test_frames_that_an_edit_list_hides_are_not_planned(tmp_path, capsys):
    plain = film(tmp_path / "plain.mp4", 60, (48, 64), options={"g": "30"})
    with av.open(str(plain)) as source, av.open(str(tmp_path / "in.mp4"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:  # what lies before 0 is decoded, but not shown
                packet.pts, packet.dts = packet.pts - 20 * 512, packet.dts - 20 * 512
                packet.stream = stream
                copy.mux(packet)
    shown = len(contents(tmp_path / "in.mp4"))
    assert shown < 60
    upscale(tmp_path / "in.mp4", tmp_path / "out.mp4")
    text = said(capsys)
    assert f"{shown} frames at" in text and "cut short" not in text


def test_sound_that_is_longer_than_the_picture_is_no_damage(tmp_path, capsys):
    images = [picture(i) for i in range(20)]
    for ending in (".mp4", ".mkv"):
        source = make(tmp_path / f"in{ending}", images, "libx264", "yuv420p", rate=Fraction(25),
                      extra=sound(48000, 0, 200))  # fmt: skip
        upscale(source, tmp_path / f"out{ending}", "--strict")
        assert "cut short" not in said(capsys)


def copy_streams(sources, path):
    with contextlib.ExitStack() as stack, av.open(str(path), "w") as joined:
        files = [stack.enter_context(av.open(str(source))) for source in sources]
        targets = [joined.add_stream_from_template(file.streams[0], opaque=True) for file in files]
        for file, target in zip(files, targets, strict=True):
            for packet in [packet for packet in file.demux() if packet.size]:
                packet.stream = target
                joined.mux(packet)


def test_what_is_intentional_is_no_damage(tmp_path, capsys):
    """Pauses of a screen recording, a long frame of a GIF, subtitles beyond the film, equal times, a capture's dropped
    frames."""
    times = [*range(0, 800, 40), *range(4000, 4800, 40)]
    make(tmp_path / "pause.mp4", [picture(i) for i in range(40)], "libx264", "yuv420p", times, Fraction(1, 1000))
    make(tmp_path / "pause.mkv", [picture(i) for i in range(40)], "ffv1", "bgr0", times, Fraction(1, 1000))
    make(tmp_path / "equal.mkv", [picture(i) for i in range(8)], times=[*[0] * 7, 5], time_base=Fraction(1, 1000))
    pages = [Image.fromarray(picture(i)) for i in range(12)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=[40] * 6 + [1500] + [40] * 5)
    make(tmp_path / "film.mkv", [picture(i) for i in range(20)], "libx264", "yuv420p")
    (tmp_path / "late.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,300\nHello\n\n2\n00:00:09,000 --> 00:00:09,900\nBye\n"
    )
    copy_streams([tmp_path / "film.mkv", tmp_path / "late.srt"], tmp_path / "in.mkv")
    dropping_film(tmp_path / "dropped.avi")
    for name in ("pause.mp4", "pause.mkv", "a.gif", "in.mkv", "dropped.avi"):
        assert survey(tmp_path / name, strict=True).damage == (), name
    assert survey(tmp_path / "equal.mkv").damage == ()


def test_a_folder_is_looked_through_before_the_work(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for number in range(6):
        Image.fromarray(picture(number)).save(tmp_path / "in" / f"{number}.png")
    clear = Image.fromarray(picture(9)).convert("RGBA")
    clear.putpixel((3, 3), (1, 2, 3, 0))
    clear.save(tmp_path / "in" / "5.png")
    frames = contents(upscale(tmp_path / "in", tmp_path / "out"))  # PNG can be transparent
    assert len(frames) == 6 and frames[5].alpha is not None and frames[5].alpha.min() == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        upscale(tmp_path / "in", tmp_path / "out.mp4")
    assert "transparent in places" in said(capsys) and not (tmp_path / "out.mp4").exists()
    pages = [Image.fromarray(picture(i)) for i in range(2)]
    pages[0].save(tmp_path / "in" / "4.png", save_all=True, append_images=pages[1:])
    with pytest.raises(SystemExit):
        upscale(tmp_path / "in", tmp_path / "again")
    assert "4.png: is animated" in said(capsys)


def test_two_pages_of_an_animation_have_a_rate(tmp_path):
    pages = [Image.fromarray(picture(i)) for i in range(2)]
    pages[0].save(tmp_path / "a.png", save_all=True, append_images=pages[1:], duration=80)
    assert len(contents(upscale(tmp_path / "a.png", tmp_path / "out.mkv", "--codec", "ffv1"))) == 2


def test_animations_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pages = [Image.fromarray(picture(i)) for i in range(3)]
    for name in ("a.png", "a.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    for name, what in (("a.png", "a.png is animated; wanted a video"), ("a.webp", "is an animated WebP")):
        with pytest.raises(SystemExit):
            upscale(name, "", "--preview")
        assert what in said(capsys).splitlines()[-1]


def test_a_rate_that_no_camera_has_is_refused(tmp_path, capsys):
    frame = b"FRAME\n" + bytes(64 * 48 * 3 // 2)
    (tmp_path / "in.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F1000000000:1 Ip A1:1 C420jpeg\n" + 3 * frame)
    with pytest.raises(SystemExit) as stop:
        upscale(tmp_path / "in.y4m", tmp_path / "out.mp4")
    assert stop.value.code == 2 and "announces 1e+09 frames a second, wanted up to 1000" in said(capsys)
