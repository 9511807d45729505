"""The flags of the Optical Guided Warping Module, the same in training and inference."""

from dataclasses import dataclass
from typing import Literal

from realis.comparators.sd_x4.guided_config import MotionConfig
from realis.core.config import flag_name
from realis.core.errors import require


@dataclass(frozen=True)
class AlignmentConfig(MotionConfig):
    """How the latents of a neighbour are aligned (DGAF-VSR, Sec. 4.1)."""

    # what flow is estimated on: the LR, enlarged to the size of the result by this interpolation (RAFT has no memory for that at
    # 4K); lr: frames of a fourth of that
    flow_frames: Literal["bicubic", "nearest", "lr"] = "nearest"
    # how latents are enlarged before they are warped, and shrunk after it; off: they are warped as they are
    rescaling: Literal["nearest", "bicubic", "off"] = "nearest"
    rescaling_factor: float = 0.0  # by how much; 0: as much as the frame is: 4, 8 or 16

    def __post_init__(self) -> None:
        factor, flag = self.rescaling_factor, flag_name(self, "rescaling_factor")
        require(factor == 0 or 1 <= factor <= 16, flag, factor, "1 to 16, or 0")
        wanted = f"nothing with {flag_name(self, 'rescaling')} off"
        require(not factor or self.rescaling != "off", flag, factor, wanted)
