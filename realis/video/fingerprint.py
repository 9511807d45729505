"""What a file or folder is, in a short text: its size and a hash of parts of it, so that gigabytes take no time."""

import hashlib
import os
from pathlib import Path

from realis.video.names import visible_files

BLOCK, BLOCKS = 1 << 16, 256


def fingerprint(path: Path) -> str:
    """A text that changes with the content of a file, or with names and contents of the files in a folder. Hidden ones
    do not count.

    Up to 16 MiB all of a file counts, of larger ones 256 blocks spread over it, the first and the last among them.
    """
    if path.is_dir():
        return fingerprint_all(sorted(visible_files(path, below=True)), path)
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        for block in range(BLOCKS):
            file.seek(block * max(size - BLOCK, 0) // (BLOCKS - 1) if size > BLOCK * BLOCKS else block * BLOCK)
            digest.update(file.read(BLOCK))
    return f"{size}-{digest.hexdigest()[:32]}"


def fingerprint_all(files: list[Path], folder: Path) -> str:
    """A text that changes with names in ``folder`` and contents of ``files``."""
    every = [f"{file.relative_to(folder)} {fingerprint(file)}\n" for file in files]
    return hashlib.sha256(os.fsencode("".join(every))).hexdigest()[:32]  # names need not be UTF-8
