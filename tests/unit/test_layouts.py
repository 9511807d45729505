"""Folders of clips as manifests: the layouts of REDS and Vimeo-90K, and any other."""

import pytest

from footage import film, frames, manifest
from realis.core import log
from realis.core.errors import InputError
from realis.data.layouts import REDS4
from realis.data.manifest import ClipEntry, read_held_out, read_manifest
from realis.evaluation.published import DATA_SETS


@pytest.fixture(autouse=True)
def told(caplog):
    """What was told once is told again in the next test."""
    log.info_once.cache_clear()
    caplog.set_level("INFO", "realis")
    return caplog


def names(entries, root):
    return [entry.path.relative_to(root).as_posix() for entry in entries]


def reds(root, clips=("000", "001", "011", "015", "020", "239")):
    for clip in clips:
        frames(root / clip, 1)
    return root


@pytest.mark.parametrize("given", [".", "train", "train/train_sharp"])
def test_reds4_is_left_out_of_the_training_set_of_reds(tmp_path, told, given):
    root = reds(tmp_path / "train" / "train_sharp")
    frames(tmp_path / "val" / "val_sharp" / "000", 1)
    entries = read_manifest(str(tmp_path / given))
    assert entries == read_manifest(str(tmp_path / given)) == [ClipEntry(root / "001"), ClipEntry(root / "239")]
    (left_out,) = [line for line in told.messages if "REDS4" in line]
    assert "the clips 000, 011, 015, 020 of REDS are left out" in left_out and "in a table" in left_out
    held_out = read_held_out(str(tmp_path / given), entries)
    assert names(held_out, root) == list(REDS4)
    assert all(name in DATA_SETS["reds4"][0] for name in REDS4)


def test_a_table_names_clips_of_reds_whatever_they_are_for(tmp_path):
    root = reds(tmp_path / "train_sharp")
    table = manifest(tmp_path, [{"file_name": "train_sharp/000", "start": 1, "frames": 5, "caption": "A street."}])
    assert read_manifest(table) == [ClipEntry(root / "000", "A street.", 1, 5)]
    (root / "metadata.csv").write_text("file_name\n000\n001\n")
    assert names(read_manifest(str(root)), root) == ["000", "001"]
    with pytest.raises(InputError, match=r"clips that are trained on, too: 1 of 1, first \S+000; "):
        read_held_out(table, read_manifest(str(root)))


def test_a_part_of_reds_that_has_nothing_to_give_is_refused(tmp_path):
    tested, others = reds(tmp_path / "a" / "train_sharp", REDS4[:2]), reds(tmp_path / "b" / "train_sharp", ("001",))
    with pytest.raises(InputError, match="train_sharp: got no clips but those of REDS4, wanted others to train on"):
        read_manifest(str(tested))
    with pytest.raises(InputError, match="train_sharp: got none of REDS4, wanted the clips 000, 011"):
        read_manifest(str(others), held_out=True)
    assert names(read_held_out(str(tested), read_manifest(str(others))), tested) == ["000", "011"]


@pytest.fixture
def vimeo(tmp_path):
    for clip in ("00001/0001", "00001/0002", "00002/0001"):
        frames(tmp_path / "sequences" / clip, 1, name="im{}.png")
    (tmp_path / "sep_trainlist.txt").write_text("00002/0001\n00001/0002\n")
    (tmp_path / "sep_testlist.txt").write_text("00001/0001\n\n")
    return tmp_path


@pytest.mark.parametrize("given", [".", "sequences"])
def test_the_lists_of_vimeo_90k_say_what_is_trained_on(vimeo, given):
    entries = read_manifest(str(vimeo / given))
    assert names(entries, vimeo.resolve()) == ["sequences/00002/0001", "sequences/00001/0002"]
    assert names(read_held_out(str(vimeo / given), entries), vimeo.resolve()) == ["sequences/00001/0001"]


def test_wrong_lists_of_vimeo_90k_are_one_clear_line(vimeo):
    def refuses(message):
        with pytest.raises(InputError, match=message) as error:
            read_manifest(str(vimeo))
        assert "\n" not in str(error.value) and str(error.value).startswith("--clips.manifest: ")

    with (vimeo / "sep_trainlist.txt").open("a") as text:
        text.write("00003/0007\n00003/0008\n")
    refuses(r"sep_trainlist.txt: clips that it names are missing: 2 of 4, first \S+sequences/00003/0007")
    (vimeo / "sep_trainlist.txt").write_text("\n")
    refuses("sep_trainlist.txt: got no names, wanted a clip a line")
    (vimeo / "sep_trainlist.txt").unlink()
    refuses(
        r"sep_trainlist.txt: cannot be read \(No such file or directory\); wanted Vimeo-90K's list, beside sequences"
    )


def test_any_other_folder_gives_all_its_clips(tmp_path, told):
    frames(tmp_path / "b" / "000", 1)
    film(tmp_path / "a.mp4", frames=2, size=(16, 16))
    entries = read_manifest(str(tmp_path), "--data.manifest")
    assert (
        names(entries, tmp_path) == ["a.mp4", "b/000"] == names(read_manifest(str(tmp_path), held_out=True), tmp_path)
    )
    assert "no table in that folder; clips found: 2, without captions" in told.text
    with pytest.raises(InputError, match="clips that are trained on, too: 2 of 2"):
        read_held_out(str(tmp_path), entries)
    frames(tmp_path / "b" / "000" / "inner", 1)
    with pytest.raises(
        InputError, match=r"^--data.manifest: no table \(metadata.jsonl, .* b/000 holds frames and the clip"
    ):
        read_manifest(str(tmp_path), "--data.manifest")
