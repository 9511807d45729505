"""Open a file of weights as the network that spandrel finds in it; torch is imported once the file may be one."""

import importlib.util
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from realis.core.errors import InputError, file_error, reason

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

ENDINGS = (".pth", ".pt", ".ckpt", ".safetensors")
PURPOSES = ("SR", "Restoration")  # in spandrel's words; not FaceSR, which takes aligned faces, nor Inpainting
INSTALL = "pip install -c constraints.txt -e '.[image]'"
FLAG = "--image.weights"
# What spandrel's architectures raise where the tensors are not what their names promise
MISFITS = (RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError)


def check_file(weights: str) -> Path:
    """Return the file ``weights`` if it may hold tensors, as far as its name and its ends tell.

    Raises:
        InputError: it cannot be one, or spandrel is not installed.
    """
    file, wanted = Path(weights), f"a file of weights ({', '.join(ENDINGS)})"
    if not weights:
        raise InputError(f"{FLAG}: got nothing, wanted {wanted}; docs/upscaling.md says where there are some")
    if not file.is_file():
        raise InputError(f"{FLAG} {file}: {'is a folder' if file.is_dir() else 'nothing there'}; wanted {wanted}")
    if file.suffix.lower() not in ENDINGS:
        raise InputError(f"{FLAG} {file}: got the ending {file.suffix or 'none'}, wanted {wanted}")
    if importlib.util.find_spec("spandrel") is None:
        raise InputError(f"--method image: spandrel is not installed; {INSTALL}")
    try:
        if file.suffix.lower() == ".safetensors":
            with safe_open(file, "numpy"):
                return file
        with file.open("rb") as content:
            is_pickle = content.read(1) == b"\x80"  # as PyTorch wrote before 1.6
        if not is_pickle:
            with zipfile.ZipFile(file) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    raise InputError(f"{FLAG} {file}: is a TorchScript program, wanted tensors (a state dict)")
    except (SafetensorError, zipfile.BadZipFile, OSError) as error:
        raise file_error(f"{FLAG} {file}: is damaged, or no file of tensors ({reason(error)})", error) from error
    return file


def open_network(file: Path) -> "ImageModelDescriptor":
    """Open a file that :func:`check_file` passed: on the CPU, in the precision of the file.

    Raises:
        InputError: it holds more than tensors, is damaged, or is no network that makes an image of an image.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise InputError(f"--method image: {error}; {INSTALL}") from error

    from realis.models.weights import read_checkpoint

    checkpoint = read_checkpoint(file, FLAG)
    try:
        network = ModelLoader().load_from_state_dict(checkpoint)
    except UnsupportedModelError as error:
        raise InputError(f"{FLAG} {file}: holds no network that spandrel knows, or only a part of one") from error
    except MISFITS as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{FLAG} {file}: spandrel cannot make a network of it ({what})") from error
    if not isinstance(network, ImageModelDescriptor) or network.purpose not in PURPOSES:
        wanted = "super-resolution or restoration of whole images"
        raise InputError(f"{FLAG} {file}: {network.architecture.name} is for {network.purpose}, wanted {wanted}")
    channels = (network.input_channels, network.output_channels)
    if channels != (3, 3):
        got = "takes {} and makes {} channels".format(*channels)
        raise InputError(f"{FLAG} {file}: {network.architecture.name} {got}, wanted 3 and 3")
    return network
