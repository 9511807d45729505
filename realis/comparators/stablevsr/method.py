"""StableVSR as a method: find and check its files, then load its networks. Torch is imported only to load."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.sd_x4.method import model_needs
from realis.comparators.stablevsr.card import CARD
from realis.comparators.stablevsr.config import StableVsrConfig, flag
from realis.comparators.stablevsr.files import check_tcm, tcm_folder
from realis.models.hub import SD_X4_TINY, STABLEVSR_TINY
from realis.models.weights_file import check_weights_file
from realis.upscaler import Needs, Placement, Segments

if TYPE_CHECKING:
    from realis.comparators.stablevsr.upscaler import StableVsrUpscaler


class StableVsrMethod:
    """StableVSR as a :class:`realis.upscaler.Method`."""

    Config = StableVsrConfig
    card = CARD

    def needs(self, config: StableVsrConfig, prompted: bool) -> Needs:
        needs = model_needs(config, prompted)
        source = config.tcm or (STABLEVSR_TINY if config.model == SD_X4_TINY else config.model)
        tcm, weights = tcm_folder(source, flag("tcm")), dict(needs.weights)
        check_tcm(tcm, weights["model"], flag("tcm"))
        weights["tcm"] = tcm
        dtypes = dict(needs.dtypes)
        if config.flow_weights:
            file = check_weights_file(config.flow_weights, flag("flow_weights"))
            weights["flow_weights"], dtypes[file] = file, "float32"
        # A frame at a time is unidirectional sampling in which every frame is finished before the next one begins
        frames = 1 if config.strategy == "auto-regressive" else config.segment_frames
        flow = f"flow by {Path(config.flow_weights).name or 'Farneback'}"
        return replace(
            needs,
            segments=Segments(frames, independent=config.strategy == "single-frame"),
            weights=weights,
            dtypes=dtypes,
            sampling=f"{config.strategy}, {needs.sampling}, {flow}",
            less_memory=f"{needs.less_memory}, {flag('flow_frames')} lr",
        )

    def load(self, config: StableVsrConfig, placement: Placement, prompts: Sequence[str]) -> "StableVsrUpscaler":
        placement.refuse(
            "attention", method="stablevsr"
        )  # diffusers' backends do not reach the processors of this UNet
        needs = self.needs(config, any(prompts))

        import torch
        from diffusers import ControlNetModel

        from realis.comparators.sd_x4.loading import load_model
        from realis.comparators.stablevsr.upscaler import StableVsrUpscaler
        from realis.models.optical_flow.loading import load_flow
        from realis.models.parts import load_part
        from realis.models.sd_x4.loading import forget_noise_levels
        from realis.upscaling.placement import apply_placement

        model = load_model(config, needs, placement, prompts)
        tcm = load_part(ControlNetModel, needs.weights["tcm"], getattr(torch, placement.dtype))
        tcm = tcm.requires_grad_(False).eval().to("cpu" if placement.offload else placement.device)
        if model.lr_noise is None:
            forget_noise_levels(tcm)
        apply_placement(placement, [model.unet, tcm], model.vae)
        estimate_flow = load_flow(needs.weights.get("flow_weights"), flag("flow_weights"), placement.device)
        return StableVsrUpscaler(model, tcm, estimate_flow, config, needs)


METHOD = StableVsrMethod()
