"""What a training run can be told: frozen dataclasses, checked when built. No torch, so that errors come at once."""

from dataclasses import dataclass
from typing import Literal, Protocol

from realis.core.errors import require

Precision = Literal["no", "bf16"]
LatentSource = Literal["sampled", "lr", "none"]  # of the latents that an LR-conditioned decoder learns to decode


@dataclass(frozen=True)
class FlowConfig:
    """Noise levels drawn in training: logit-normal, shifted (2 is what Wan's team uses at 480p)."""

    shift: float = 2.0  # above 1: more samples at high noise levels
    mean: float = 0.0  # of the logit of the noise level, before the shift
    std: float = 1.0  # of the same
    pure_noise: float = 0.0  # share of samples at sigma = 1, where one-step sampling works

    def __post_init__(self) -> None:
        require(self.std > 0, "--flow.std", self.std, "above 0")
        require(self.shift > 0, "--flow.shift", self.shift, "above 0")
        require(0 <= self.pure_noise <= 1, "--flow.pure-noise", self.pure_noise, "0 to 1")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, linear warm-up, then constant or linear decay."""

    lr: float = 1e-5  # learning rate after the warm-up
    betas: tuple[float, float] = (0.9, 0.999)  # decays of AdamW's two moments
    weight_decay: float = 1e-4  # of AdamW
    warmup: int = 0  # optimizer steps
    final_lr: float = 1.0  # share of lr that is left at the last step; 1: no decay
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.0  # decay of the averaged weights that are exported; 0: no averaging

    def __post_init__(self) -> None:
        require(all(0 <= beta < 1 for beta in self.betas), "--optimizer.betas", self.betas, "each 0 to below 1")
        require(self.warmup >= 0, "--optimizer.warmup", self.warmup, "0 or more")
        require(self.clip > 0, "--optimizer.clip", self.clip, "above 0")
        require(0 < self.lr <= 1e30, "--optimizer.lr", self.lr, "above 0, to 1e30, which float32 can hold")
        require(0 <= self.ema < 1, "--optimizer.ema", self.ema, "0 to below 1")
        require(0 <= self.final_lr <= 1, "--optimizer.final-lr", self.final_lr, "0 to 1")


@dataclass(frozen=True)
class ValidationConfig:
    """What is measured on the way, on samples that training never sees."""

    every: int = 500  # optimizer steps, also at the last one; 0: never
    samples: int = 8  # how many, the same ones every time
    manifest: str = ""  # of clips that are not trained on, for runs on footage; empty: none

    def __post_init__(self) -> None:
        require(self.every >= 0, "--validation.every", self.every, "0 or more")
        require(self.samples >= 1, "--validation.samples", self.samples, "at least 1")
        fits = bool(self.every) or not self.manifest
        require(fits, "--validation.every", 0, "1 or more with --validation.manifest")


@dataclass(frozen=True)
class LoopConfig:
    """The run: its length, batches, where it goes, what it saves."""

    output: str = "out/train"  # folder of the run: checkpoints, curves, pictures
    steps: int = 12_000  # optimizer steps
    batch: int = 1  # samples a process and forward pass
    accumulation: int = 1  # forward passes an optimizer step
    seed: int = 0  # of new weights, of the order of samples, and of all that is drawn for them
    precision: Precision = "bf16"  # of the computation; what trains stays in float32
    threads: int = 0  # CPU threads; 0: torch's own choice
    log_every: int = 10  # optimizer steps, for the curves
    sample_every: int = 500  # optimizer steps, for pictures, also at the last one; 0: none
    save_every: int = 500  # optimizer steps, for checkpoints, also at the last one
    keep: int = 2  # checkpoints kept
    tracker: Literal["tensorboard", "wandb", "none"] = "tensorboard"  # where curves and pictures go
    resume: str = ""  # a checkpoint folder, or "latest"

    def __post_init__(self) -> None:
        require(self.seed >= 0 and self.seed < 2**31, "--run.seed", self.seed, "0 to 2147483647")
        for name in ("threads", "sample_every"):
            require(getattr(self, name) >= 0, f"--run.{name.replace('_', '-')}", getattr(self, name), "0 or more")
        for name in ("steps", "batch", "accumulation", "log_every", "save_every", "keep"):
            require(getattr(self, name) >= 1, f"--run.{name.replace('_', '-')}", getattr(self, name), "at least 1")


@dataclass(frozen=True)
class CpcLoopConfig(LoopConfig):
    """The run of a CPC: also how it fits into memory, on one GPU or several."""

    gradient_checkpointing: bool = True  # compute activations a second time instead of keeping them
    sequence_parallel: int = 1  # neighbouring processes that share the tokens of a clip

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.sequence_parallel >= 1, "--run.sequence-parallel", self.sequence_parallel, "at least 1")


class TrainConfig(Protocol):
    """What the configurations of all training commands have in common: frozen dataclasses."""

    @property
    def run(self) -> LoopConfig:
        """How long, how often, where to."""
        ...

    @property
    def optimizer(self) -> OptimizerConfig:
        """How weights move."""
        ...
