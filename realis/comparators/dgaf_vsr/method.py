"""DGAF-VSR as a method: find and check its files, then load its networks. Torch is imported only to load."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from realis.comparators.dgaf_vsr.card import CARD
from realis.comparators.dgaf_vsr.config import DgafVsrConfig, flag
from realis.comparators.dgaf_vsr.files import check_guiding, guiding_folder
from realis.comparators.sd_x4.guided_files import check_levels
from realis.comparators.sd_x4.guided_method import guided_needs
from realis.models.hub import DGAF_VSR_TINY, SD_X4_TINY
from realis.upscaler import Needs, Placement

if TYPE_CHECKING:
    from realis.comparators.dgaf_vsr.upscaler import DgafVsrUpscaler


class DgafVsrMethod:
    """DGAF-VSR as a :class:`realis.upscaler.Method`."""

    Config = DgafVsrConfig
    card = CARD

    def needs(self, config: DgafVsrConfig, prompted: bool) -> Needs:
        needs = guided_needs(config, prompted)
        source = config.guiding_unet or (DGAF_VSR_TINY if config.model == SD_X4_TINY else config.model)
        guiding = guiding_folder(source, flag("guiding_unet"))
        found = check_guiding(guiding, needs.weights["model"], flag("guiding_unet"))
        check_levels(found, needs.settings["noise_level"], flag("noise_level"), str(guiding))
        by = "" if config.strategy == "single-frame" else f", guided by the {config.guidance_step} step's estimate"
        weights = {**needs.weights, "guiding_unet": guiding}
        return replace(needs, weights=weights, scales=(config.scale,), sampling=needs.sampling + by)

    def load(self, config: DgafVsrConfig, placement: Placement, prompts: Sequence[str]) -> "DgafVsrUpscaler":
        placement.refuse("attention", "compile", method="dgaf_vsr")  # features are changed between layers at every call
        needs = self.needs(config, any(prompts))

        from realis.comparators.dgaf_vsr.guiding_unet import load_guiding_unet
        from realis.comparators.dgaf_vsr.upscaler import DgafVsrUpscaler
        from realis.comparators.sd_x4.guided_loading import load_guided

        load = partial(load_guiding_unet, needs.weights["guiding_unet"])
        model, guiding, estimate_flow = load_guided(config, needs, placement, prompts, load)
        return DgafVsrUpscaler(model, guiding, estimate_flow, config, needs)


METHOD = DgafVsrMethod()
