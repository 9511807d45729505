"""Pictures of an evaluation: which there are, what they show, and when they are drawn again."""

from contextlib import nullcontext
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from realis.evaluation import pictures
from realis.evaluation.footage import Footage
from realis.evaluation.measure import Measured
from realis.evaluation.pictures import COLUMNS, WIDTH, draw_sheets, save_sheets, sheets_of
from realis.evaluation.results import Restored
from realis.evaluation.test_sets import Clip, write_images
from realis.parallel.workers import Workers
from realis.pictures.profile import LEAST_HEIGHT
from realis.pictures.sheet import LABEL, MARGIN, save_sheet

FRAMES, SIZE = 5, (48, 80)
LINE = 37  # the only one that moves, of a texture in the middle
MEASURED = Measured(FRAMES, SIZE, {"psnr_rgb": [30.0] * FRAMES})


def film(level):
    """A texture that stands still, of a brightness, and below it a bright pixel that goes one to the right every frame."""
    video = np.full((FRAMES, *SIZE, 3), level, np.uint8)
    video[:, 10:30, 20:40] = np.random.default_rng(0).integers(0, level + 1, (20, 20, 3))
    video[np.arange(FRAMES), LINE, 9 + np.arange(FRAMES)] = 255
    return video


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Footage by level."""
    folder, made = tmp_path_factory.mktemp("clips"), {}
    for level in (100, 60, 20):
        made[level] = Footage(folder / f"{level}.mkv")
        write_images(made[level].path, {}, SIZE, iter(film(level)), Fraction(25))
    return made


@pytest.fixture
def drawn(monkeypatch):
    """Names of the files that were drawn; this process draws them, for one that starts takes seconds."""
    names = []

    def tasks(pool, work, items, tick):
        for item in items:
            names.extend(sheet.file.name for sheet in item)
            yield item, work(item)

    monkeypatch.setattr(Workers, "tasks", tasks)
    return names


def results(clips, *names, case="", level=60):
    return [Restored(case, "ours", Clip(name, clips[100]), clips[level]) for name in names]


def save(found, folder):
    save_sheets(found, [MEASURED] * len(found), folder, 1)


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_picture_is_drawn_again_only_when_it_shows_something_else(clips, tmp_path, drawn):
    for _ in range(2):
        save(results(clips, "a", "b"), tmp_path)
        assert drawn == ["a.png", "b.png"]
    save(results(clips, "a") + results(clips, "b", level=20), tmp_path)
    assert drawn[2:] == ["b.png"]
    (other,) = results(clips, "b", level=20)
    save([*results(clips, "a"), Restored("", "theirs", other.clip, other.footage)], tmp_path)
    assert drawn[3:] == ["b.png"]  # the same pixels, of a row of another name


def test_pictures_of_what_is_no_longer_in_the_table_go_and_files_of_others_stay(clips, tmp_path, drawn, caplog):
    Image.new("RGB", (8, 8)).save(tmp_path / "mine.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "c.png")
    (tmp_path / "notes.txt").write_text("mine")
    save_sheet(Image.new("RGB", (8, 8)), tmp_path / "old.png")
    save(results(clips, "a", "b"), tmp_path)
    assert names_in(tmp_path) == ["a.png", "b.png", "c.png", "mine.png", "notes.txt"]
    save(results(clips, "b", "c"), tmp_path)
    assert names_in(tmp_path) == ["b.png", "c.png", "mine.png", "notes.txt"] and drawn == ["a.png", "b.png"]
    assert "c.png: no picture of ours" in caplog.text
    save([], tmp_path)
    assert names_in(tmp_path) == ["c.png", "mine.png", "notes.txt"]


def test_every_clip_is_read_once_which_the_progress_shows(clips, tmp_path, drawn, monkeypatch):
    read, counted, totals = [], [], []
    decode = Footage.read

    def reading(footage):
        for frame in decode(footage):
            read.append(footage.path.stem)
            yield frame

    monkeypatch.setattr(Footage, "read", reading)
    monkeypatch.setattr(pictures, "count_one", lambda: counted.append(1))
    monkeypatch.setattr(
        pictures, "progress", lambda total, unit: totals.append(total) or nullcontext(tqdm(disable=True))
    )
    save(results(clips, "a", case="mid") + results(clips, "a", case="mild", level=20), tmp_path)
    assert sorted(read) == ["100"] * FRAMES + ["20"] * FRAMES + ["60"] * FRAMES  # the truth for both tables
    assert totals == [len(read)] == [len(counted)]


def test_every_clip_of_every_table_has_a_file_of_its_own(clips, tmp_path):
    found = results(clips, "a/b", "a_b", case="mid") + results(clips, "a/b", "a_b", case="mild")
    found += [Restored("mid", "theirs", one.clip, one.footage) for one in found[:2]]
    sheets = sheets_of(found, [MEASURED] * 6, tmp_path)
    assert len({sheet.file for sheet in sheets}) == 4 and {sheet.file.parent for sheet in sheets} == {tmp_path}
    assert [list(sheet.rows) for sheet in sheets] == [["ours", "theirs"]] * 2 + [["ours"]] * 2


def test_what_is_shown_is_bounded_and_could_be_measured(clips, tmp_path):
    found = results(clips, *map(str, range(20)))
    found[1] = Restored("", "ours", found[1].clip, None, fault="could not be restored")
    long = Measured(500, SIZE, {})
    sheets = sheets_of(found, [long, long, Measured(500, SIZE, None), *[long] * 17], tmp_path)
    assert [sheet.file.stem for sheet in sheets] == [str(i) for i in range(12) if i not in (1, 2)]
    assert {sheet.truth.frames for sheet in sheets} == {one.frames for sheet in sheets for one in sheet.rows.values()}
    assert sheets[0].truth.frames == 96


def test_a_sheet_shows_the_crop_and_the_line_that_moves_of_the_truth_and_of_each_row(clips, tmp_path):
    """Four crops in a line, each below its label, and four profiles one below the other, across all of the sheet."""
    rows = {"a": clips[60], "truth": clips[20], "b": clips[60]}  # whatever a row is called
    found = [Restored("", row, Clip("clip", clips[100]), footage) for row, footage in rows.items()]
    (sheet,) = sheets_of(found, [MEASURED] * 3, tmp_path)
    draw_sheets([sheet])
    with Image.open(sheet.file) as image:
        pixels = np.asarray(image)
    side = (WIDTH + MARGIN) // COLUMNS - MARGIN
    zoom = -(-side // SIZE[0])
    assert pixels.shape[1] == WIDTH + 2 * MARGIN
    crop, profile = side // zoom, -(-LEAST_HEIGHT // FRAMES) * FRAMES
    top = MARGIN + LABEL + zoom * crop + MARGIN + MARGIN + LABEL
    for i, level in enumerate((100, 60, 20, 60)):
        video, left = film(level), MARGIN + i * (zoom * crop + MARGIN)
        cut = pixels[MARGIN + LABEL :, left:][: zoom * crop : zoom, : zoom * crop : zoom]
        windows = np.lib.stride_tricks.sliding_window_view(video[FRAMES // 2], cut.shape)
        assert (windows == cut).all(axis=(3, 4, 5)).any()
        drawn = pixels[top:, MARGIN : MARGIN + WIDTH][: profile : profile // FRAMES, :: WIDTH // SIZE[1]]
        np.testing.assert_array_equal(drawn, video[:, LINE])
        top += profile + MARGIN + LABEL
