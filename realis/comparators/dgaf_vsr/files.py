"""Find and check the files of a guiding U-Net, before any weight is loaded. No torch."""

from pathlib import Path

from realis.core.errors import InputError, require
from realis.models.hub import DGAF_VSR_TINY, model_folder, part_folder, read_json, read_part

PART = "guiding_unet"  # its folder in a model
# What it has in common with the UNet whose features it adds to
COMMON = ("out_channels", "block_out_channels", "cross_attention_dim", "layers_per_block")


def guiding_folder(name: str, flag: str) -> Path:
    """Return the folder of a guiding U-Net.

    Args:
        name: dgaf-vsr-tiny, a folder or a hub id, of the network or of a model that has it.
        flag: what asks for it, for messages.

    Raises:
        InputError: there is none.
    """
    folder = model_folder(name, flag, embedded=DGAF_VSR_TINY, parts=(PART,), text_encoder=False)
    folder = part_folder(folder, PART)
    file = folder / "config.json"
    if not file.is_file() or read_json(file).get("_class_name") != "GuidingUNet":
        raise InputError(f"{flag}: {name} has no guiding U-Net (a GuidingUNet, in its folder {PART}); {flag} names one that was "
                         "trained for its network")  # fmt: skip
    return folder


def check_guiding(guiding: Path, model: Path, flag: str) -> None:
    """Make sure that a guiding U-Net is whole, and fits the network of a model.

    Args:
        guiding: its folder.
        model: the folder of the upscaler.
        flag: what names it, for messages.

    Raises:
        InputError: it does not.
    """
    config, unet = read_part(guiding).get("unet_config"), read_json(model / "unet" / "config.json")
    require(isinstance(config, dict), f"{flag} {guiding}: unet_config", repr(config), "names and values")
    assert isinstance(config, dict)
    for name in COMMON:
        got, wanted = config.get(name), unet.get(name)
        require(got == wanted, f"{flag} {guiding}: {name}", repr(got), f"{wanted!r}, as the UNet of {model} has")
    got, wanted = config.get("in_channels"), unet["in_channels"] + unet["out_channels"]
    require(got == wanted, f"{flag} {guiding}: in_channels", repr(got), f"{wanted}: latents, LR and aligned latents")
