"""Files by their names: which are images, which are videos, and their natural order."""

import re
from pathlib import Path

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".y4m", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv",
          ".gif")  # fmt: skip


def natural(file: Path) -> list[tuple[int, str]]:
    """Sort key by which ``2.png`` comes before ``10.png``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name.lower())]
