"""``train_cpc``: train the Consistency-Preserved ControlNet over a frozen Wan transformer."""

from dataclasses import dataclass, field
from typing import Literal

from realis.errors import require
from realis.losses.config import HrLossConfig
from realis.models.hub import TINY, check_base, model_folder
from realis.models.interval import block_interval, default_control_layers
from realis.training.run_folder import check_run, write_config
from realis.training.settings import DataConfig, FlowConfig, LoopConfig, OptimizerConfig


@dataclass(frozen=True)
class ControlConfig:
    """The control branch."""

    layers: int = 0  # copied main blocks; 0: 4, or the most below 4 of which each is read
    input: Literal["lr", "lr+noisy"] = "lr"  # lr+noisy: the vanilla ControlNet of the paper's ablation
    time_conditioned: bool = True
    text_conditioned: bool = True
    learn_scale: bool = False
    window: tuple[int, int, int] = (49, 480, 832)  # frames, height, width that inference will use at a time
    steps: int = 20  # sampling steps that inference will take

    def __post_init__(self) -> None:
        frames, height, width = self.window
        require(frames % 4 == 1, "--controlnet.window", self.window, "4 n + 1 frames")
        require(height % 16 == width % 16 == 0 < height, "--controlnet.window", self.window, "multiples of 16 pixels")
        require(self.steps >= 1, "--controlnet.steps", self.steps, "at least 1")


@dataclass(frozen=True)
class TrainCpcConfig:
    """Train the Consistency-Preserved ControlNet over a frozen Wan transformer."""

    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    export: str = ""  # folder that receives the CPC; empty: <run.output>/export
    controlnet: ControlConfig = field(default_factory=ControlConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: HrLossConfig = field(default_factory=HrLossConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        least = 8 * self.loss.cell * self.loss.block  # pixels
        fits = self.loss.hog == 0 or self.data.size >= least
        require(fits, "--data.size", self.data.size, f"at least {least}, a block of the HOG term (or --loss.hog 0)")


def train_cpc(config: TrainCpcConfig) -> None:
    """Train a CPC and export it."""
    folder = model_folder(config.model)
    c = config.controlnet
    main_layers = check_base(folder)["num_layers"]
    layers = c.layers or default_control_layers(main_layers)
    block_interval(main_layers, layers)
    check_run(config.run, config.export or f"{config.run.output}/export")
    write_config(config)

    import torch

    from realis.losses.hr_loss import HrLoss
    from realis.models.cpc_controlnet import CpcControlNet
    from realis.models.wan import Wan
    from realis.training.cpc_step import CpcStep, cpc_pictures
    from realis.training.export import export_part
    from realis.training.loop import fit, make_accelerator
    from realis.training.pairs import pair_pool

    accelerator = make_accelerator(config.run)
    wan = Wan(folder, torch.float32, torch.float32, accelerator.device)
    controlnet = CpcControlNet.from_transformer(
        wan.transformer, layers, control_input=c.input, time_conditioned=c.time_conditioned,
        text_conditioned=c.text_conditioned, learn_scale=c.learn_scale, window=c.window, steps=c.steps,
    )  # fmt: skip
    pool = pair_pool(config.data, config.run.seed, wan.vae)
    prompt = wan.encode_prompts([""])[0]
    step = CpcStep(wan.transformer, controlnet, HrLoss(config.loss), prompt, config.flow, config.run.seed)
    fit(accelerator, step, pool, config.optimizer, config.run, lambda b: cpc_pictures(step, wan.vae, b))
    export_part(accelerator, controlnet, config.export or f"{config.run.output}/export", config)
