"""The ``realis`` program: which command, its configuration, one kind of error."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from realis import log
from realis.commands.train_cpc import TrainCpcConfig, train_cpc
from realis.commands.train_parts import (
    TrainDecoderConfig,
    TrainPriorConfig,
    TrainVaeConfig,
    train_decoder,
    train_prior,
    train_vae,
)
from realis.config import parse
from realis.errors import InputError, run_command


def _run(prog: str, config: type, command: Callable[[Any], None], argv: Sequence[str] | None) -> None:
    log.setup()
    run_command(lambda: command(parse(config, sys.argv[1:] if argv is None else argv, prog)))


def run_train_vae(argv: Sequence[str] | None = None) -> None:
    """``train/train_vae.py``."""
    _run("train_vae.py", TrainVaeConfig, train_vae, argv)


def run_train_prior(argv: Sequence[str] | None = None) -> None:
    """``train/train_prior.py``."""
    _run("train_prior.py", TrainPriorConfig, train_prior, argv)


def run_train_decoder(argv: Sequence[str] | None = None) -> None:
    """``train/train_decoder.py``."""
    _run("train_decoder.py", TrainDecoderConfig, train_decoder, argv)


def run_train_cpc(argv: Sequence[str] | None = None) -> None:
    """``train/train_cpc.py``."""
    _run("train_cpc.py", TrainCpcConfig, train_cpc, argv)
