"""Find and check the files of a network that guides an x4 upscaler, before any weight is loaded. No torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, require
from realis.models.hub import SD_X4_TINY, model_folder, part_folder, read_json


def network_folder(name: str, flag: str, *, embedded: str, part: str, kind: str, title: str) -> Path:
    """Return the folder of a network.

    Args:
        name: ``embedded``, a folder or a hub id, of the network or of a model that has it.
        flag: what asks for it, for messages.
        embedded: the one that the package carries.
        part: its folder in a model.
        kind: its class.
        title: what it is called.

    Raises:
        InputError: there is none.
    """
    folder = part_folder(model_folder(name, flag, embedded=embedded, parts=(part,), text_encoder=False), part)
    file = folder / "config.json"
    if not file.is_file() or read_json(file).get("_class_name") != kind:
        raise InputError(f"{flag}: {name} has no {title} (a {kind}, in its folder {part}); give {flag} one that was trained "
                         f"for its network ({embedded} for {SD_X4_TINY})")  # fmt: skip
    return folder


def check_compatible(config: Mapping[str, Any], names: Sequence[str], model: Path, what: str) -> None:
    """Make sure that a network has in common with the UNet of a model what it must.

    Args:
        config: of the network.
        names: of what both must have the same of.
        model: the folder of the upscaler.
        what: the flag and the folder of the network, for messages.

    Raises:
        InputError: it has not.
    """
    unet = read_json(model / "unet" / "config.json")
    for name in names:
        got, wanted = config.get(name), unet.get(name)
        require(got == wanted, f"{what}: {name}", repr(got), f"{wanted!r}, as the UNet of {model} has")


def check_levels(config: Mapping[str, Any], level: int | str, flag: str, what: str) -> None:
    """Make sure that a network knows the noise level that it will be told, if it knows any.

    Args:
        config: of the network.
        level: of the LR; off: it is not noised.
        flag: that gives the level.
        what: the folder of the network, for messages.

    Raises:
        InputError: it does not.
    """
    levels = config.get("num_class_embeds")
    if levels and level != "off":
        wanted = f"up to {levels - 1}, which is what {what} was made for, or off"
        require(int(level) < levels, flag, level, wanted)
