"""Find image and video files by their endings, in folders or by patterns, in natural order."""

import glob
import os
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from realis.core.errors import InputError
from realis.core.log import logger
from realis.video.results import is_result, is_sheet

# Not .avif: libav decodes its picture without its transparency and says nothing.
IMAGES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp")
VIDEOS = (
    *(".mp4", ".mov", ".qt", ".m4v", ".f4v", ".3gp", ".3g2", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".xvid"),
    *(".wmv", ".asf", ".wtv", ".flv", ".ogv", ".ogm", ".rm", ".rmvb", ".mxf", ".nut", ".ivf", ".y4m"),
    *(".mpg", ".mpeg", ".mpe", ".vob", ".vro", ".mod", ".ts", ".m2ts", ".mts", ".m2t", ".tod", ".tp", ".trp"),
    *(".gif", ".apng", ".mjpeg", ".mjpg"),
    *(".m2v", ".mpv", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".obu"),  # the stream alone
)

WILDCARDS = "*?["


def natural(file: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts ``2.png`` before ``10.png``; the name decides between ``1.png`` and ``01.png``."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], file.name


def files_in(folder: Path, endings: tuple[str, ...], below: bool = False, results: bool = False) -> list[Path]:
    """Return the files in ``folder`` that end in one of ``endings``, in upper or lower case, in natural order.

    Skipped are hidden files, among them the ``._NAME`` in which macOS stores metadata on other file systems, the sheets
    beside results of earlier runs, and, unless they are asked for, these results, so that they may lie beside their
    sources.

    Args:
        folder: where to look.
        endings: as :data:`IMAGES`.
        below: look in the folders below it as well.
        results: whether results of earlier runs count.

    Raises:
        InputError: the folder cannot be listed.
    """
    found = [file for file in visible_files(folder, below, results) if file.suffix.lower() in endings]
    return sorted((file for file in found if not (results and is_sheet(file))), key=natural)


def visible_files(folder: Path, below: bool = False, results: bool = True) -> Iterator[Path]:
    """Yield the files in ``folder``, and ``below`` it, that neither are hidden nor lie in a hidden folder.

    Links are followed, but for those that lead back to a folder above them.

    Args:
        folder: where to look.
        below: look in the folders below it as well; one that cannot be listed is passed over with a warning.
        results: whether results of earlier runs, files or folders, and the sheets beside them count.

    Raises:
        InputError: ``folder`` itself cannot be listed.
    """

    def fail(error: OSError) -> None:
        if error.filename == str(folder):
            raise InputError(f"{folder}: cannot be listed ({error.strerror})") from error
        logger.warning("%s: cannot be listed (%s); passed over", error.filename, error.strerror)

    for root, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        # Looking for notes beside each file takes a second for 10,000 frames: only where there may be some
        looks = not results and any(name.endswith((".json", ".parts")) for name in (*folders, *names))
        shown = (Path(root, name) for name in (*folders, *names) if not name.startswith("."))
        found = [path for path in shown if not (looks and (is_result(path) or is_sheet(path)))]
        real = Path(root).resolve()
        inner = [path for path in found if below and path.name in folders]
        folders[:] = [path.name for path in inner if path.resolve() not in (real, *real.parents)]
        yield from (path for path in found if path.is_file())


def matching(pattern: str) -> list[Path]:
    """Return the files and folders that a pattern such as ``raw/**/*.mp4`` matches, in natural order.

    As in a shell, upper and lower case differ, and hidden ones must be asked for. Results of earlier runs and their
    sheets are skipped.
    """
    paths = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob finds hidden ones
    results: dict[Path, bool] = {}

    def is_of_a_run(path: Path) -> bool:
        if path not in results:
            results[path] = bool(path.name) and (is_result(path) or is_sheet(path))
        return results[path] or (path != path.parent and is_of_a_run(path.parent))

    return sorted((path for path in paths if not is_of_a_run(path)), key=natural)


def describe_folder(folder: Path, endings: tuple[str, ...], below: bool = False) -> str:
    """Say what a folder holds in which :func:`files_in` finds nothing."""
    files = list(visible_files(folder, below))
    results = [file.name for file in files if file.suffix.lower() in endings]
    others = sorted({file.suffix.lower() or file.name for file in files})
    if results:
        return f"it holds only results of earlier runs, such as {min(results)}, which are passed over unless named themselves"
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    held = f"it holds {', '.join(others[:8])} files" if others else "it holds no files"
    held += f", and folders, which can be given themselves: {', '.join(folders[:8])}" if folders and not below else ""
    return f"{held}; {known_endings(endings)}"


def describe_unmatched(pattern: str, endings: tuple[str, ...]) -> str:
    """Say why :func:`matching` finds no files that end in one of ``endings``, nor a folder of them."""
    parts = Path(pattern).parts[:-1]
    folder = Path(*takewhile(lambda part: not any(letter in part for letter in WILDCARDS), parts))
    if not folder.is_dir():
        return f"the folder {folder} is not there"
    names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - as matching
    if not names:
        return f"nothing in {folder.resolve()} matches it"
    if results := [name for name in names if Path(name).suffix.lower() in endings]:
        return f"it matches only results of earlier runs, such as {results[0]}, which are passed over unless named themselves"
    return f"it matches nothing of a known ending, but {', '.join(names[:3])}{', ...' * (len(names) > 3)}; {known_endings(endings)}"


def known_endings(endings: tuple[str, ...]) -> str:
    """Say which endings are known, without a list that buries the message."""
    return f"known endings are {', '.join(endings[:3])} and {len(endings) - 3} more, listed in docs/upscaling.md"
