"""What a folder or pattern stands for, and what files are called: hidden ones, results, long names, names that are no text."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from realis.core.errors import InputError
from realis.core.files import LONGEST_NAME, fitting_name, remove_folder, whole_file
from realis.data.lr_sets.clips import draw_parameters, parameters_file
from realis.training.run_folder import check_export
from realis.upscaling.app.inputs import default_name, find_inputs
from realis.video.fingerprint import fingerprint, fingerprint_all
from realis.video.names import IMAGES, VIDEOS, files_in, matching
from realis.video.results import is_sheet, notes_file, parts_folder, sheet_file, write_notes
from realis.video.sequences import find_sequences, write_like
from realis.video.source import FolderSource, open_source
from realis.video.span import Span
from realis.video.survey import survey
from realis.video.write import check_output

NO_TEXT = os.fsdecode(b"caf\xe9")
LONG = "漢" * 80  # 240 bytes


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(files):
    return [file.name for file in files]


def test_what_is_hidden_is_passed_over_and_capitals_are_not(tmp_path):
    touch(
        tmp_path, "2.PNG", "10.png", "01.png", "1.png", "._1.png", ".x.png", "notes.txt", "below/3.png", ".below/4.png"
    )
    (tmp_path / "folder.png").mkdir()
    assert names(files_in(tmp_path, IMAGES)) == ["01.png", "1.png", "2.PNG", "10.png"]
    assert names(files_in(tmp_path, IMAGES, below=True)) == ["01.png", "1.png", "2.PNG", "3.png", "10.png"]
    touch(tmp_path, "a.MP4", "._a.mp4", "below/b.mp4")
    assert names(find_inputs((str(tmp_path),))) == ["a.MP4"]
    assert names(matching(f"{tmp_path}/**/*")) == ["01.png", "1.png", "2.PNG", "3.png", "10.png", "a.MP4", "b.mp4", "below",
                                                   "folder.png", "notes.txt"]  # fmt: skip


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "in/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "gone.mp4").symlink_to("nowhere")
    assert names(files_in(tmp_path / "in", VIDEOS, below=True)) == ["a.mp4", "b.mp4"]


def test_results_and_what_lies_beside_them_are_passed_over(tmp_path):
    touch(tmp_path, "a.mp4", "a_2x.mp4", "b_2x.mp4", "1.png", "2.png", "seq_2x/1.png", "mine.mp4", "mine.mp4.json")
    touch(tmp_path, "c_before_after.png", ".b_2x.mp4.parts/key.json")  # a picture of the user's; the run was killed
    results = [tmp_path / name for name in ("a_2x.mp4", "seq_2x", "2.png", f"{LONG}.png")]
    touch(tmp_path, results[-1].name)
    for result in results:
        write_notes(result, {"target": "2x"})
        touch(tmp_path, sheet_file(result).name)
    assert names(files_in(tmp_path, VIDEOS, below=True)) == ["a.mp4", "mine.mp4"]
    assert names(files_in(tmp_path, IMAGES, below=True)) == ["1.png", "c_before_after.png"]
    assert names(find_inputs((f"{tmp_path}/*",))) == ["1.png", "a.mp4", "c_before_after.png", "mine.mp4"]
    assert find_inputs((str(results[0]),)) == results[:1]  # named itself
    with pytest.raises(InputError, match="results of earlier runs"):
        find_inputs((f"{tmp_path}/a_*",))


def test_a_folder_without_any_is_described(tmp_path):
    touch(tmp_path, "a.xyz", "b.XYZ", "README", ".hidden.mp4")
    for find in (
        lambda: find_inputs((str(tmp_path),)),
        lambda: find_sequences(tmp_path),
        lambda: FolderSource(tmp_path),
    ):
        with pytest.raises(
            InputError, match=r"it holds \.xyz, README files; known endings are \.[^,]*, .* and \d+ more"
        ):
            find()
    touch(tmp_path, "c_2x.mp4")
    write_notes(tmp_path / "c_2x.mp4", {"a": 1})
    with pytest.raises(InputError, match=r"it holds only results of earlier runs, such as c_2x\.mp4"):
        find_inputs((str(tmp_path),))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("nowhere/*.mp4", "the folder nowhere is not there"),
        ("nowhere/**/a/*.mp4", "the folder nowhere is not there"),
        ("no*.mp4", "nothing in .* matches it"),
        (
            "*.xyz",
            r"it matches nothing of a known ending, but a\.xyz, b\.xyz, c\.xyz, \.\.\.; known endings are \.mp4, ",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_explained(tmp_path, monkeypatch, pattern, said):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.xyz", "b.xyz", "c.xyz", "d.xyz")
    with pytest.raises(InputError, match=said) as refused:
        find_inputs((pattern,))
    assert len(str(refused.value)) < 200 + len(str(tmp_path))


def test_the_documentation_lists_the_endings():
    words = (Path(__file__).parents[2] / "docs" / "upscaling.md").read_text().replace(",", " ").split()
    assert set(VIDEOS + IMAGES) <= {word if word in VIDEOS + IMAGES else word.rstrip(".") for word in words}


def test_a_folder_that_cannot_be_listed_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be listed"):
        files_in(tmp_path / "nowhere", VIDEOS)


def test_frames_of_a_data_set_are_found_beside_hidden_files(tmp_path):
    touch(tmp_path, "clip/._1.png", "clip/1.PNG", "._clip.mp4")
    (clip,) = find_sequences(tmp_path)
    assert names(clip.images) == ["1.PNG"]


def test_what_is_hidden_is_no_part_of_a_fingerprint(tmp_path):
    touch(tmp_path, "a", "b/c")
    before = fingerprint(tmp_path)
    touch(tmp_path, ".cache/lock", "._a")
    assert fingerprint(tmp_path) == before
    touch(tmp_path, "b/d")
    assert fingerprint(tmp_path) != before


# muxer and encoder; None: no muxer here, but the same demuxer reads another ending
KINDS = {
    ("mp4", "libx264"): ".mp4 .f4v",
    ("mov", "mpeg4"): ".mov .qt .m4v",
    ("3gp", "mpeg4"): ".3gp .3g2",
    ("matroska", "libx264"): ".mkv .mk3d",
    ("webm", "libvpx"): ".webm",
    ("avi", "mpeg4"): ".avi .divx .xvid",
    ("asf", "wmv2"): ".wmv .asf",
    ("wtv", "mpeg2video"): ".wtv",
    ("flv", "flv"): ".flv",
    ("ogg", "libvpx"): ".ogv .ogm",
    ("rm", "rv10"): ".rm .rmvb",
    ("mxf", "mpeg2video"): ".mxf",
    ("nut", "mpeg4"): ".nut",
    ("ivf", "libvpx"): ".ivf",
    ("yuv4mpegpipe", "wrapped_avframe"): ".y4m",
    ("mpeg", "mpeg1video"): ".mpg .mpeg .mpe .mod",
    ("vob", "mpeg2video"): ".vob .vro",
    ("mpegts", "libx264"): ".ts .m2ts .mts .m2t .tod .tp .trp",
    ("gif", "gif"): ".gif",
    ("apng", "apng"): ".apng",
    ("mjpeg", "mjpeg"): ".mjpeg .mjpg",
    ("mpeg2video", "mpeg2video"): ".m2v .mpv",
    ("h264", "libx264"): ".h264 .264 .avc",
    ("hevc", "libx265"): ".h265 .265 .hevc",
    ("obu", "libsvtav1"): ".obu",
}
FORMS = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p"}


def test_every_ending_of_a_video_has_a_kind():
    assert sorted(VIDEOS) == sorted(" ".join(KINDS.values()).split())


@pytest.mark.parametrize(("kind", "endings"), KINDS.items(), ids=[kind[0] for kind in KINDS])
def test_videos_of_known_endings_are_read(tmp_path, kind, endings):
    file = tmp_path / f"video{endings.split()[0]}"
    with av.open(str(file), "w", format=kind[0]) as container:
        stream = container.add_stream(kind[1], rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, FORMS.get(kind[0], "yuv420p")
        if kind[1] == "libx265":
            stream.options = {"x265-params": "log-level=error"}
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    for ending in endings.split():
        file = file.rename(file.with_suffix(ending))
        survey(file)
        with open_source(file) as source:
            frames = list(source.frames())
        assert [round(frame.rgb.mean() / 20) for frame in frames] == list(range(8)), ending
        steps = np.diff([float(frame.time * source.time_base) for frame in frames])
        assert steps == pytest.approx(1 / 25, abs=0.0021), ending


def test_images_of_known_endings_are_read(tmp_path):
    wanted = np.full((16, 24, 3), 120, np.uint8)
    for ending in IMAGES:
        kind = {".jpe": "JPEG", ".jfif": "JPEG"}.get(ending)
        Image.fromarray(wanted).save(tmp_path / f"image{ending}", kind)
        with open_source(tmp_path / f"image{ending}") as source:
            assert [np.abs(frame.rgb.astype(int) - wanted).max() < 3 for frame in source.frames()] == [True], ending


@pytest.mark.parametrize("name", ["x" * 255, LONG + "x" * 15, NO_TEXT + "x" * 250])
def test_names_are_cut_to_what_a_file_can_have(tmp_path, name):
    made = {fitting_name(word, ending) for word in (name, f"{name}y") for ending in (".json", ".parts", "")}
    assert len(made) == 6
    for one in made:
        assert len(os.fsencode(one)) <= LONGEST_NAME
        (tmp_path / one).touch()
    assert fitting_name("x" * 250, ".json") == "x" * 250 + ".json" != fitting_name("x" * 251, ".json")


def test_files_and_folders_of_the_longest_names_are_written(tmp_path):
    for name in ("x" * 255, "漢" * 85):
        with whole_file(tmp_path / name) as temporary:
            temporary.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        touch(tmp_path / name, "inside")
        remove_folder(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="takes 256 bytes, wanted 255 at most"):
        check_export(tmp_path / ("x" * 256))


def test_names_beside_a_result_differ_and_stay_as_they_are_where_they_fit(tmp_path):
    for output in (tmp_path / "out.mp4", tmp_path / f"{LONG}.mp4"):
        beside = [parts_folder(output), notes_file(output), sheet_file(output)]
        assert len({output, *beside}) == 4
    assert names(beside[:2]) == [f".{LONG}.mp4.parts", f"{LONG}.mp4.json"]
    assert sheet_file(tmp_path / "a.mp4") != sheet_file(tmp_path / "a.png")
    write_notes(output, {"a": 1})
    touch(tmp_path, output.name, sheet_file(output).name)
    assert is_sheet(sheet_file(output)) and not is_sheet(tmp_path / "b_before_after.png")


def test_default_names(tmp_path, monkeypatch):
    (tmp_path / "2021.05.03").mkdir()
    monkeypatch.chdir(tmp_path / "2021.05.03")
    assert default_name(tmp_path / "2021.05.03", "1.5x", "auto") == "2021_05_03_1_5x"
    assert default_name(Path(), "4k", "auto") == "2021_05_03_4k"
    assert default_name(Path(".."), "4k", "auto") == f"{tmp_path.name}_4k"
    assert default_name(tmp_path / "my.clip.mov", "2x", "auto") == "my.clip_2x.mp4"
    assert default_name(tmp_path / "my.clip.mov", "2x", "png") == "my_clip_2x"
    assert default_name(tmp_path / "old.WMV", "2x", "auto") == "old_2x.mkv"  # whose sound .mp4 cannot hold
    assert default_name(tmp_path / "old.wmv", "2x", "prores") == "old_2x.mov"
    part = Span(Fraction(90), Fraction(201, 2))
    assert default_name(tmp_path / "my.clip.mov", "2x", "auto", part) == "my.clip_2x_from_90s_to_100_5s.mp4"
    assert default_name(tmp_path / "my.clip.mov", "2x", "auto", Span(Fraction(90))) == "my.clip_2x_from_90s.mp4"
    one, other = (default_name(tmp_path / f"{'x' * 250}{i}.mp4", "2x", "auto") for i in (1, 2))
    assert one != other and all(len(name) == LONGEST_NAME and name.endswith(".mp4") for name in (one, other))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("file", "is a file, wanted a folder"),
        ("file/a.mp4", "is a file, wanted a folder"),
        ("gone", "is a link to nothing, wanted a folder"),
        ("gone/a.mp4", "is a link to nothing, wanted a folder"),
        ("gone.mp4", "is a link to nothing, wanted a file"),
        ("folder.mp4", "is a folder, wanted a file"),
        ("notes.mp4", "notes.mp4.json is a folder, wanted a file"),
        ("parts.mp4", ".parts.mp4.parts is a file, wanted a folder"),
        ("/proc/a.mp4", "cannot be written there"),
        ("/proc", "a disk is mounted"),
    ],
)
def test_outputs_that_would_fail_after_the_work(tmp_path, monkeypatch, output, said):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "file", ".parts.mp4.parts")
    for name in ("folder.mp4", "notes.mp4.json"):
        (tmp_path / name).mkdir()
    for name in ("gone", "gone.mp4"):
        (tmp_path / name).symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="--output") as error:
        check_output(Path(output))
    assert said in str(error.value) and sorted(tmp_path.iterdir()) == before


def test_names_that_are_no_text_have_fingerprints_and_draws(tmp_path):
    touch(tmp_path, f"{NO_TEXT}1.png", f"{NO_TEXT}2.png")
    files = sorted(tmp_path.iterdir())
    assert fingerprint_all(files, tmp_path) != fingerprint_all(files[:1], tmp_path)
    draw = ("bi", 4, 0, NO_TEXT, 3, (16, 16))
    assert draw_parameters(*draw) == draw_parameters(*draw)


@pytest.mark.parametrize("name", [LONG + "x" * 15, NO_TEXT])
def test_degraded_clips_have_such_names_too(tmp_path, name):
    frame = np.full((16, 24, 3), 99, np.uint8)
    (tmp_path / "in" / name).mkdir(parents=True)
    Image.fromarray(frame).save(tmp_path / "in" / name / f"{NO_TEXT}.png")
    (clip,) = find_sequences(tmp_path / "in")
    written = write_like(clip, [frame], tmp_path / "lr" / clip.name)
    parameters_file(tmp_path / "lr", clip).touch()
    assert written.name == name and names(written.iterdir()) == [f"{NO_TEXT}.png"]
    assert len(list((tmp_path / "lr").iterdir())) == 2


def test_patterns_pass_over_what_lies_in_a_result(tmp_path):
    for folder in ("seq", "seq_2x"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / folder / "1.png")
    write_notes(tmp_path / "seq_2x", {"a": 1})
    (tmp_path / "_before_after.png").touch()
    assert find_inputs((f"{tmp_path}/*/*.png",)) == [tmp_path / "seq" / "1.png"]
    assert find_inputs((f"{tmp_path}/**/1.png",)) == [tmp_path / "seq" / "1.png"]


def test_an_empty_name_is_not_this_folder():
    with pytest.raises(InputError, match="--input: got an empty name"):
        find_inputs(("",))


def test_what_of_a_folder_is_left_out_is_said(tmp_path, caplog):
    for name in ("a.mp4", "b.JPG", "c.jpg", "Fotos 1994/scan.png", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with caplog.at_level("INFO", "realis"):
        assert find_inputs((str(tmp_path),)) == [tmp_path / "a.mp4"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 2 images in it, such as b.JPG, left out; name them to upscale them",
        f"{tmp_path}: 1 folder in it, such as Fotos 1994, left out; name them to upscale them",
    ]


@pytest.mark.parametrize(("word", "meant"), [("long.mp3", "long.mp4"), ("Omas", "Omas Geburtstag"), ("quite else", "")])
def test_a_name_that_is_not_there_is_refused_with_what_may_be_meant(tmp_path, word, meant):
    (tmp_path / "long.mp4").touch()
    (tmp_path / "Omas Geburtstag").mkdir()
    with pytest.raises(InputError, match="nothing there; wanted a video, an image or a folder") as error:
        find_inputs((str(tmp_path / "long.mp4"), str(tmp_path / word)))
    assert ("is meant?" not in str(error.value)) and (f"is {tmp_path / meant} meant?" in str(error.value)) == bool(
        meant
    )
