"""Pictures of an evaluation: a crop of one frame of every row, and the temporal profiles of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from realis.evaluation.footage import Footage, file_name
from realis.evaluation.measure import Measured
from realis.evaluation.results import Restored
from realis.pictures.profile import TemporalProfile, busiest_row, profile_sheet
from realis.pictures.sheet import detailed_places, grid_sheet, save_sheet

SHEETS = 12  # clips of a case of which pictures are made
CROP, COLUMNS = 128, 4  # pixels a side; crops in a row, twice as large in the picture


def save_sheets(found: Sequence[Restored], measured: Sequence[Measured], output: Path) -> None:
    """Save pictures of the first clips of every case, of what could be measured of each."""
    cases: dict[tuple[str, str], dict[str, Footage]] = {}
    clips = {one.clip.name: one.clip for one in found}
    for one, what in zip(found, measured, strict=True):
        if one.footage and one.clip.truth and what.values is not None:
            cases.setdefault((one.case, one.clip.name), {})[one.row] = one.footage
    first = {name for name, _ in zip(clips, range(SHEETS), strict=False)}
    for (case, name), rows in cases.items():
        truth = clips[name].truth
        if name in first and truth:
            save_clip_sheet(truth, rows, output / "sheets" / f"{file_name(case, name)}.png")


def save_clip_sheet(truth: Footage, restored: Mapping[str, Footage], file: Path) -> None:
    """Save a picture of one clip: on top a crop of the middle frame, where the truth has most detail, of the truth and of
    every row; below, the row of pixels that moves most over time.

    Args:
        truth: the ground truth.
        restored: the same of each row of the table, by its name, of the size of the truth.
        file: a PNG.

    Raises:
        InputError: it cannot be written.
    """
    frames = sum(1 for _ in truth.read())
    middle, line = _image_at(truth, frames // 2), busiest_row(_every_image(truth))
    crop = min(CROP, *middle.shape[:2])
    ((top, left),) = detailed_places(middle, crop, 1)
    crops, profiles = [], {}
    for name, footage in {"truth": truth, **restored}.items():
        profile = TemporalProfile(line)
        for number, image in enumerate(_every_image(footage)):
            profile.add(image)
            if number == frames // 2:
                crops.append((name, image[top : top + crop, left : left + crop]))
        profiles[name] = profile.image()
    sheets = grid_sheet(crops, COLUMNS, 2 * crop), profile_sheet(profiles)
    size = max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)
    both = Image.new("RGB", size, "white")
    both.paste(sheets[0], (0, 0))
    both.paste(sheets[1], (0, sheets[0].height))
    file.parent.mkdir(parents=True, exist_ok=True)
    save_sheet(both, file)


def _every_image(footage: Footage) -> Iterator[np.ndarray]:
    from realis.ops.pixels import planes_to_image, to_uint8

    return (planes_to_image(to_uint8(frame)) for frame in footage.read())


def _image_at(footage: Footage, number: int) -> np.ndarray:
    return next(image for i, image in enumerate(_every_image(footage)) if i == number)
