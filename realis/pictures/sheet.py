"""Draw contact sheets: two images side by side with crops at full size, and grids of labelled images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from realis.core.files import whole_file

MARGIN, LABEL, MINIMUM = 8, 22, 360  # pixels: between images, height of a label, least width of a sheet
SOFTWARE, SUBJECT = "realis", "Shows"  # in the metadata of a sheet: who wrote it, key of what it shows


def before_after_sheet(
    before: np.ndarray, after: np.ndarray, labels: tuple[str, str], crop: int = 320, crops: int = 4
) -> Image.Image:
    """Compare two images of one size.

    Args:
        before, after: (H, W, 3) uint8.
        labels: their names.
        crop: side of the crops, shown pixel for pixel.
        crops: how many, taken where there is most detail, apart from each other.

    Returns:
        The whole frames on top, below them the crops of ``before`` and under each the same of ``after``.
    """
    crop = min(crop, *before.shape[:2])
    places = detailed_places(before, crop, crops)
    width = max(len(places) * (crop + MARGIN) + MARGIN, MINIMUM)
    half = (width - 3 * MARGIN) // 2
    small = (half, min(max(round(half * before.shape[0] / before.shape[1]), 1), 4 * half))
    sheet = Image.new("RGB", (width, small[1] + 2 * crop + 3 * (LABEL + MARGIN) + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    whole = f"{before.shape[1]}x{before.shape[0]}"
    for i, (image, label) in enumerate(zip((before, after), labels, strict=True)):
        x = MARGIN + i * (half + MARGIN)
        draw.text((x, MARGIN), f"{label}, {whole}", "black", font)
        sheet.paste(Image.fromarray(image).resize(small, Image.Resampling.LANCZOS), (x, MARGIN + LABEL))
        y = small[1] + 2 * MARGIN + LABEL + i * (crop + LABEL + MARGIN)
        draw.text((MARGIN, y), f"{label}, pixel for pixel", "black", font)
        for j, (top, left) in enumerate(places):
            cut = Image.fromarray(image[top : top + crop, left : left + crop])
            sheet.paste(cut, (MARGIN + j * (crop + MARGIN), y + LABEL))
    return sheet


def detailed_places(image: np.ndarray, crop: int, count: int) -> list[tuple[int, int]]:
    """Return the top left corners of up to ``count`` crops with the most gradient energy; none overlaps another."""
    grey = image.astype(np.float32).mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0))[:, 1:] + np.abs(np.diff(grey, axis=1))[1:]
    step = max(crop // 4, 1)
    corners = [
        (y, x) for y in range(0, image.shape[0] - crop + 1, step) for x in range(0, image.shape[1] - crop + 1, step)
    ]
    corners.sort(key=lambda c: -energy[c[0] : c[0] + crop, c[1] : c[1] + crop].mean())
    chosen: list[tuple[int, int]] = []
    for y, x in corners:
        if len(chosen) < count and all(abs(y - v) >= crop or abs(x - u) >= crop for v, u in chosen):
            chosen.append((y, x))
    return chosen


def grid_sheet(images: Iterable[tuple[str, np.ndarray]], columns: int, side: int) -> Image.Image:
    """Draw labelled images (H, W, 3) uint8 in rows of ``columns``, each resized to ``side`` pixels wide.

    Pixels of smaller images are repeated, so that they can be counted. Only one image at a time is held at full size.
    """
    cells = [(label, _of_width(image, side)) for label, image in images]
    columns = max(min(columns, len(cells)), 1)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(image.height for _, image in row) + LABEL + MARGIN for row in rows]
    sheet = Image.new("RGB", (columns * (side + MARGIN) + MARGIN, sum(heights) + MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    y = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for i, (label, image) in enumerate(row):
            x = MARGIN + i * (side + MARGIN)
            draw.text((x, y), _shortened(label, draw, font, side), "black", font)
            sheet.paste(image, (x, y + LABEL))
        y += height
    return sheet


def _shortened(label: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """Cut ``label`` to what fits into ``width`` pixels."""
    if draw.textlength(label, font) <= width:
        return label
    while label and draw.textlength(f"{label}...", font) > width:
        label = label[:-1]
    return f"{label}..."


def _of_width(image: np.ndarray, width: int) -> Image.Image:
    size = (width, max(round(image.shape[0] * width / image.shape[1]), 1))
    filter = Image.Resampling.NEAREST if image.shape[1] <= width else Image.Resampling.LANCZOS
    return Image.fromarray(image).resize(size, filter)


def save_sheet(sheet: Image.Image, file: Path, subject: str = "") -> None:
    """Write ``sheet`` as PNG, complete or not at all, with its ``subject`` in the metadata for :func:`read_subject`.

    Raises:
        InputError: it cannot be written.
    """
    mark = PngInfo()
    mark.add_text("Software", SOFTWARE)
    mark.add_text(SUBJECT, subject)
    with whole_file(file) as temporary:
        sheet.save(temporary, "PNG", pnginfo=mark)


def read_subject(file: Path) -> str | None:
    """Read the subject of a sheet; ``None`` if :func:`save_sheet` did not write ``file``."""
    try:
        with Image.open(file) as image:
            return image.info.get(SUBJECT, "") if image.info.get("Software") == SOFTWARE else None
    except OSError:
        return None
