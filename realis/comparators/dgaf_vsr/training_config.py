"""The flags of training DGAF-VSR's guiding U-Net."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.comparators.dgaf_vsr.alignment_config import AlignmentConfig
from realis.comparators.sd_x4.guided_config import GuidedTrainingConfig
from realis.core.config import flag_name
from realis.core.errors import require


@dataclass(frozen=True)
class DgafVsrTrainingConfig(AlignmentConfig, GuidedTrainingConfig):
    """DGAF-VSR's guiding U-Net, over a frozen x4 upscaler."""

    PREFIX: ClassVar = "dgaf-vsr"

    guiding_unet: str = ""  # a network that is trained on: a folder or a hub id; empty: a new one
    guide_attention: bool = True  # a new one has attention, as the paper counts it; the public code's has none
    encoder_only: bool = False  # a new one guides the encoder and the middle, and not the decoder

    def __post_init__(self) -> None:
        AlignmentConfig.__post_init__(self)
        GuidedTrainingConfig.__post_init__(self)
        for name in ("guide_attention", "encoder_only"):
            is_default = getattr(self, name) == getattr(DgafVsrTrainingConfig, name)
            wanted = f"nothing with {flag('guiding_unet')}, whose files say it"
            require(is_default or not self.guiding_unet, flag(name), getattr(self, name), wanted)


flag = partial(flag_name, DgafVsrTrainingConfig)  # the flag of a field
