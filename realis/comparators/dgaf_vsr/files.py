"""Find and check the files of a guiding U-Net, before any weight is loaded. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realis.comparators.sd_x4.guided_files import check_compatible, network_folder
from realis.core.errors import InputError, require
from realis.models.hub import DGAF_VSR_TINY, read_json, read_part

PART = "guiding_unet"  # its folder in a model
SHARED_FIELDS = ("out_channels", "block_out_channels", "cross_attention_dim", "layers_per_block")


def guiding_folder(name: str, flag: str) -> Path:
    """Return the folder of a guiding U-Net; see :func:`realis.comparators.sd_x4.guided_files.network_folder`."""
    return network_folder(name, flag, embedded=DGAF_VSR_TINY, part=PART, kind="GuidingUNet", title="guiding U-Net")


def check_guiding(guiding: Path, model: Path, flag: str) -> Mapping[str, Any]:
    """Return the configuration of a guiding U-Net, which is made sure to be whole and to fit the network of a model.

    Args:
        guiding: its folder.
        model: the folder of the upscaler.
        flag: what names it, for messages.

    Raises:
        InputError: it is damaged, or does not fit.
    """
    config, what = read_part(guiding).get("unet_config"), f"{flag} {guiding}"
    if not isinstance(config, dict):
        raise InputError(f"{what}: unet_config: got {config!r}, wanted the configuration of a U-Net")
    check_compatible(config, SHARED_FIELDS, model, what)
    unet = read_json(model / "unet" / "config.json")
    got, wanted = config.get("in_channels"), unet["in_channels"] + unet["out_channels"]
    require(got == wanted, f"{what}: in_channels", repr(got), f"{wanted}: latents, LR and aligned latents")
    return config
