"""The flags of DGAF-VSR."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from realis.comparators.dgaf_vsr.alignment_config import AlignmentConfig
from realis.comparators.sd_x4.guided_config import GuidedConfig
from realis.core.config import flag_name


@dataclass(frozen=True)
class DgafVsrConfig(AlignmentConfig, GuidedConfig):
    """DGAF-VSR: the Stable Diffusion x4 upscaler, whose features are guided by the aligned latents of a neighbour."""

    PREFIX: ClassVar = "dgaf-vsr"

    # how many times as large a frame is made, before it is resized to the target; beyond 4, the LR is enlarged to a fourth of
    # that first, by bicubic interpolation
    scale: Literal[4, 8, 16] = 4
    # the network that guides: a folder or a hub id; empty: the model's own; dgaf-vsr-tiny for sd-x4-tiny
    guiding_unet: str = ""
    # which estimate of the neighbour guides: that of the step before, so that frames do not wait for each other, or of the same
    guidance_step: Literal["previous", "same"] = "previous"

    def __post_init__(self) -> None:
        AlignmentConfig.__post_init__(self)
        GuidedConfig.__post_init__(self)


flag = partial(flag_name, DgafVsrConfig)  # the flag of a field
