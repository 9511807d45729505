"""Pictures of an evaluation: a crop of one frame of every row, and the temporal profiles of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from realis.core.files import remove_leftovers
from realis.core.log import logger, progress
from realis.core.records import digest
from realis.core.units import count
from realis.evaluation.footage import Footage, file_name
from realis.evaluation.measure import Measured
from realis.evaluation.results import Restored
from realis.parallel.progress import SharedProgress, count_one, share
from realis.parallel.workers import Workers
from realis.pictures.profile import busiest_row, profile_sheet
from realis.pictures.sheet import MARGIN, detailed_places, grid_sheet, read_subject, save_sheet

CLIPS, FRAMES = 12, 96  # of which pictures are made: the first clips of the test set, the first frames of each
WIDTH, COLUMNS = 1280, 4  # pixels across a sheet; crops side by side at most
ZOOM = 2  # pixels a side that a pixel of a crop takes at least
LINES = 64  # of the truth, at equal distances, of which the one that moves most is shown; all would fill the memory
MODULES = ("realis.ops.pixels",)


@dataclass(frozen=True)
class Sheet:
    """The picture of one clip in one table.

    Args:
        file: a PNG.
        truth: the ground truth, as far as it is shown.
        frames: how many it has.
        rows: the same of each row of the table, by its name, of the size of the truth.
    """

    file: Path
    truth: Footage
    frames: int
    rows: Mapping[str, Footage]

    def subject(self) -> str:
        """Return what changes with all that the picture shows."""
        return digest([self.truth.facts(), [[name, footage.facts()] for name, footage in self.rows.items()]])


# 1. All clips


def save_sheets(found: Sequence[Restored], measured: Sequence[Measured], folder: Path, workers: int) -> None:
    """Save pictures of the first clips of every table, of what could be measured of each, unless they are there; remove
    those of other clips, from an earlier run.

    Args:
        found: the results.
        measured: what was measured of each.
        folder: of the pictures.
        workers: processes; 0: one a core.

    Raises:
        InputError: a clip cannot be read any more, or a picture not be written.
        RunError: the disk is full, or a process was killed.
    """
    sheets = sheets_of(found, measured, folder)
    remove_others(folder, sheets)
    clips: dict[Footage, list[Sheet]] = {}
    for sheet in sheets:
        if not is_there(sheet):
            clips.setdefault(sheet.truth, []).append(sheet)
    if not clips:
        return
    frames = sum(same[0].frames * (1 + sum(len(sheet.rows) for sheet in same)) for same in clips.values())
    with progress(total=frames, unit="frame") as bar:
        shared = SharedProgress(bar.update)
        with Workers(workers, share, (shared.counter,), MODULES) as pool:
            for _, error in pool.tasks(draw_sheets, list(clips.values()), shared.tick):
                if error:
                    raise error


def sheets_of(found: Sequence[Restored], measured: Sequence[Measured], folder: Path) -> list[Sheet]:
    """Return the pictures that there are to be in ``folder``."""
    first = set(islice(dict.fromkeys(one.clip.name for one in found), CLIPS))
    sheets: dict[Path, Sheet] = {}
    for one, what in zip(found, measured, strict=True):
        if one.footage and one.clip.truth and what.values is not None and one.clip.name in first:
            file = folder / file_name(one.case, one.clip.name, ending=".png")
            frames = min(what.frames, FRAMES)
            rows = sheets[file].rows if file in sheets else {}
            rows = {**rows, one.row: replace(one.footage, frames=frames)}
            sheets[file] = Sheet(file, replace(one.clip.truth, frames=frames), frames, rows)
    return list(sheets.values())


def remove_others(folder: Path, sheets: Sequence[Sheet]) -> None:
    """Remove from ``folder`` the pictures of earlier runs that are none of ``sheets``; files of others stay."""
    remove_leftovers(folder)
    for file in set(folder.glob("*.png")) - {sheet.file for sheet in sheets}:
        if read_subject(file) is not None:
            file.unlink(missing_ok=True)


def is_there(sheet: Sheet) -> bool:
    """Return whether the picture was made before, or its name is that of a file of others, which stays."""
    subject = read_subject(sheet.file)
    if subject is None and sheet.file.exists():
        logger.warning("%s: no picture of ours; it stays, and none is made of that clip", sheet.file)
        return True
    return subject == sheet.subject()


# 2. One clip, in a worker


def draw_sheets(sheets: Sequence[Sheet]) -> None:
    """Draw the pictures of one ground truth, and save them. On top is a crop of the middle frame, where the truth has most
    detail, of the truth and of every row; below, the line of pixels that moves most over time.

    Raises:
        InputError: a clip cannot be read, or the picture not written.
        RunError: the disk is full.
    """
    truth, frames = sheets[0].truth, sheets[0].frames
    middle, step = frames // 2, ceil(truth.size()[0] / LINES)
    lines, image = lines_and_crop(truth, slice(step // 2, None, step), middle, (slice(None), slice(None)))
    busiest = busiest_row(lines)
    line = step // 2 + step * busiest
    for sheet in sheets:
        shown = 1 + len(sheet.rows)
        columns = ceil(shown / ceil(shown / COLUMNS))  # 5 are shown as 3 and 2
        side = (WIDTH + MARGIN) // columns - MARGIN
        zoom = ceil(side / min(side // ZOOM, *image.shape[:2]))
        crop = side // zoom
        ((top, left),) = detailed_places(image, crop, 1)
        place = slice(top, top + crop), slice(left, left + crop)
        crops = [(f"truth: frame {middle}, {crop}x{crop} pixels from ({left}, {top})", image[place])]
        profiles = [(f"truth: line {line} of {count(frames, 'frame')}, from top to bottom", lines[:, busiest])]
        for name, footage in sheet.rows.items():
            profile, cut = lines_and_crop(footage, slice(line, line + 1), middle, place)
            crops.append((name, cut))
            profiles.append((name, profile[:, 0]))
        both = grid_sheet(crops, columns, zoom * crop), profile_sheet(profiles, WIDTH)
        save_sheet(_stacked(both), sheet.file, sheet.subject())


def lines_and_crop(
    footage: Footage, lines: slice, number: int, place: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Return some lines of pixels of every frame, (F, lines, W, 3) uint8, and what is at ``place`` in frame ``number``,
    (h, w, 3) uint8; nothing else of the frames is kept or converted."""
    from realis.ops.pixels import to_bytes

    crop, kept = np.empty(0), []
    for i, frame in enumerate(footage.read()):
        image = frame.permute(1, 2, 0).numpy()
        kept.append(to_bytes(image[lines]))
        if i == number:
            crop = to_bytes(image[place])
        count_one()
    return np.stack(kept), crop


def _stacked(images: Sequence[Image.Image]) -> Image.Image:
    """Return images one below the other, on white."""
    sheet = Image.new("RGB", (max(one.width for one in images), sum(one.height for one in images)), "white")
    top = 0
    for one in images:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet
