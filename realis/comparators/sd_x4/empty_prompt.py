"""The file that keeps the embedding of the empty prompt, before it is loaded. No torch."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from realis.comparators.sd_x4.config import SdX4Config
from realis.core.errors import file_error, require
from realis.models.sd_x4.files import TOKENS
from realis.video.fingerprint import fingerprint

WRITER = "text encoder"  # a key of its metadata: the fingerprint of the text encoder that wrote it


def empty_prompt_weights(config: SdX4Config, folder: Path) -> Path | None:
    """Return what decides the embedding of the empty prompt where a file is to keep it: the text encoder of the model in
    ``folder`` if it wrote the file or is yet to, so that a result is the same before and after; else the file."""
    if not config.empty_prompt_embeds:
        return None
    file, encoder = Path(config.empty_prompt_embeds), folder / "text_encoder"
    if not file.is_file():
        return encoder
    with safe_open(file, "np") as tensors:
        writer = (tensors.metadata() or {}).get(WRITER)
    return encoder if encoder.is_dir() and writer == fingerprint(encoder) else file


def check_empty_prompt(file: Path, flag: str, text_dim: int) -> None:
    """Make sure that a file holds the embedding of a prompt, and nothing else.

    Raises:
        InputError: it does not.
    """
    try:
        with safe_open(file, "np") as tensors:
            names = list(tensors.keys())
            shapes = [tensors.get_slice(name).get_shape() for name in names]
    except (OSError, SafetensorError) as error:
        raise file_error(f"{flag} {file}: damaged or not a safetensors file ({error})", error) from error
    fits = shapes in ([[TOKENS, text_dim]], [[1, TOKENS, text_dim]])
    require(fits, f"{flag} {file}", f"tensors of shapes {shapes}", f"one of {TOKENS}x{text_dim}")
