"""``train_decoder``: the LR-conditioned decoder, alone or together with the CPC whose samples it decodes."""

from dataclasses import dataclass, field
from pathlib import Path

from realis.core.errors import require
from realis.data.pairs_config import DataConfig
from realis.models.hub import DEPTH, check_parts, part_folder
from realis.training.run_folder import claim_run, overlap
from realis.training.settings import LatentSource, LoopConfig, OptimizerConfig

WHITENED = 100  # clips that the first layer of the LR-conditioned decoder is computed from


@dataclass(frozen=True)
class TrainDecoderConfig:
    """Train the LR-conditioned decoder on latents that the model itself samples; its CPC too, if asked."""

    model: str = "out/tiny"  # folder with the VAE and the transformer
    cpc: str = "out/tiny/controlnet"  # folder of the trained CPC
    export: str = "out/tiny/lr_decoder"  # folder that receives the decoder
    export_cpc: str = ""  # folder that receives the CPC, trained on by the decoder's loss; empty: it stays as it is
    channels: int = 64  # width
    blocks: int = 7  # residual blocks
    radius: int = 1  # LR frames seen before and after
    latents: LatentSource = "sampled"  # those of the lr clip, or none: to measure what the sampled ones bring
    oracle_steps: int = 0  # first optimizer steps, which see the HR clip's own latents
    decoded_frames: int = 0  # frames of a clip that a step decodes, drawn at random; 0: all
    latent_weight: float = 0.1  # of the sampled latents' squared error, where the CPC is trained
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        fits = self.latents == "sampled" or not self.export_cpc
        require(fits, "--latents", self.latents, "sampled, where --export-cpc is given: else the CPC learns nothing")
        read = [part_folder(Path(self.cpc), "controlnet"), Path(self.model) / "vae", Path(self.model) / "transformer"]
        written = [("--export", Path(self.export))] + [("--export-cpc", Path(self.export_cpc))] * bool(self.export_cpc)
        for flag, folder in written:
            others = [*read, *(other for name, other in written if name != flag)]
            require(not any(overlap(folder, other) for other in others), flag, folder,
                    "a folder of its own: not --cpc nor a part of --model, which a resumed run reads again, nor the other "
                    "export")  # fmt: skip
        require(self.channels >= 1, "--channels", self.channels, "1 or more")
        require(0 <= self.blocks <= DEPTH, "--blocks", self.blocks, f"0 to {DEPTH}")
        require(self.radius >= 0, "--radius", self.radius, "0 or more")
        components = 48 * 9 * (2 * self.radius + 1)
        require(
            self.channels <= components, "--channels", self.channels, f"up to {components} with --radius {self.radius}"
        )
        require(self.oracle_steps >= 0, "--oracle-steps", self.oracle_steps, "0 or more")
        require(self.decoded_frames >= 0, "--decoded-frames", self.decoded_frames, "0 or more")
        require(self.latent_weight >= 0, "--latent-weight", self.latent_weight, "0 or more")


def train_decoder(config: TrainDecoderConfig) -> None:
    """Train an LR-conditioned decoder, maybe with the CPC before it, and export what was trained."""
    check_parts(Path(config.model), Path(config.cpc), "wan")
    exports = {"--export": config.export} | ({"--export-cpc": config.export_cpc} if config.export_cpc else {})
    with claim_run(config.run, exports):
        _train_decoder(config)


def _train_decoder(config: TrainDecoderConfig) -> None:
    import torch

    from realis.data.description import RENDERED
    from realis.data.pairs import lr_resized, pair_pool
    from realis.models.cpc.controlled import ControlledWan
    from realis.models.lr_decoder import LrDecoder
    from realis.models.wan.loading import Wan, load_controlnet
    from realis.ops.finite import check_weights
    from realis.tiny.whitening_init import initialise_lr_input
    from realis.training.export import Card, export_parts
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.steps.lr_decoder import LrDecoderStep

    # 1. The model that samples, and the decoder
    run, precision = start_run(config), config.run.precision
    wan = Wan(Path(config.model), torch.float32, torch.float32, run.accelerator.device)
    controlnet = load_controlnet(Path(config.cpc), torch.float32).to(run.accelerator.device)
    for model, part in ((wan.transformer, wan.folder / "transformer"), (wan.vae, wan.folder / "vae"),
                        (controlnet, part_folder(Path(config.cpc), "controlnet"))):  # fmt: skip
        check_weights(model, part)
    controlnet.requires_grad_(bool(config.export_cpc))
    cpc = ControlledWan(wan.transformer, controlnet, wan.encode_prompts([""])[0])
    decoder = LrDecoder(wan.vae.config.z_dim, config.channels, config.blocks, config.radius, config.latents)

    # 2. Data, from which the decoder's first layer starts
    pool = pair_pool(config.data, config.run.seed, wan.vae)
    initialise_lr_input(decoder, lr_resized(pool.tensors, range(min(WHITENED, len(pool)))))
    oracle_samples = config.oracle_steps * run.samples_per_step
    step = LrDecoderStep(
        decoder, cpc, config.latents, oracle_samples, config.decoded_frames, run.samples_per_step, config.latent_weight,
        config.run.seed, precision,
    )  # fmt: skip

    # 3. Train, export
    trained = fit(
        run, step, pool,
        pictures=lambda module, b: {"lr": b["lr_resized"], "decoded": module(b, "sample"), "hr": b["hr"]},
    )  # fmt: skip
    parts = {config.export: decoder} | ({config.export_cpc: controlnet} if config.export_cpc else {})
    export_parts(run, step, parts, trained, Card(RENDERED, config.model))
    run.accelerator.end_training()
