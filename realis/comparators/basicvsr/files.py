"""Find and check the file of BasicVSR's weights, before any is loaded. No torch."""

from pathlib import Path

from realis.comparators.basicvsr.card import CARD, ORIGIN
from realis.models.weights_file import check_weights_file

EXPORTED = "diffusion_pytorch_model.safetensors"  # the file of the weights in an export


def find_weights(weights: str, flag: str) -> Path:
    """Return the file that ``weights`` names, or that in the folder of an export which it names.

    Raises:
        InputError: it is missing, or damaged as far as its beginning and its end tell.
    """
    wanted = f"a file such as {CARD.weights[0].name}, which is in {ORIGIN}; or a folder that train_comparator exported"
    is_export = bool(weights) and (Path(weights) / EXPORTED).is_file()
    return check_weights_file(Path(weights) / EXPORTED if is_export else weights, flag, wanted)
