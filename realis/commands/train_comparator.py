"""``train_comparator``: train a comparator on clips of native LR, by the one training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from realis.core.errors import require
from realis.data.native_config import NativeDataConfig, check_native_footage
from realis.methods.registry import find_training
from realis.training.run_folder import claim_run, overlap
from realis.training.settings import LoopConfig, OptimizerConfig, ValidationConfig
from realis.upscaler import Options

if TYPE_CHECKING:
    import torch

    from realis.data.batch import Batch
    from realis.data.clips import ClipSet
    from realis.data.native import NativePairs


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
    training = find_training(config.method)
    export = Path(config.export or f"{config.run.output}/export")
    read = training.read_folders(config.options)
    exports = {part: export / part for part in training.parts}
    for folder in exports.values():
        require(not any(overlap(folder, other) for other in read), "--export", export,
                "a folder of its own, not that of a model that is read")  # fmt: skip
    with claim_run(config.run, {"--export": str(folder) for folder in exports.values()}):
        _train(config, export)


def _train(config: TrainComparatorConfig, export: Path) -> None:
    import torch

    from realis.data.native import native_held_out, native_source
    from realis.metrics.psnr import psnr
    from realis.ops.pixels import signed
    from realis.training.export import export_parts
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.validation import Validator

    # 1. What is trained, and on what
    run = start_run(config)
    training = find_training(config.method).prepare(config.options, run)
    source = native_source(config.data, config.run.seed, run.samples_per_step)
    held_out = None
    if config.validation.every:
        held_out = native_held_out(config.data, config.validation.manifest, config.validation.samples)

    # 2. Training, measured beside bicubic
    def pictures(module: torch.nn.Module, batch: "Batch") -> dict:
        return {"lr": enlarged(batch), "output": training.restore(module, batch), "hr": batch["hr"]}

    def measure(module: torch.nn.Module, batch: "Batch") -> dict:
        restored, bicubic = (
            psnr((clip.clamp(-1, 1) - batch["hr"]).square().mean(), 2)
            for clip in (training.restore(module, batch), enlarged(batch))
        )
        return {"PSNR, dB": restored, "gain over bicubic, dB": restored - bicubic}

    validator = Validator(config.validation.every, len(held_out), held_out, measure) if held_out else None
    trained = fit(run, training.step, source, training.encode, pictures, validator)

    # 3. Export
    parts = {str(export / name): part for name, part in training.parts.items()}
    export_parts(run, training.step, parts, trained, description_of(config.data, source))
    if run.accelerator.is_main_process:
        training.complete(export)
    run.accelerator.end_training()
