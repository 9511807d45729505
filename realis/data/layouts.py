"""The clips of a folder without a table: those of REDS and Vimeo-90K by their layout, or all that lie there."""

from pathlib import Path

from realis.core.errors import InputError, file_error, reason, require
from realis.core.log import info_once
from realis.video.sequences import find_sequences

REDS = "train_sharp"  # folder of the training set of REDS
REDS4 = ("000", "011", "015", "020")  # clips of it that papers test on, and therefore do not train on
VIMEO = "sequences"  # folder of Vimeo-90K's clips of seven frames, with the lists beside it
TRAINING_LIST, TEST_LIST = "sep_trainlist.txt", "sep_testlist.txt"


def clips_of_folder(folder: Path, held_out: bool) -> list[Path]:
    """Return the clips in ``folder``, folders of frames and videos, in the order of their names or of a list.

    Of REDS' training set the clips of :data:`REDS4` are held out. Of Vimeo-90K those of the training list are trained
    on, those of the test list are held out. Of other folders it is all clips, whatever they are for.

    Raises:
        InputError: there are none, or a list cannot be read, or names one that is missing.
    """
    if reds := _reds(folder):
        return _clips_of_reds(reds, held_out)
    if vimeo := _vimeo(folder):
        return _clips_of_vimeo(vimeo, TEST_LIST if held_out else TRAINING_LIST)
    return [clip.path for clip in find_sequences(folder)]


def _reds(folder: Path) -> Path | None:
    if REDS in (folder.name, folder.resolve().name):
        return folder
    # As packed by its authors, train/train_sharp
    return next((inner for inner in (folder / REDS, folder / "train" / REDS) if inner.is_dir()), None)


def _clips_of_reds(folder: Path, held_out: bool) -> list[Path]:
    clips = {clip.name: clip.path for clip in find_sequences(folder)}
    tested = [name for name in REDS4 if name in clips]
    if held_out:
        require(bool(tested), str(folder), "none of REDS4", f"the clips {', '.join(REDS4)}, or some of them")
        return [clips[name] for name in tested]
    if tested:
        info_once(f"{folder}: the clips {', '.join(tested)} of REDS are left out, as papers test on them (REDS4); to train "
                  "on them, name all clips in a table")  # fmt: skip
    require(len(clips) > len(tested), str(folder), "no clips but those of REDS4", "others to train on")
    return [path for name, path in clips.items() if name not in REDS4]


def _vimeo(folder: Path) -> Path | None:
    root = folder.resolve().parent if folder.resolve().name == VIMEO else folder
    is_vimeo = (root / VIMEO).is_dir() and any((root / name).is_file() for name in (TRAINING_LIST, TEST_LIST))
    return root if is_vimeo else None


def _clips_of_vimeo(root: Path, name: str) -> list[Path]:
    file = root / name
    try:
        names = [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot be read ({reason(error)}); wanted Vimeo-90K's list, beside {VIMEO}"
        raise file_error(message, error) from error
    require(bool(names), str(file), "no names", "a clip a line, such as 00001/0001")
    clips = [root / VIMEO / name for name in names]
    missing = [clip for clip in clips if not clip.is_dir()]
    if missing:
        raise InputError(f"{file}: clips that it names are missing: {len(missing)} of {len(clips)}, first {missing[0]}")
    return clips
