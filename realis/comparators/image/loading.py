"""Open a file of weights as the network that spandrel finds in it; torch is imported once the file may be one."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.image.config import flag
from realis.core.errors import InputError
from realis.models.weights_file import check_weights_file

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

PURPOSES = ("SR", "Restoration")  # in spandrel's words; not FaceSR, which takes aligned faces, nor Inpainting
INSTALL = "pip install -c constraints.txt -e '.[image]'"
FLAG = flag("weights")
# What spandrel's architectures raise where the tensors are not what their names promise
MISFITS = (RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError)


def open_network(weights: str | Path) -> "ImageModelDescriptor":
    """Open the network in the file ``weights``: on the CPU, in the precision of the file.

    Raises:
        InputError: spandrel is not installed, or the file is missing or damaged, holds more than tensors, or is no network
            that makes an image of an image.
    """
    file = check_weights_file(weights, FLAG, "a file of weights; docs/upscaling.md says where there are some")
    if importlib.util.find_spec("spandrel") is None:
        raise InputError(f"--method image: spandrel is not installed; {INSTALL}")
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
