"""``train_vae``, ``train_prior`` and ``train_decoder``: the parts around CPC that a small model needs of its own."""

from dataclasses import dataclass, field
from pathlib import Path

from realis.errors import require
from realis.models.hub import check_parts
from realis.training.run_folder import check_run
from realis.training.settings import DataConfig, FlowConfig, LoopConfig, OptimizerConfig


@dataclass(frozen=True)
class TrainVaeConfig:
    """Build a small Wan VAE: encoder from principal components, decoder trained to invert it."""

    export: str = "out/tiny/vae"  # folder that receives the trained VAE
    base_dim: int = 16  # encoder width
    decoder_base_dim: int = 16
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)


def train_vae(config: TrainVaeConfig) -> None:
    """Train a VAE decoder and export the VAE."""
    check_run(config.run, config.export)

    import torch
    from diffusers import AutoencoderKLWan

    from realis.ops.pixels import signed
    from realis.training.export import RENDERED, export_part, halve
    from realis.training.loop import fit
    from realis.training.pairs import pair_pool, render_pair
    from realis.training.pca_init import initialise_encoder
    from realis.training.run import start_run
    from realis.training.steps import VaeDecoderStep

    run = start_run(config)
    vae = AutoencoderKLWan(
        base_dim=config.base_dim, decoder_base_dim=config.decoder_base_dim, patch_size=2, in_channels=12,
        out_channels=12, dim_mult=[1, 2, 4], temperal_downsample=[True, True], num_res_blocks=1,
        scale_factor_spatial=8, latents_mean=[0.0] * 16, latents_std=[1.0] * 16,
    )  # fmt: skip
    frames = torch.stack(
        [render_pair(config.data, config.run.seed, n)[0][:, 0] for n in range(min(config.data.count, 500))]
    )
    initialise_encoder(vae, signed(frames))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    halve(vae.encoder)  # latents as the exported encoder will give them
    vae.float().to(run.accelerator.device)
    pool = pair_pool(config.data, config.run.seed, vae)
    step = VaeDecoderStep(vae, config.run.precision)
    trained = fit(run, step, pool, pictures=lambda module, b: {"decoded": module(b, "sample"), "hr": b["hr"]})
    export_part(run, step, vae, trained, config.export, RENDERED)


@dataclass(frozen=True)
class TrainPriorConfig:
    """Train a small Wan transformer from scratch as a text-free video prior."""

    model: str = "out/tiny"  # folder with the VAE to use
    export: str = "out/tiny/transformer"  # folder that receives the transformer
    heads: int = 4
    head_dim: int = 32
    ffn_dim: int = 384
    layers: int = 6
    data: DataConfig = field(default_factory=DataConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        require(self.head_dim >= 6 and self.head_dim % 2 == 0, "--head-dim", self.head_dim, "an even number from 6")


def train_prior(config: TrainPriorConfig) -> None:
    """Train a transformer on HR latents and export it."""
    check_run(config.run, config.export)

    import torch

    from realis.models.control_injection import ControlledWanTransformer3DModel
    from realis.models.wan import Wan
    from realis.training.export import RENDERED, export_part
    from realis.training.latents import LatentCodec
    from realis.training.loop import fit
    from realis.training.pairs import pair_pool
    from realis.training.passthrough_init import initialise_transformer
    from realis.training.run import start_run
    from realis.training.steps import PriorStep

    run = start_run(config)
    wan = Wan(Path(config.model), torch.float32, torch.float32, run.accelerator.device)
    transformer = ControlledWanTransformer3DModel(
        num_attention_heads=config.heads, attention_head_dim=config.head_dim, ffn_dim=config.ffn_dim,
        num_layers=config.layers, in_channels=wan.vae.config.z_dim, out_channels=wan.vae.config.z_dim,
        text_dim=32, freq_dim=128,
    )  # fmt: skip
    initialise_transformer(transformer)
    pool = pair_pool(config.data, config.run.seed, wan.vae)
    empty_prompt = torch.zeros(1, 1, transformer.config.text_dim)
    step = PriorStep(transformer, empty_prompt, config.flow, config.run.seed, config.run.precision)
    codec = LatentCodec(wan.vae, config.run.precision)

    def pictures(module: torch.nn.Module, batch: dict) -> dict:
        noised, estimate = module(batch, "sample")
        return {"half noised": codec.decode(noised), "one step": codec.decode(estimate), "hr": batch["hr"]}

    trained = fit(run, step, pool, pictures=pictures)
    export_part(run, step, transformer, trained, config.export, RENDERED)


@dataclass(frozen=True)
class TrainDecoderConfig:
    """Train the LR-conditioned decoder on latents that the model itself samples."""

    model: str = "out/tiny"  # folder with the VAE and the transformer
    cpc: str = "out/tiny/controlnet"  # folder of the trained CPC
    export: str = "out/tiny/lr_decoder"  # folder that receives the decoder
    channels: int = 48
    blocks: int = 6
    radius: int = 1  # LR frames seen before and after
    oracle_steps: int = 0  # first optimizer steps, which see the HR clip's own latent
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)


def train_decoder(config: TrainDecoderConfig) -> None:
    """Train an LR-conditioned decoder and export it."""
    check_parts(Path(config.model), Path(config.cpc), "wan")
    check_run(config.run, config.export)

    import torch

    from realis.models.lr_decoder import LrDecoder
    from realis.models.wan import Wan, load_controlnet
    from realis.training.export import RENDERED, export_part
    from realis.training.loop import fit
    from realis.training.pairs import pair_pool
    from realis.training.run import start_run
    from realis.training.sampled_latents import with_sampled_latents
    from realis.training.steps import LrDecoderStep

    run = start_run(config)
    wan = Wan(Path(config.model), torch.float32, torch.float32, run.accelerator.device)
    controlnet = load_controlnet(Path(config.cpc), torch.float32).requires_grad_(False).to(run.accelerator.device)
    decoder = LrDecoder(wan.vae.config.z_dim, config.channels, config.blocks, config.radius)
    pool = pair_pool(config.data, config.run.seed, wan.vae)
    pool = with_sampled_latents(pool, wan, controlnet, config.run.seed)
    step = LrDecoderStep(decoder, config.oracle_steps * run.samples_per_step, config.run.precision)
    trained = fit(
        run, step, pool,
        pictures=lambda module, b: {"lr": b["lr"], "decoded": module(b, "sample"), "hr": b["hr"]},
    )  # fmt: skip
    export_part(run, step, decoder, trained, config.export, RENDERED)
