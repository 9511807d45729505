"""Find and check the files of VideoGigaGAN, before any weight is loaded. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realis.comparators.videogigagan.layout import RANGES
from realis.core.errors import InputError, require
from realis.models.hub import VIDEOGIGAGAN_TINY, WIDTH, is_whole, model_folder, read_json, read_part

DISCRIMINATOR = "discriminator"  # its folder in that of the generator; only training reads it
KIND = "VideoGigaGan"


def network_folder(name: str, flag: str, parts: Sequence[str] = ()) -> Path:
    """Return the folder of a generator.

    Args:
        name: videogigagan-tiny, a folder or a hub id.
        flag: what asks for it, for messages.
        parts: the folders in it that are downloaded as well.

    Raises:
        InputError: there is none.
    """
    folder = model_folder(name, flag, embedded=VIDEOGIGAGAN_TINY, parts=parts, text_encoder=False)
    file = folder / "config.json"
    if not file.is_file() or read_json(file).get("_class_name") != KIND:
        raise InputError(f"{flag}: {name} is no VideoGigaGAN ({file} with a {KIND}); give {VIDEOGIGAGAN_TINY}, or what "
                         "train_comparator.py --method videogigagan exported")  # fmt: skip
    return folder


def check_network(folder: Path) -> dict[str, Any]:
    """Return the configuration of a generator, whose numbers are checked and whose weight files are opened.

    Raises:
        InputError: one is out of range, or a file is missing or damaged.
    """
    config, file = read_part(folder), folder / "config.json"
    for name, (least, most) in RANGES.items():
        value = config.get(name)
        require(is_whole(value, least, most), f"{file}: {name}", repr(value), f"{least} to {most}")
    for name, lengths in (("widths", (4,)), ("upsampling_widths", (1, 2, 3))):
        value = config.get(name)
        fits = isinstance(value, list) and len(value) in lengths and all(is_whole(width, 1, WIDTH) for width in value)
        wanted = f"{lengths[0]}{f' to {lengths[-1]}' * (len(lengths) > 1)} whole numbers, each 1 or more"
        require(fits, f"{file}: {name}", repr(value), wanted)
    for name in ("temporal", "blur_pool", "hf_shuttle"):
        require(isinstance(config.get(name), bool), f"{file}: {name}", repr(config.get(name)), "true or false")
    require(
        isinstance(config.setdefault("flow_weights", ""), str),
        f"{file}: flow_weights",
        config["flow_weights"],
        "a name",
    )
    check_heads([*config["widths"][:-1], *config["upsampling_widths"]], config["heads"], f"{file}: heads")
    return config


def check_heads(widths: Sequence[int], heads: int, what: str) -> None:
    """Make sure that attention of so many ``heads`` fits ``widths``.

    Raises:
        InputError: it does not.
    """
    odd = [width for width in widths if width % heads]
    require(not odd, what, heads, f"a divisor of every width that attention works at, such as {odd and odd[0]}")


def scale_of(config: dict[str, Any]) -> int:
    """Return how many times as large frames become by the generator with a ``config``."""
    return 2 ** len(config["upsampling_widths"])
