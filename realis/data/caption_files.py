"""Caption embeddings on disk: tensors (tokens, dim) by the caption's SHA-256, in 256 files by its first two digits."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from realis.core.errors import InputError, file_error

if TYPE_CHECKING:
    import torch

ANEW = "remove that file, and make it anew with train/precompute.py"


def caption_key(caption: str) -> str:
    """Return the name of a caption's tensor.

    >>> caption_key("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(caption.encode()).hexdigest()


def embedding_file(folder: str | Path, key: str) -> Path:
    """Return the file that holds the tensor called ``key``."""
    return Path(folder) / f"{key[:2]}.safetensors"


def check_embeddings(folder: str | Path, captions: Iterable[str]) -> None:
    """Make sure that ``folder`` has the embeddings of ``captions``; no tensor is read.

    Raises:
        InputError: one is missing, or a file cannot be read.
    """
    held: dict[Path, set[str]] = {}
    for caption in captions:
        file = embedding_file(folder, caption_key(caption))
        if file not in held:
            held[file] = held_keys(file)
        if caption_key(caption) not in held[file]:
            raise InputError(
                f"{folder}: no embedding of the caption {caption[:80]!r} there; make it with train/precompute.py"
            )


def held_keys(file: Path) -> set[str]:
    """Return the names of the tensors in a file; none if it is not there.

    Raises:
        InputError: it cannot be read.
    """
    if not file.is_file():
        return set()
    try:
        with safe_open(file, "np") as tensors:
            return set(tensors.keys())
    except (OSError, SafetensorError) as error:
        raise file_error(f"{file}: not a safetensors file ({error}); {ANEW}", error) from error


def read_embedding(folder: str | Path, caption: str) -> "torch.Tensor":
    """Embedding (tokens, dim) of ``caption``.

    Raises:
        InputError: it is not there any more, or not finite.
    """
    from realis.ops.finite import check_tensors

    file, key = embedding_file(folder, caption_key(caption)), caption_key(caption)
    try:
        with safe_open(file, "pt") as tensors:
            embedding = tensors.get_tensor(key)
    except (OSError, SafetensorError) as error:
        raise file_error(f"{file}: no embedding of the caption {caption[:80]!r} ({error})", error) from error
    check_tensors({key: embedding}, file, ANEW)
    return embedding
