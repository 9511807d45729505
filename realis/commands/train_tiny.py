"""``train_tiny``: all parts of a small model such as realis-tiny, in order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realis.commands.train_cpc import TrainCpcConfig, train_cpc
from realis.commands.train_decoder import TrainDecoderConfig, train_decoder
from realis.commands.train_prior import TrainPriorConfig, train_prior
from realis.commands.train_vae import TrainVaeConfig, train_vae
from realis.core.config import parse
from realis.core.errors import InputError, TerminatedError, require
from realis.core.log import logger
from realis.parallel.launch import processes_asked
from realis.training.run_folder import changed_settings, held_alone

Part = tuple[str, type, Callable[[Any], None], dict[str, str]]


@dataclass(frozen=True)
class TrainTinyConfig:
    """Train realis-tiny: VAE, prior, CPC, decoder. Started again, it goes on where it was stopped."""

    output: str = "out/tiny"  # folder that receives the model; the runs go to <output>_runs
    recipes: str = "train/recipes/tiny"  # folder with vae.yaml, prior.yaml, cpc.yaml and decoder.yaml
    seed: int = 0  # of all four runs
    threads: int = 0  # CPU threads; 0: torch's own choice

    def __post_init__(self) -> None:
        require(self.seed >= 0, "--seed", self.seed, "0 or more")
        require(self.threads >= 0, "--threads", self.threads, "0 or more")


def train_tiny(config: TrainTinyConfig) -> None:
    """Train the parts one after the other; what is finished is only exported again.

    Raises:
        InputError: several processes; or the output holds parts that were trained otherwise, so that going on would mix
            two models.
    """
    if processes_asked() > 1:
        raise InputError("train_tiny runs as one process; launch the recipes one by one to use several")
    planned = [
        (name, command, parse(kind, [f"{config.recipes}/{name}.yaml", *_flags(config, name, where)], f"train_{name}"))
        for name, kind, command, where in parts(str(Path(config.output).resolve()))
    ]
    with held_alone(Path(f"{Path(config.output).resolve()}_runs"), "--output"):
        _train(config, planned)


def _train(config: TrainTinyConfig, planned: list[tuple[str, Callable[[Any], None], Any]]) -> None:
    for name, _, part in planned:
        if changed := [setting for setting in changed_settings(part) if not setting.startswith("run.threads")]:
            raise InputError(f"--output {config.output}: its {name} was trained with other settings ({', '.join(changed)}); "
                             "choose another output, or remove that one and its runs")  # fmt: skip
    for number, (name, command, part) in enumerate(planned, start=1):
        logger.info("part %d of %d: %s", number, len(planned), name)
        try:
            command(part)
        except TerminatedError as stop:
            raise TerminatedError("stopped by SIGTERM; the same command goes on") from stop
    logger.info("realis-tiny is in %s; try it with infer/upscale.py --model %s", config.output, config.output)


def parts(model: str) -> list[Part]:
    """Name, configuration, command and folders of each part. The CPC that rectified flow gives is a stage only: the
    decoder's run trains it on."""
    flow_cpc = f"{model}_runs/controlnet"
    return [
        ("vae", TrainVaeConfig, train_vae, {"export": f"{model}/vae"}),
        ("prior", TrainPriorConfig, train_prior, {"model": model, "export": f"{model}/transformer"}),
        ("cpc", TrainCpcConfig, train_cpc, {"model": model, "export": flow_cpc}),
        (
            "decoder", TrainDecoderConfig, train_decoder,
            {"model": model, "cpc": flow_cpc, "export": f"{model}/lr_decoder", "export_cpc": f"{model}/controlnet"},
        ),
    ]  # fmt: skip


def _flags(config: TrainTinyConfig, name: str, where: dict[str, str]) -> list[str]:
    run = {"run.output": f"{Path(config.output).resolve()}_runs/{name}", "run.resume": "latest"}
    run |= {"run.seed": str(config.seed), "run.threads": str(config.threads)}
    return [word for key, value in (where | run).items() for word in (f"--{key}", value)]
