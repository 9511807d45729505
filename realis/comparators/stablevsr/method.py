"""StableVSR as a method: find and check its files, then load its networks. Torch is imported only to load."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from realis.comparators.sd_x4.guided_files import check_levels
from realis.comparators.sd_x4.guided_method import guided_needs
from realis.comparators.stablevsr.card import CARD
from realis.comparators.stablevsr.config import StableVsrConfig, flag
from realis.comparators.stablevsr.files import check_tcm, tcm_folder
from realis.models.hub import SD_X4_TINY, STABLEVSR_TINY
from realis.upscaler import Needs, Placement

if TYPE_CHECKING:
    from realis.comparators.stablevsr.upscaler import StableVsrUpscaler


class StableVsrMethod:
    """StableVSR as a :class:`realis.upscaler.Method`."""

    Config = StableVsrConfig
    card = CARD

    def needs(self, config: StableVsrConfig, prompted: bool) -> Needs:
        needs = guided_needs(config, prompted)
        source = config.tcm or (STABLEVSR_TINY if config.model == SD_X4_TINY else config.model)
        tcm = tcm_folder(source, flag("tcm"))
        found = check_tcm(tcm, needs.weights["model"], flag("tcm"))
        check_levels(found, needs.settings["noise_level"], flag("noise_level"), str(tcm))
        return replace(needs, weights={**needs.weights, "tcm": tcm})

    def load(self, config: StableVsrConfig, placement: Placement, prompts: Sequence[str]) -> "StableVsrUpscaler":
        placement.refuse("attention", "compile", method="stablevsr")  # one does not reach the UNet, one is untried
        needs = self.needs(config, any(prompts))

        from realis.comparators.sd_x4.guided_loading import load_guided
        from realis.comparators.stablevsr.tcm import load_tcm
        from realis.comparators.stablevsr.upscaler import StableVsrUpscaler

        load = partial(load_tcm, needs.weights["tcm"])
        model, tcm, estimate_flow = load_guided(config, needs, placement, prompts, load)
        return StableVsrUpscaler(model, tcm, estimate_flow, config, needs)


METHOD = StableVsrMethod()
