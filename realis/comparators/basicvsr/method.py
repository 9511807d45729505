"""BasicVSR as a method: what it needs, and how its weights are loaded. Torch is imported only to load."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.basicvsr.card import CARD
from realis.comparators.basicvsr.config import SCALE, BasicVsrConfig, flag
from realis.comparators.basicvsr.files import find_weights
from realis.core.errors import InputError
from realis.upscaler import Needs, Placement, Segments

if TYPE_CHECKING:
    from realis.comparators.basicvsr.upscaler import BasicVsrUpscaler


class BasicVsrMethod:
    """BasicVSR as a :class:`realis.upscaler.Method`."""

    Config = BasicVsrConfig
    card = CARD

    def needs(self, config: BasicVsrConfig, prompted: bool) -> Needs:
        if prompted:
            raise InputError("--prompt, --prompt-file: --method basicvsr takes no text; leave it out")
        file = find_weights(config.weights, flag("weights"))
        return Needs(
            Segments(config.segment_frames, config.segment_overlap, blend=False),
            scales=(SCALE,),
            trained_scale=SCALE,
            tile=(config.tile_height, config.tile_width),
            tile_overlap=config.tile_overlap,
            multiple=SCALE,
            weights={"weights": file},
            # Flow and its input are of whole frames whatever the tiles, so that these alone may not do
            less_memory=f"fewer {flag('segment_frames')}, smaller tiles ({flag('tile_height')}, {flag('tile_width')})",
            label=Path(config.weights).stem,
        )

    def load(self, config: BasicVsrConfig, placement: Placement, prompts: Sequence[str]) -> "BasicVsrUpscaler":
        placement.refuse("offload", "fp8", "attention", "compile", method="basicvsr")

        import torch

        from realis.comparators.basicvsr.loading import load_basicvsr
        from realis.comparators.basicvsr.upscaler import BasicVsrUpscaler

        needs = self.needs(config, prompted=any(prompts))
        network = load_basicvsr(needs.weights["weights"], flag("weights"), getattr(torch, placement.dtype))
        return BasicVsrUpscaler(network.to(placement.device), needs, placement.device)


METHOD = BasicVsrMethod()
