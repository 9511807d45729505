"""Find and check the files of a Temporal Conditioning Module, before any weight is loaded. No torch."""

from pathlib import Path

from realis.core.errors import InputError, require
from realis.models.hub import STABLEVSR_TINY, model_folder, part_folder, read_json, read_part

PART = "controlnet"  # its folder in a model, as the authors of StableVSR publish it
SHRINKING = 3  # layers that shrink the guidance, to a fourth
# What a module has in common with the UNet whose features it adds to
COMMON = ("in_channels", "block_out_channels", "cross_attention_dim", "layers_per_block")


def tcm_folder(name: str, flag: str) -> Path:
    """Return the folder of a module.

    Args:
        name: stablevsr-tiny, a folder or a hub id, of the module or of a model that has it.
        flag: what asks for it, for messages.

    Raises:
        InputError: there is none.
    """
    folder = model_folder(name, flag, embedded=STABLEVSR_TINY, parts=(PART,), text_encoder=False)
    folder = part_folder(folder, PART)
    file = folder / "config.json"
    if not file.is_file() or read_json(file).get("_class_name") != "ControlNetModel":
        raise InputError(f"{flag}: {name} has no Temporal Conditioning Module (a ControlNetModel, in its folder {PART}); "
                         f"{flag} names one that was trained for its network")  # fmt: skip
    return folder


def check_tcm(tcm: Path, model: Path, flag: str) -> None:
    """Make sure that a module is whole, and fits the network of a model.

    Args:
        tcm: its folder.
        model: the folder of the upscaler.
        flag: what names the module, for messages.

    Raises:
        InputError: it does not.
    """
    config, unet = read_part(tcm), read_json(model / "unet" / "config.json")
    for name in COMMON:
        got, wanted = config.get(name), unet.get(name)
        require(got == wanted, f"{flag} {tcm}: {name}", repr(got), f"{wanted!r}, as the UNet of {model} has")
    widths = config.get("conditioning_embedding_out_channels")
    fits = isinstance(widths, list) and len(widths) == SHRINKING
    wanted = f"{SHRINKING}, for guidance four times as large as the LR"
    require(fits, f"{flag} {tcm}: conditioning_embedding_out_channels", repr(widths), wanted)
