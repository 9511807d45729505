"""What methods need that guide each frame of an x4 upscaler by its neighbour. No torch."""

from dataclasses import replace
from pathlib import Path

from realis.comparators.sd_x4.guided_config import LEAST_STEPS, GuidedConfig
from realis.comparators.sd_x4.method import model_needs
from realis.core.config import flag_name
from realis.models.weights_file import check_weights_file
from realis.upscaler import Needs, Segments


def guided_needs(config: GuidedConfig, prompted: bool) -> Needs:
    """Return what upscaling needs, without the network that guides: the files of the upscaler and of flow are found and
    checked.

    Args:
        config: the flags of the method.
        prompted: whether there is a prompt.

    Raises:
        InputError: a file is missing or damaged, or the files do not fit each other or the flags.
    """
    needs = model_needs(config, prompted, LEAST_STEPS)
    weights, guided = dict(needs.weights), config.strategy != "single-frame"
    if config.flow_weights:
        weights["flow_weights"] = check_weights_file(config.flow_weights, flag_name(config, "flow_weights"))
    # A frame at a time is unidirectional sampling in which every frame is finished before the next one begins
    frames = 1 if config.strategy == "auto-regressive" else config.segment_frames
    flow = f", flow by {Path(config.flow_weights).name or 'Farneback'}"
    return replace(
        needs,
        segments=Segments(frames, independent=not guided),
        weights=weights,
        sampling=f"{config.strategy}, {needs.sampling}{flow if guided else ''}",
        less_memory=f"{needs.less_memory}, {flag_name(config, 'flow_frames')} lr",
    )
