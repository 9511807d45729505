"""``train_cpc``: train the Consistency-Preserved ControlNet over a frozen Wan transformer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from realis.config import dump
from realis.models.hub import TINY, check_base, model_folder
from realis.training.settings import DataConfig, FlowConfig, LoopConfig, OptimizerConfig


@dataclass(frozen=True)
class ControlConfig:
    """The control branch."""

    layers: int = 4  # copied main blocks
    input: Literal["lr", "lr+noisy"] = "lr"  # lr+noisy: the vanilla ControlNet of the paper's ablation
    time_conditioned: bool = True
    text_conditioned: bool = True
    learn_scale: bool = False
    window: tuple[int, int, int] = (49, 480, 832)  # frames, height, width that inference will use at a time


@dataclass(frozen=True)
class TrainCpcConfig:
    """Train the Consistency-Preserved ControlNet over a frozen Wan transformer."""

    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    export: str = ""  # folder that receives the CPC; empty: <run.output>/export
    controlnet: ControlConfig = field(default_factory=ControlConfig)
    data: DataConfig = field(default_factory=DataConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)


def train_cpc(config: TrainCpcConfig) -> None:
    """Train a CPC and export it."""
    folder = model_folder(config.model)
    check_base(folder)
    dump(config, Path(config.run.output) / "config.yaml")

    import torch

    from realis.models.cpc_controlnet import CpcControlNet
    from realis.models.wan import Wan
    from realis.training.cpc_step import CpcStep, cpc_pictures
    from realis.training.export import export_part
    from realis.training.loop import fit, make_accelerator
    from realis.training.pairs import pair_pool

    accelerator = make_accelerator(config.run)
    wan = Wan(folder, torch.float32, torch.float32, accelerator.device)
    c = config.controlnet
    controlnet = CpcControlNet.from_transformer(
        wan.transformer, c.layers, control_input=c.input, time_conditioned=c.time_conditioned,
        text_conditioned=c.text_conditioned, learn_scale=c.learn_scale, window=c.window,
    )  # fmt: skip
    pool = pair_pool(config.data, config.run.seed, wan.vae)
    step = CpcStep(wan.transformer, controlnet, wan.encode_prompt(""), config.flow, config.run.seed)
    fit(accelerator, step, pool, config.optimizer, config.run, lambda b: cpc_pictures(step, wan.vae, b))
    export_part(accelerator, controlnet, config.export or f"{config.run.output}/export", config)
