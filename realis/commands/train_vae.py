"""``train_vae``: a small Wan VAE of a model's own."""

from dataclasses import dataclass, field

from realis.core.errors import require
from realis.data.pairs_config import DataConfig
from realis.models.hub import MOST
from realis.training.run_folder import claim_run
from realis.training.settings import LoopConfig, OptimizerConfig


@dataclass(frozen=True)
class TrainVaeConfig:
    """Build a small Wan VAE: encoder from principal components, decoder trained to invert it."""

    export: str = "out/tiny/vae"  # folder that receives the trained VAE
    base_dim: int = 16  # encoder width
    decoder_base_dim: int = 16  # decoder width
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        most = MOST["base_dim"]
        require(16 <= self.base_dim <= most, "--base-dim", self.base_dim, f"16 to {most}")
        require(1 <= self.decoder_base_dim <= most, "--decoder-base-dim", self.decoder_base_dim, f"1 to {most}")


def train_vae(config: TrainVaeConfig) -> None:
    """Train a VAE decoder and export the VAE."""
    with claim_run(config.run, {"--export": config.export}):
        _train_vae(config)


def _train_vae(config: TrainVaeConfig) -> None:
    import torch
    from diffusers import AutoencoderKLWan

    from realis.data.description import RENDERED
    from realis.data.pairs import pair_pool, render_pair
    from realis.data.randomness import sample_rng
    from realis.ops.pixels import signed
    from realis.tiny.pca_init import initialise_encoder
    from realis.training.export import Card, export_parts, halve
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.steps.vae_decoder import VaeDecoderStep

    run = start_run(config)
    vae = AutoencoderKLWan(
        base_dim=config.base_dim, decoder_base_dim=config.decoder_base_dim, patch_size=2, in_channels=12,
        out_channels=12, dim_mult=[1, 2, 4], temperal_downsample=[True, True], num_res_blocks=1,
        scale_factor_spatial=8, latents_mean=[0.0] * 16, latents_std=[1.0] * 16,
    )  # fmt: skip
    rngs = [sample_rng(config.run.seed, number, "pair") for number in range(min(config.data.count, 500))]
    frames = torch.stack([render_pair(config.data, rng)[0][:, 0] for rng in rngs])
    initialise_encoder(vae, signed(frames))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    halve(vae.encoder)  # latents as the exported encoder will give them
    vae.float().to(run.accelerator.device)
    pool = pair_pool(config.data, config.run.seed, vae)
    step = VaeDecoderStep(vae, config.run.precision)
    trained = fit(run, step, pool, pictures=lambda module, b: {"decoded": module(b, "sample"), "hr": b["hr"]})
    export_parts(run, step, {config.export: vae}, trained, Card(RENDERED))
    run.accelerator.end_training()
