"""``train_image_vae``: a small image VAE of 4 pixels a latent, in the shape of that of the Stable Diffusion x4 upscaler."""

from contextlib import closing
from dataclasses import dataclass, field

from realis.core.errors import require
from realis.data.native_config import NativeDataConfig, check_native_footage
from realis.models.hub import WIDTH
from realis.models.sd_x4.files import SCALE
from realis.training.run_folder import claim_run
from realis.training.settings import LoopConfig, OptimizerConfig

CHANNELS = 4  # of a latent
INITIALISED = 300  # samples that the encoder starts from
LEAST = 12  # channels of 2x2 pixels, which the encoder starts with


@dataclass(frozen=True)
class TrainImageVaeConfig:
    """Train a small image VAE, whose encoder starts at principal components."""

    export: str = "out/sd_x4_vae/vae"  # folder that receives the trained VAE
    widths: tuple[int, int, int] = (16, 32, 48)  # at full, half and quarter resolution
    kl_weight: float = 1e-6  # of the latents' divergence from the unit normal distribution
    data: NativeDataConfig = field(default_factory=NativeDataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        full, half, quarter = self.widths
        fits = LEAST <= full < half < quarter <= WIDTH
        require(fits, "--widths", self.widths, f"rising numbers from {LEAST} to {WIDTH}")
        require(self.kl_weight >= 0, "--kl-weight", self.kl_weight, "0 or more")


def train_image_vae(config: TrainImageVaeConfig) -> None:
    """Train a VAE and export it."""
    check_native_footage(config.data, held_out="")
    with claim_run(config.run, {"--export": config.export}):
        _train(config)


def _train(config: TrainImageVaeConfig) -> None:
    from realis.data.batch import images_of
    from realis.data.native import describe_source, native_source
    from realis.ops.pixels import signed
    from realis.tiny.image_vae_init import initialise_image_encoder, new_image_vae, scale_latents
    from realis.training.export import Card, export_parts
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.steps.image_vae import ImageVaeStep

    run = start_run(config)
    vae = new_image_vae(config.widths, CHANNELS)
    source = native_source(config.data, SCALE, config.run.seed, run.samples_per_step)
    with closing(source.batches(iter([range(INITIALISED)]))) as loaded:
        first = next(loaded)
    images = images_of(signed(first["hr"][:, :, :1]))
    initialise_image_encoder(vae, images)
    step = ImageVaeStep(vae, config.kl_weight, config.run.seed, config.run.precision)
    trained = fit(run, step, source, pictures=lambda module, b: {"decoded": module(b, "sample"), "hr": b["hr"]})
    card = Card(describe_source(config.data, source), task="image-to-image")
    # Training changes what the latents vary by
    export_parts(run, step, {config.export: vae}, trained, card, complete=lambda part, _: scale_latents(part, images))
    run.accelerator.end_training()
