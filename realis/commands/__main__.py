"""The ``realis`` program: choose a command, parse its configuration, run it, and print its errors in one line.

Each command is imported when it is called: ``--help`` and errors of one do not wait for what the others import.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from realis.core import log
from realis.core.config import parse
from realis.core.errors import run_command

# How often threads of OpenMP look for each other before they sleep. The default of 300,000 wastes the time of other
# programs, and of this one beside them: beside two busy programs on two cores a run took 72 s, with this 44 s; alone 27 s
# and 28 s. Read when torch is loaded, so it is set here, in what only programs import, and first of all.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # noqa: TID251 - how threads wait, never the maths

DEBUG_RECIPE = Path(__file__).parent / "train_cpc_debug.yaml"
MINIATURE_RECIPE = Path(__file__).parent / "build_miniature.yaml"
MINIATURE = "out/realisvideo_miniature"


def _run(prog: str, config: type, command: Callable[[Any], object], argv: Sequence[str] | None) -> None:
    log.setup()
    run_command(lambda: command(parse(config, sys.argv[1:] if argv is None else argv, prog)))


def run_train_vae(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_vae.py``."""
    from realis.commands.train_vae import TrainVaeConfig, train_vae

    _run("train_vae.py", TrainVaeConfig, train_vae, argv)


def run_train_image_vae(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_image_vae.py``."""
    from realis.commands.train_image_vae import TrainImageVaeConfig, train_image_vae

    _run("train_image_vae.py", TrainImageVaeConfig, train_image_vae, argv)


def run_train_comparator(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_comparator.py``."""
    from realis.commands.train_comparator import parse_train_comparator, train_comparator

    log.setup()
    run_command(lambda: train_comparator(parse_train_comparator(sys.argv[1:] if argv is None else argv)))


def run_train_prior(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_prior.py``."""
    from realis.commands.train_prior import TrainPriorConfig, train_prior

    _run("train_prior.py", TrainPriorConfig, train_prior, argv)


def run_train_decoder(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_decoder.py``."""
    from realis.commands.train_decoder import TrainDecoderConfig, train_decoder

    _run("train_decoder.py", TrainDecoderConfig, train_decoder, argv)


def run_train_cpc(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_cpc.py``; without arguments, with the debug recipe."""
    from realis.commands.train_cpc import TrainCpcConfig, train_cpc
    from realis.training.run_folder import free_folder

    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        log.setup()
        folder = free_folder("out/train_debug")
        arguments = [str(DEBUG_RECIPE), "--run.output", folder]
        log.logger.info(
            "no arguments given: the debug recipe, a few steps on the embedded realis-tiny, into %s", folder
        )
    _run("train_cpc.py", TrainCpcConfig, train_cpc, arguments)


def run_train_tiny(argv: Sequence[str] | None = None) -> None:
    """Run ``train/train_tiny.py``."""
    from realis.commands.train_tiny import TrainTinyConfig, train_tiny

    _run("train_tiny.py", TrainTinyConfig, train_tiny, argv)


def run_precompute(argv: Sequence[str] | None = None) -> None:
    """Run ``train/precompute.py``."""
    from realis.commands.precompute import PrecomputeConfig, precompute

    _run("precompute.py", PrecomputeConfig, precompute, argv)


def run_upscale(argv: Sequence[str] | None = None) -> None:
    """Run ``infer/upscale.py``."""
    from realis.commands.upscale import upscale
    from realis.methods.flags import parse_upscale

    log.setup()
    run_command(lambda: upscale(parse_upscale(sys.argv[1:] if argv is None else argv)))


def run_plan(argv: Sequence[str] | None = None) -> None:
    """Run ``realis plan``: print what ``realis upscale`` with the same arguments would do, and how long it would take."""
    run_upscale([*(sys.argv[1:] if argv is None else argv), "--dry-run"])


def run_evaluate(argv: Sequence[str] | None = None) -> None:
    """Run ``infer/evaluate.py``."""
    from realis.commands.evaluate import evaluate
    from realis.evaluation.config import EvaluateConfig

    _run("evaluate.py", EvaluateConfig, evaluate, argv)


def run_methods(argv: Sequence[str] | None = None) -> None:
    """Run ``realis methods``: list the upscaling methods and their weights."""
    from realis.commands.methods import MethodsConfig, methods

    _run("realis methods", MethodsConfig, methods, argv)


def run_degrade(argv: Sequence[str] | None = None) -> None:
    """Run ``dataset_tools/make_lr.py``."""
    from realis.data.lr_sets.config import DegradeConfig
    from realis.data.lr_sets.make import make_lr_set

    _run("make_lr.py", DegradeConfig, make_lr_set, argv)


def run_degradation_sheets(argv: Sequence[str] | None = None) -> None:
    """Run ``dataset_tools/degradation_sheets.py``."""
    from realis.commands.degradation_sheets import SheetsConfig, degradation_sheets

    _run("degradation_sheets.py", SheetsConfig, degradation_sheets, argv)


def run_build(argv: Sequence[str] | None = None) -> None:
    """Run ``dataset_tools/build_realisvideo.py``; without arguments, render the miniature footage and build from it."""
    from realis.builder.build import build
    from realis.builder.config import BuildConfig

    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        log.setup()
        footage = f"{MINIATURE}/footage"
        arguments = [str(MINIATURE_RECIPE), "--source", footage, "--output", f"{MINIATURE}/build"]
        log.logger.info("no arguments given: a miniature, 384x216, of footage rendered from the photographs that "
                        "scikit-image carries, described by what they show, into %s", MINIATURE)  # fmt: skip
        from realis.builder.miniature import write_miniature

        run_command(lambda: write_miniature(Path(footage)))
    _run("build_realisvideo.py", BuildConfig, build, arguments)


COMMANDS = {
    "upscale": run_upscale,
    "plan": run_plan,
    "evaluate": run_evaluate,
    "methods": run_methods,
    "degrade": run_degrade,
    "precompute": run_precompute,
    "train": run_train_cpc,
    "build": run_build,
}


def main() -> None:
    """Run ``realis upscale | plan | evaluate | methods | degrade | precompute | train | build``."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(f"usage: realis {' | '.join(COMMANDS)} [recipe.yaml] [--flags]   (realis COMMAND --help explains them)")
    elif name in COMMANDS:
        COMMANDS[name](sys.argv[2:])
    else:
        print(f"realis: got {name or 'no command'}, wanted one of {', '.join(COMMANDS)} (see --help)", file=sys.stderr)
        raise SystemExit(2)


if __name__ == "__main__":
    main()
