"""What a low-resolution set is made with."""

from dataclasses import dataclass
from typing import Annotated

from realis.core.config import RUN
from realis.core.errors import require
from realis.degradation.presets import load_degradation


@dataclass(frozen=True)
class DegradeConfig:
    """Make the low-resolution set of a ground-truth folder."""

    ground_truth: Annotated[str, RUN]  # folder of clips: sub-folders of frames, videos
    output: Annotated[str, RUN]  # folder that receives the low-resolution clips, and the parameters of each as JSON
    preset: str = "realbasicvsr"  # realbasicvsr, real_esrgan, light, bi, bd, or a YAML file of ranges
    scale: int = 4  # how much smaller the result is
    seed: int = 0  # of all draws; a clip's depends on it and on the clip's name alone
    replay: str = ""  # an earlier output: take the parameters of each clip from there, not from preset, scale, seed
    workers: Annotated[int, RUN] = 0  # processes; 0: one a core

    def __post_init__(self) -> None:
        require(self.scale >= 1, "--scale", self.scale, "at least 1")
        require(self.seed >= 0, "--seed", self.seed, "0 or more")
        require(self.workers >= 0, "--workers", self.workers, "0 or more")
        load_degradation(self.preset)
