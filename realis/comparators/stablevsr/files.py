"""Find and check the files of a Temporal Conditioning Module, before any weight is loaded. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realis.comparators.sd_x4.guided_files import check_compatible, network_folder
from realis.core.errors import require
from realis.models.hub import STABLEVSR_TINY, read_part

PART = "controlnet"  # its folder in a model, as the authors of StableVSR publish it
TITLE = "Temporal Conditioning Module"
SHRINKING = 3  # layers that shrink the guidance, to a fourth
SHARED_FIELDS = ("in_channels", "block_out_channels", "cross_attention_dim", "layers_per_block")


def tcm_folder(name: str, flag: str) -> Path:
    """Return the folder of a module; see :func:`realis.comparators.sd_x4.guided_files.network_folder`."""
    return network_folder(name, flag, embedded=STABLEVSR_TINY, part=PART, kind="ControlNetModel", title=TITLE)


def check_tcm(tcm: Path, model: Path, flag: str) -> Mapping[str, Any]:
    """Return the configuration of a module, which is made sure to be whole and to fit the network of a model.

    Args:
        tcm: its folder.
        model: the folder of the upscaler.
        flag: what names the module, for messages.

    Raises:
        InputError: it is damaged, or does not fit.
    """
    config, what = read_part(tcm), f"{flag} {tcm}"
    check_compatible(config, SHARED_FIELDS, model, what)
    widths = config.get("conditioning_embedding_out_channels")
    fits = isinstance(widths, list) and len(widths) == SHRINKING
    wanted = f"{SHRINKING} widths, for guidance four times as large as the LR"
    require(fits, f"{what}: conditioning_embedding_out_channels", repr(widths), wanted)
    return config
