"""The commands' configurations and parsers, and the flags that stand in tests/goldens."""

import dataclasses
from pathlib import Path

from reads import type_of
from realis.builder.config import BuildConfig
from realis.commands.degradation_sheets import SheetsConfig
from realis.commands.precompute import PrecomputeConfig
from realis.commands.train_comparator import TrainComparatorConfig, parse_train_comparator
from realis.commands.train_cpc import TrainCpcConfig
from realis.commands.train_decoder import TrainDecoderConfig
from realis.commands.train_image_vae import TrainImageVaeConfig
from realis.commands.train_prior import TrainPriorConfig
from realis.commands.train_tiny import TrainTinyConfig
from realis.commands.train_vae import TrainVaeConfig
from realis.comparators.sd_x4.training_config import SdX4TrainingConfig
from realis.core.config import parse
from realis.data.lr_sets.config import DegradeConfig
from realis.evaluation.config import EvaluateConfig
from realis.methods.flags import parse_upscale
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.cpc_config import CpcConfig

ROOT = Path(__file__).parents[1]
CONFIGS = {
    "upscale": UpscaleConfig,
    "evaluate": EvaluateConfig,
    "make_lr": DegradeConfig,
    "build_realisvideo": BuildConfig,
    "degradation_sheets": SheetsConfig,
    "train_cpc": TrainCpcConfig,
    "train_vae": TrainVaeConfig,
    "train_prior": TrainPriorConfig,
    "train_decoder": TrainDecoderConfig,
    "train_tiny": TrainTinyConfig,
    "train_image_vae": TrainImageVaeConfig,
    "train_comparator": TrainComparatorConfig,
}
OPTIONS = {
    UpscaleConfig: CpcConfig,
    TrainComparatorConfig: SdX4TrainingConfig,
}  # whose flags they have unless told otherwise
PARSERS = {  # by script
    name: lambda words, config=config: parse(config, words, "test")
    for name, config in (CONFIGS | {"precompute": PrecomputeConfig}).items()
} | {"upscale": parse_upscale, "train_comparator": parse_train_comparator}


def is_required(field):
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def flags_of(config, prefix=""):
    for field in dataclasses.fields(config):
        kind = type_of(config, field, OPTIONS.get(config))
        name = f"{prefix}{field.name.replace('_', '-')}"
        default = "required" if is_required(field) else repr(field.default)
        if dataclasses.is_dataclass(kind):
            yield from flags_of(kind, f"{name}." if getattr(kind, "PREFIX", name) else prefix)
        else:
            yield f"--{name}: {getattr(kind, '__name__', kind) if kind in (str, int, float, bool) else kind} = {default}"
