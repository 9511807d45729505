"""The flags of methods that guide each frame of an x4 upscaler by its neighbour: StableVSR and DGAF-VSR."""

from dataclasses import dataclass
from typing import Literal

from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.training_config import check_noise
from realis.diffusion.samplers import Sampler
from realis.models.hub import SD_X4_TINY

# How information goes from frame to frame; auto-regressive: a frame is finished before the next one begins
Strategy = Literal["single-frame", "auto-regressive", "unidirectional", "bidirectional"]
LEAST_STEPS = 2  # of sampling, unless told otherwise: one forward and one backward


@dataclass(frozen=True)
class MotionConfig:
    """How the motion between frames is found and undone, the same in training and inference."""

    # file of the weights of optical flow: RAFT's as torchvision publishes them, or BasicVSR's, which have SpyNet's; empty:
    # Farneback's method, which has none
    flow_weights: str = ""
    # what flow is estimated on: the LR, enlarged to the size of the result by this interpolation (RAFT has no memory for that at
    # 4K); lr: frames of a fourth of that
    flow_frames: Literal["bicubic", "nearest", "lr"] = "bicubic"
    # stablevsr: as the code of StableVSR and DGAF-VSR warps, which shrinks a frame by a pixel
    warp_grid: Literal["exact", "stablevsr"] = "exact"


@dataclass(frozen=True)
class GuidedConfig(MotionConfig, SdX4Config):
    """Upscaling by a network that guides an x4 upscaler."""

    # how information goes from frame to frame: bidirectional: forward and backward in turns; auto-regressive: every frame is
    # finished before the next one begins, whatever the length of segments; single-frame: not at all
    strategy: Strategy = "bidirectional"
    steps: int = 0  # sampling steps; 0: as many as the model's files say, at least 2; or 50
    sampler: Sampler = "ddpm"  # with fresh noise at every step; ddim: without


@dataclass(frozen=True)
class GuidedTrainingConfig(MotionConfig):
    """Training of a network that guides a frozen x4 upscaler."""

    model: str = SD_X4_TINY  # the frozen upscaler: sd-x4-tiny, a folder in diffusers' format, or a hub id
    # the LR is noised to levels up to this one, of 1000, and the networks told; -1: 100, for a model without levels none;
    # off: it is not, and they are told of no level, whatever the model's files say
    most_noise: int | Literal["off"] = -1
    # share of samples at the noisiest timestep, where sampling begins; -1: half for a model of up to 4 steps, else none
    pure_noise: float = -1.0

    def __post_init__(self) -> None:
        check_noise(self)
