"""Networks of single images as a method.

What the method needs (scale, sizes, whether tiles are advised) only the network itself tells, so that ``needs`` opens
it, and imports torch, once all is checked that can be without.
"""

from collections.abc import Iterator, Sequence
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.image.card import CARD
from realis.comparators.image.config import GRID, ImageConfig, flag
from realis.comparators.image.loading import open_network
from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.tiling.plan import round_up
from realis.upscaler import Needs, Placement, Segments

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

    from realis.comparators.image.upscaler import ImageUpscaler

SEGMENT = 8  # frames, or more to fill a batch
# Pixels of the input
TILE = 512  # 64 channels of 2048x2048, of which RRDBNet holds a few at its end, are 1 GiB each in float32
OVERLAP = 32


class ImageMethod:
    """Networks of single images as a :class:`realis.upscaler.Method`."""

    Config = ImageConfig
    card = CARD

    def needs(self, config: ImageConfig, prompted: bool) -> Needs:
        if prompted:
            raise InputError("--prompt, --prompt-file: --method image takes no text; leave it out")
        return network_needs(config, open_network(config.weights))

    def load(self, config: ImageConfig, placement: Placement, prompts: Sequence[str]) -> "ImageUpscaler":
        placement.refuse("offload", "fp8", "attention", method="image")
        network = open_network(config.weights)
        needs = network_needs(config, network)

        import torch

        from realis.comparators.image.upscaler import ImageUpscaler

        dtype = torch.bfloat16 if placement.dtype == "bfloat16" else torch.float32
        if dtype == torch.bfloat16 and not network.supports_bfloat16:
            logger.info("%s does not run in bfloat16; it is run in float32", network.architecture.name)
            dtype = torch.float32
        network.to(placement.device, dtype).eval()
        if placement.compile:
            network.model.compile()
        return ImageUpscaler(network, needs, config.batch)


METHOD = ImageMethod()


def network_needs(config: ImageConfig, network: "ImageModelDescriptor") -> Needs:
    """Return what a network needs under the flags.

    Raises:
        InputError: the tiles of the flags do not suit it.
    """
    multiple, whole = lcm(GRID, network.size_requirements.multiple_of), takes_whole_frames(config, network)
    height, width = (size or round_up(TILE, multiple) for size in (config.tile_height, config.tile_width))
    overlap = config.tile_overlap or round_up(OVERLAP, multiple)
    for name, size in (("tile_height", height), ("tile_width", width), ("tile_overlap", overlap)):
        require(size % multiple == 0, flag(name), size, f"a multiple of {multiple} for {network.architecture.name}")
    require(overlap < min(height, width), flag("tile_overlap"), overlap, f"less than a tile, {min(height, width)}")
    scale, weights = network.scale, Path(config.weights)
    return Needs(
        Segments(round_up(SEGMENT, config.batch), independent=True),
        scales=(scale,),
        tile=None if whole else (height * scale, width * scale),
        tile_overlap=overlap * scale,
        tile_context=overlap * scale,
        multiple=multiple * scale,
        weights={"weights": weights},
        sampling=" ".join([network.architecture.name, *network.tags]),
        label=weights.stem,
        less_memory=f"smaller tiles ({flag('tile_height')}, {flag('tile_width')}), a smaller {flag('batch')}",
        remarks=list(remarks(config, network)),
    )


def tiles_are_advised(network: "ImageModelDescriptor") -> bool:
    """Return whether spandrel advises tiles: a tile equals that part of the frame unless a network sees all of it."""
    return network.tiling.name == "SUPPORTED"


def takes_whole_frames(config: ImageConfig, network: "ImageModelDescriptor") -> bool:
    """Return whether frames are not cut into tiles."""
    return not (tiles_are_advised(network) or config.tile_height or config.tile_width)


def remarks(config: ImageConfig, network: "ImageModelDescriptor") -> Iterator[str]:
    """Yield what there is to say of tiles that are not advised."""
    if takes_whole_frames(config, network):
        flags = f"{flag('tile_height')} and {flag('tile_width')}"
        yield f"{network.architecture.name} sees whole frames, as tiles are not advised for it; {flags} cut them still"
    elif not tiles_are_advised(network):
        yield f"tiles are not advised for {network.architecture.name}: they may differ in brightness or show seams"
