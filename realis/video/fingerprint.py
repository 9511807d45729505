"""Identify the content of a file or folder by its size and a hash of parts of it, so that gigabytes take no time."""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from realis.video.names import visible_files

BLOCK, BLOCKS = 1 << 16, 256  # bytes of a block, blocks of a file that are hashed


def fingerprint(path: Path, parts: Collection[str] = ()) -> str:
    """Return a text that changes with the content of a file, or with names and contents of the files in a folder.

    A file of up to 16 MiB is hashed whole, a larger one by 256 blocks spread over all of it. Hidden files
    in a folder do not count.

    Args:
        path: the file or folder.
        parts: the files and folders directly in a folder that count; empty: all.
    """
    if path.is_dir():
        files = sorted(visible_files(path, below=True))
        return fingerprint_all([file for file in files if not parts or file.relative_to(path).parts[0] in parts], path)
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        for block in range(BLOCKS):
            file.seek(block * max(size - BLOCK, 0) // (BLOCKS - 1) if size > BLOCK * BLOCKS else block * BLOCK)
            digest.update(file.read(BLOCK))
    return f"{size}-{digest.hexdigest()[:32]}"


def fingerprint_all(files: list[Path], folder: Path) -> str:
    """Return a text that changes with the contents of ``files`` and with their names relative to ``folder``."""
    every = [f"{file.relative_to(folder)} {fingerprint(file)}\n" for file in files]
    return hashlib.sha256(os.fsencode("".join(every))).hexdigest()[:32]  # names need not be UTF-8
