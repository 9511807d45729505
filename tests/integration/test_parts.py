"""``--start`` and ``--duration``: a part of a video through the whole command, with its sound, in time."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from realis.commands.__main__ import run_upscale
from realis.video.results import sheet_file
from realis.video.source import open_source
from realis.video.span import Span
from videos import contents, make, packets, pcm, picture, seconds, upscale

COUNT = 20  # frames of 40 ms
CHAPTERS = ((0, 200), (200, 400), (400, 800))
PART = ("--start", "0.3", "--duration", "0:0.24")  # frames 8 to 13, at 0.32 to 0.52 s


def talk(container):
    """Sound of which packet i, at 40 i ms, holds i; and chapters."""
    container.metadata["title"] = "A talk"
    container.set_chapters([{"id": i, "start": begin, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": str(i)}}
                            for i, (begin, end) in enumerate(CHAPTERS)])  # fmt: skip
    return pcm([40 * i for i in range(COUNT)])(container)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "talk.mkv"
    return make(path, [picture(i) for i in range(COUNT)], rate=Fraction(25), extra=talk)


def test_picture_sound_and_chapters_of_a_part_stay_together(tmp_path, film):
    compared = tmp_path / "both.mkv"
    output = upscale(film, tmp_path / "out.mkv", "--codec", "ffv1", *PART, "--compare", str(compared))
    assert [frame.rgb.tolist() for frame in contents(output)] == [picture(i).tolist() for i in range(8, 14)]
    for file in (output, compared):
        assert seconds(file) == [Fraction(i, 25) for i in range(6)]
        sound = packets(file, 0)
        assert [np.frombuffer(content, np.int16)[0] for _, content in sound] == [*range(8, 14)]
        np.testing.assert_allclose([time for time, _ in sound], [0.04 * i for i in range(6)], atol=1e-6)
        with av.open(str(file)) as container:
            assert container.metadata["title"] == "A talk"
            chapters = [(c["metadata"]["title"], float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
                        for c in container.chapters()]  # fmt: skip
        np.testing.assert_allclose([times for _, *times in chapters], [(0, 0.08), (0.08, 0.22)])
        assert [title for title, *_ in chapters] == ["1", "2"]
    assert np.abs(contents(compared)[5].rgb.astype(int) - picture(13)).mean() < 12
    assert cv2.imread(str(sheet_file(output))) is not None


@pytest.mark.parametrize(("extra", "first"), [(talk, 5), (None, 6)])
def test_times_are_counted_from_the_first_sound_or_picture(tmp_path, extra, first):
    times = [21 + 40 * i for i in range(COUNT)]
    path = make(
        tmp_path / "late.mkv", [picture(i) for i in range(COUNT)], times=times, time_base=Fraction(1, 1000), extra=extra
    )
    with open_source(path, span=Span(Fraction("0.215"))) as source:
        assert np.array_equal(next(source.frames()).rgb, picture(first))


def test_a_part_that_was_stopped_goes_on_and_others_do_not(tmp_path, film, capsys, monkeypatch):
    from realis.video.journal import Journal

    flags = ["--input", str(film), "--target", "2x", "--segment-frames", "5", "--segment-overlap", "1", "--steps", "1"]
    whole = tmp_path / "whole.mkv"
    run_upscale([*flags, "--output", str(whole), *PART])
    output, add = tmp_path / "out.mkv", Journal.add

    def fail(self, segment, *rest):
        if segment.start:
            raise OSError(28, "No space left on device")
        add(self, segment, *rest)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(Journal, "add", fail)
        run_upscale([*flags, "--output", str(output), *PART])
    assert stop.value.code == 1
    with pytest.raises(SystemExit):
        run_upscale([*flags, "--output", str(output), "--start", "0.3"])
    said = capsys.readouterr().err
    assert "the part was from 0.3s to 0.54s, now from 0.3s)" in said
    run_upscale([*flags, "--output", str(output), "--start", "0:00.3", "--duration", "0.240"])
    assert "going on from frame" in capsys.readouterr().err
    assert output.read_bytes() == whole.read_bytes()


def test_images_of_a_part_keep_their_names(tmp_path, monkeypatch):
    (tmp_path / "shots").mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / "shots" / f"shot{i}.png"), picture(i)[..., ::-1])
    (tmp_path / "shots" / "shot3.png").write_bytes(b"")  # the one before it is shown
    monkeypatch.chdir(tmp_path)
    run_upscale(["--input", "shots", "--target", "1x", "--method", "bicubic", "--start", "0.12", "--duration", "0.1"])
    output = tmp_path / "out" / "shots_1x_from_0_12s_to_0_22s"
    assert sorted(file.name for file in output.iterdir()) == ["shot3.png", "shot4.png", "shot5.png"]
    for name, number in (("shot3", 2), ("shot5", 5)):
        assert np.array_equal(cv2.imread(str(output / f"{name}.png")), picture(number)[..., ::-1])
    notes = json.loads((output.parent / f"{output.name}.json").read_text())
    assert notes["faults of the input, by frames"] == {"lost": "0"}


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("talk.mkv", ["--start", "1:30"], "--start: got 90 s, but it is 0.800 s long"),
        ("talk.mkv", ["--start", "-1"], "--start: got '-1', wanted a time in seconds"),
        ("talk.mkv", ["--duration", "0"], "--duration: got 0, wanted more than 0 seconds"),
        ("one.png", ["--start", "0.1"], "is an image; --start and --duration are of videos"),
        ("images", ["--start", "2"], "--start: got 2 s, but it is 0.040 s long"),
    ],
)
def test_a_part_that_is_not_there_is_refused_in_one_line(film, name, flags, said, capsys):
    (film.parent / "images").mkdir(exist_ok=True)
    for file in ("one.png", "images/a.png"):
        cv2.imwrite(str(film.parent / file), picture(0))
    with pytest.raises(SystemExit):
        upscale(film.parent / name, film.parent / "out.mkv", *flags)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (film.parent / "out.mkv").exists()
