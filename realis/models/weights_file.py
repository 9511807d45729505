"""What a file of weights is by its content, told without torch: safetensors, or a checkpoint of torch, and whole."""

import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from realis.core.errors import InputError, file_error, reason

FORMATS = "safetensors or a checkpoint of torch"
DAMAGED = f"damaged, or no weights; wanted {FORMATS}; get it again"
BROKEN = (SafetensorError, zipfile.BadZipFile, NotImplementedError, ValueError)  # what the readers of both raise
PICKLE = b"\x80"  # how checkpoints begin that torch wrote before 1.6, or still does on request; later ones are archives


def check_weights_file(file: str | Path, flag: str, wanted: str = "a file of weights") -> Path:
    """Return the path of a file if it may hold tensors, as far as its beginning and its end tell, whatever its name is.

    Args:
        file: as it was given.
        flag: what names the file, for messages.
        wanted: what should have been given, where there is no file.

    Raises:
        InputError: it is missing, a folder, empty, text, cut short, or a TorchScript program.
    """
    if not str(file):
        raise InputError(f"{flag}: got nothing, wanted {wanted}")
    what, file = f"{flag} {file}", Path(file)
    if not file.is_file():
        raise InputError(f"{what}: {'is a folder' if file.is_dir() else 'nothing there'}; wanted {wanted}")
    try:
        fault = content_fault(file)
    except OSError as error:
        raise file_error(f"{what}: cannot be read ({reason(error)})", error) from error
    except BROKEN as error:
        raise file_error(f"{what}: {DAMAGED}", error) from error
    if fault:
        raise InputError(f"{what}: {fault}")
    return file


def content_fault(file: Path) -> str:
    """Return what is wrong with the content of a file of weights; empty if nothing is seen to be.

    Raises:
        OSError: it cannot be read.
        SafetensorError, zipfile.BadZipFile, NotImplementedError, ValueError: it is cut short, or another kind of file.
    """
    with file.open("rb") as opened:
        beginning = opened.read(512)
    if not beginning:
        return f"is empty; wanted {FORMATS}; get it again"
    if min(beginning) >= ord("\t"):  # no format of weights does without smaller bytes
        return f"is text, such as a web page; wanted {FORMATS}; get it again"
    if is_safetensors(beginning):
        with safe_open(file, "numpy"):  # it compares the length of the file with what the header says
            return ""
    if beginning.startswith(PICKLE):
        return ""
    with zipfile.ZipFile(file) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        return f"is a TorchScript program; wanted {FORMATS} that holds tensors only (a state dict)"
    return "" if "data.pkl" in names else DAMAGED


def is_safetensors(beginning: bytes) -> bool:
    """Return whether a file that begins so, with nine bytes or more, is safetensors: a length, then JSON."""
    return beginning[8:9] == b"{"
