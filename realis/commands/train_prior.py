"""``train_prior``: a small Wan transformer, trained from scratch as a text-free video prior."""

from dataclasses import dataclass, field
from pathlib import Path

from realis.core.errors import require
from realis.data.pairs_config import DataConfig
from realis.models.hub import MOST
from realis.training.run_folder import claim_run, overlap
from realis.training.settings import FlowConfig, LoopConfig, OptimizerConfig


@dataclass(frozen=True)
class TrainPriorConfig:
    """Train a small Wan transformer from scratch as a text-free video prior."""

    model: str = "out/tiny"  # folder with the VAE to use
    export: str = "out/tiny/transformer"  # folder that receives the transformer
    heads: int = 4  # of attention
    head_dim: int = 32  # width of a head
    ffn_dim: int = 384  # width of the feed-forward layers
    layers: int = 6  # transformer blocks
    data: DataConfig = field(default_factory=DataConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        fits = 6 <= self.head_dim <= MOST["attention_head_dim"] and self.head_dim % 2 == 0
        require(fits, "--head-dim", self.head_dim, f"an even number from 6 to {MOST['attention_head_dim']}")
        for name, field_name in (("heads", "num_attention_heads"), ("ffn_dim", "ffn_dim"), ("layers", "num_layers")):
            value, most = getattr(self, name), MOST[field_name]
            require(1 <= value <= most, f"--{name.replace('_', '-')}", value, f"1 to {most}")


def train_prior(config: TrainPriorConfig) -> None:
    """Train a transformer on HR latents and export it."""
    require(not overlap(Path(config.export), Path(config.model) / "vae"), "--export", config.export,
            f"a folder of its own, not the VAE of --model {config.model}, which is read")  # fmt: skip
    with claim_run(config.run, {"--export": config.export}):
        _train_prior(config)


def _train_prior(config: TrainPriorConfig) -> None:
    import torch

    from realis.data.batch import Batch
    from realis.data.description import RENDERED
    from realis.data.pairs import pair_pool
    from realis.models.cpc.injection import ControlledWanTransformer3DModel
    from realis.models.wan.loading import Wan
    from realis.ops.finite import check_weights
    from realis.tiny.passthrough_init import initialise_transformer
    from realis.training.export import Card, export_parts
    from realis.training.latents import LatentCodec
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.steps.prior import PriorStep

    run = start_run(config)
    wan = Wan(Path(config.model), torch.float32, torch.float32, run.accelerator.device)
    check_weights(wan.vae, wan.folder / "vae")
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

    def pictures(module: torch.nn.Module, batch: Batch) -> dict:
        noised, estimate = module(batch, "sample")
        return {"half noised": codec.decode(noised), "one step": codec.decode(estimate), "hr": batch["hr"]}

    trained = fit(run, step, pool, pictures=pictures)
    export_parts(run, step, {config.export: transformer}, trained, Card(RENDERED, config.model))
    run.accelerator.end_training()
