"""Training of VideoGigaGAN: what is built, inflated and exported. Torch is imported only to train."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.comparators.videogigagan.files import DISCRIMINATOR, check_heads, check_network, network_folder, scale_of
from realis.comparators.videogigagan.training_config import PARTS, PROPAGATION, VideoGigaGanTrainingConfig, flag
from realis.core.errors import require
from realis.core.log import logger
from realis.models.hub import EMBEDDED, read_part
from realis.models.weights_file import check_weights_file
from realis.parallel.launch import asked_for
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    import torch
    from diffusers.models.modeling_utils import ModelMixin

    from realis.comparators.videogigagan.discriminator import Discriminator
    from realis.comparators.videogigagan.generator import VideoGigaGan
    from realis.data.batch import Batch
    from realis.training.run import Run


class VideoGigaGanTraining:
    """VideoGigaGAN as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = VideoGigaGanTrainingConfig
    least_frames = 1

    def scale(self, config: VideoGigaGanTrainingConfig) -> int:
        return scale_of(network_config(config))

    def find_files(self, config: VideoGigaGanTrainingConfig) -> list[Path]:
        wanted = "DDP (train/launch/ddp_8gpu.yaml): R1 takes gradients of gradients, which has not been tried with sharded layers"
        require(not asked_for("FSDP"), "accelerate's launch file", "FSDP", wanted)
        if config.flow_weights and config.propagation:
            check_weights_file(config.flow_weights, flag("flow_weights"))
        if config.lpips_weights:
            check_weights_file(config.lpips_weights, flag("lpips_weights"))
        if config.widths:
            check_heads(config.decoder_widths, config.heads, flag("heads"))
        folder, heads = None, network_config(config)["heads"]
        if not config.widths:
            folder = network_folder(config.model, flag("model"), (DISCRIMINATOR,))
        if folder and (folder / DISCRIMINATOR).is_dir():
            read_part(folder / DISCRIMINATOR)
            got, default = config.discriminator_widths, VideoGigaGanTrainingConfig.discriminator_widths
            wanted = f"nothing: {config.model} has a discriminator of its own"
            require(got == default, flag("discriminator_widths"), got, wanted)
        else:
            check_heads(config.discriminator_widths[1:], heads, f"{flag('discriminator_widths')}: heads")
        return [folder] if folder else []

    def prepare(self, config: VideoGigaGanTrainingConfig, run: "Run") -> ComparatorTraining:
        from realis.comparators.videogigagan.step import VideoGigaGanStep
        from realis.data.batch import signed_clips
        from realis.models.optical_flow.loading import load_flow
        from realis.models.optical_flow.neighbours import flows_of_clips
        from realis.training.lpips import load_lpips

        device, folder = run.accelerator.device, None
        if not config.widths:
            folder = network_folder(config.model, flag("model"), (DISCRIMINATOR,))
        generator = build_generator(config, folder).to(device)
        discriminator = build_discriminator(config, folder, generator.config.heads).to(device)
        lpips_network = load_lpips(config.lpips_weights, flag("lpips_weights"), device) if config.lpips else None
        step = VideoGigaGanStep(
            generator, discriminator, lpips_network, config, run.optimizer, run.samples_per_step, run.config.seed,
            run.config.precision,
        )  # fmt: skip
        flow_file = Path(config.flow_weights) if config.flow_weights else None
        estimate_flow = load_flow(flow_file, flag("flow_weights"), device) if config.propagation else None

        def encode(batch: "Batch") -> "Batch":
            batch = signed_clips(batch)
            if estimate_flow is None:
                return batch
            to_next, to_previous = flows_of_clips(batch["lr"], estimate_flow)
            return {**batch, "to_next": to_next, "to_previous": to_previous}

        def restore(module: "torch.nn.Module", batch: "Batch") -> "torch.Tensor":
            return module(batch, "sample").float()

        base = config.model if folder else ""
        own_flow = config.propagation and config.flow_weights
        flow_flag = f"{flag('flow_weights')} {config.flow_weights} " if own_flow else ""
        return ComparatorTraining(
            step, encode, restore, generator, base, derived=bool(base) and base not in EMBEDDED, task="video-to-video",
            use=flow_flag + flag("model"), others={DISCRIMINATOR: discriminator},
        )  # fmt: skip


TRAINING = VideoGigaGanTraining()


def network_config(config: VideoGigaGanTrainingConfig) -> dict[str, Any]:
    """Return the config.json of the generator that is trained: a new one's, or the model's with the parts that are asked for.

    Raises:
        InputError: the model cannot be found, or has a part that is not asked for.
    """
    if config.widths:
        return config.new_network
    found = check_network(network_folder(config.model, flag("model"), (DISCRIMINATOR,)))
    own = {name: value for name, value in found.items() if not name.startswith("_")}
    for name, has in (("temporal", own["temporal"]), ("propagation", own["propagation_channels"] > 0)):
        wanted = f"a model without, such as an image upsampler: {config.model} has weights for it"
        off = f"--{config.PREFIX}.no-{name}"
        require(getattr(config, name) or not has, off, f"{flag('model')} {config.model}", wanted)
    if own["propagation_channels"]:
        for name in PROPAGATION:
            fits = getattr(config, name) in (own[name], getattr(VideoGigaGanTrainingConfig, name))
            require(fits, flag(name), getattr(config, name), f"nothing: {config.model} has its own, {own[name]}")
        new = ("flow_weights", *PARTS)
    else:
        new = ("flow_weights", *PARTS, *PROPAGATION)
    return own | {name: config.new_network[name] for name in new}


def build_generator(config: VideoGigaGanTrainingConfig, folder: Path | None) -> "VideoGigaGan":
    """Return a new generator, or that in ``folder`` with the parts that it lacks, which change nothing before training.

    Raises:
        InputError: its weights cannot be loaded, or are not finite.
    """
    import torch

    from realis.comparators.videogigagan.generator import VideoGigaGan
    from realis.models.parts import load_part
    from realis.ops.finite import check_weights

    network = VideoGigaGan(**network_config(config))
    if folder:
        model = load_part(VideoGigaGan, folder, torch.float32)
        check_weights(model, folder)
        take_weights(network, model, "generator")
    return network


def build_discriminator(config: VideoGigaGanTrainingConfig, folder: Path | None, heads: int) -> "Discriminator":
    """Return a new discriminator, or that beside the generator in ``folder``, with temporal modules if they are asked for.

    Raises:
        InputError: its weights cannot be loaded, or are not finite.
    """
    import torch

    from realis.comparators.videogigagan.discriminator import Discriminator
    from realis.models.parts import load_part
    from realis.ops.finite import check_weights

    if not folder or not (folder / DISCRIMINATOR).is_dir():
        logger.info("the discriminator is new")
        return Discriminator(widths=config.discriminator_widths, heads=heads, temporal=config.temporal)
    model = load_part(Discriminator, folder / DISCRIMINATOR, torch.float32)
    check_weights(model, folder / DISCRIMINATOR)
    network = Discriminator(widths=model.config.widths, heads=model.config.heads, temporal=config.temporal)
    take_weights(network, model, "discriminator")
    return network


def take_weights(network: "ModelMixin", model: "ModelMixin", name: str) -> None:
    """Copy the weights of ``model``, of which ``network`` has all, and say in what it differs."""
    network.load_state_dict(model.state_dict(), strict=False)
    changes = [key for key, value in network.config.items() if not key.startswith("_") and value != model.config[key]]
    if changes:
        said = ", ".join(f"{key} {model.config[key]} -> {network.config[key]}" for key in changes)
        logger.info("the %s is changed: %s", name, said)
