"""``train_comparator``: train a comparator on clips of native LR, by the one training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from realis.core.errors import require
from realis.core.log import logger
from realis.data.native_config import NativeDataConfig, check_native_footage
from realis.methods.flags import parse_with_method
from realis.methods.registry import TRAININGS, find_training
from realis.training.run_folder import claim_run, overlap
from realis.training.settings import LoopConfig, OptimizerConfig, ValidationConfig
from realis.upscaler import Options

if TYPE_CHECKING:
    from realis.data.batch import Batch


@dataclass(frozen=True)
class TrainComparatorConfig(Generic[Options]):
    """Train a comparator on clips of native LR.

    train_comparator.py --method sd_x4 --data.manifest REDS/train
    """

    method: str = field(kw_only=True)  # one of those named above
    export: str = ""  # folder that receives what was trained; empty: <run.output>/export
    data: NativeDataConfig = field(default_factory=NativeDataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    run: LoopConfig = field(default_factory=LoopConfig)
    options: Options = field(kw_only=True)  # of the comparator


def train_comparator(config: TrainComparatorConfig) -> None:
    """Train a comparator and export it."""
    check_native_footage(config.data, config.validation.manifest)
    export = config.export or f"{config.run.output}/export"
    training, frames = find_training(config.method), config.data.frames
    wanted = f"{training.least_frames} or more for --method {config.method}"
    require(frames >= training.least_frames, "--data.frames", frames, wanted)
    read = training.find_files(config.options)
    require(not any(overlap(Path(export), folder) for folder in read), "--export", export,
            "a folder of its own, not one with a model that is read")  # fmt: skip
    with claim_run(config.run, {"--export": export}):
        _train(config, export)


def _train(config: TrainComparatorConfig, export: str) -> None:
    import torch

    from realis.data.batch import enlarge
    from realis.data.native import describe_source, native_held_out, native_source
    from realis.metrics.psnr import psnr
    from realis.training.export import Card, export_parts
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.validation import Validator

    # 1. What is trained, and on what
    run = start_run(config)
    comparator = find_training(config.method)
    training, scale = comparator.prepare(config.options, run), comparator.scale(config.options)
    source = native_source(config.data, scale, config.run.seed, run.samples_per_step)
    held_out = None
    if config.validation.every:
        held_out = native_held_out(config.data, scale, config.validation.manifest, config.validation.samples)

    # 2. Training, measured beside bicubic
    def bicubic_of(batch: "Batch") -> torch.Tensor:
        height, width = batch["hr"].shape[-2:]
        return enlarge(batch["lr"], (height, width))

    def pictures(module: torch.nn.Module, batch: "Batch") -> dict:
        return {"lr": bicubic_of(batch), "output": training.restore(module, batch), "hr": batch["hr"]}

    def measure(module: torch.nn.Module, batch: "Batch") -> dict:
        restored, bicubic = (
            psnr((clip.clamp(-1, 1) - batch["hr"]).square().mean(), 2)
            for clip in (training.restore(module, batch), bicubic_of(batch))
        )
        return {"PSNR, dB": restored, "gain over bicubic, dB": restored - bicubic}

    validator = Validator(config.validation.every, len(held_out), held_out, measure) if held_out else None
    trained = fit(run, training.step, source, training.encode, pictures, validator)

    # 3. Export
    card = Card(describe_source(config.data, source), training.base, training.derived, training.task)
    export_parts(
        run, training.step, {export: training.network}, trained, card, training.part, training.complete, training.others
    )
    if run.accelerator.is_main_process:
        logger.info("to upscale with it: --method %s %s %s", config.method, training.use, export)
    run.accelerator.end_training()


def parse_train_comparator(argv: Sequence[str], prog: str = "train_comparator.py") -> TrainComparatorConfig:
    """Parse ``[recipe.yaml] [--flags]``; which flags there are depends on ``--method``.

    Raises:
        InputError: unknown flag, wrong type, unreadable recipe, contradictory values.
    """

    def make(method: str) -> TrainComparatorConfig:
        return TrainComparatorConfig(method=method, options=find_training(method).Config())

    kinds = {name: lambda name=name: find_training(name).Config for name in TRAININGS}
    return parse_with_method(TrainComparatorConfig, make, next(iter(TRAININGS)), kinds, argv, prog)
