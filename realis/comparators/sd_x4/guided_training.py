"""Training of a network that guides a frozen x4 upscaler: what is loaded, encoded and restored. Torch is imported only to
train."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.comparators.sd_x4.guided_config import LEAST_STEPS, GuidedTrainingConfig
from realis.comparators.sd_x4.guided_files import check_levels
from realis.comparators.sd_x4.training_config import check_most_noise, highest_level, pure_noise
from realis.core.config import flag_name
from realis.models.hub import EMBEDDED, SD_X4_TINY
from realis.models.sd_x4.files import check_sd_x4, check_text_encoder, sd_x4_folder
from realis.models.weights_file import check_weights_file
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.models.modeling_utils import ModelMixin

    from realis.comparators.sd_x4.guided_step import GuidedStep
    from realis.comparators.sd_x4.guided_upscaler import Decode
    from realis.comparators.sd_x4.step import SdX4Step
    from realis.data.batch import Batch
    from realis.models.optical_flow.estimator import FlowEstimator
    from realis.training.run import Run


def find_upscaler(config: GuidedTrainingConfig) -> Path:
    """Return the folder of the frozen upscaler, whose files and those of flow are checked.

    Raises:
        InputError: one is missing or damaged, or they do not fit the flags.
    """
    folder = sd_x4_folder(config.model, flag_name(config, "model"))
    check_most_noise(config, config.model, check_sd_x4(folder).noise_levels)
    check_text_encoder(folder)
    if config.flow_weights:
        check_weights_file(config.flow_weights, flag_name(config, "flow_weights"))
    return folder


def check_trained_levels(config: GuidedTrainingConfig, model: Path, network: Mapping[str, Any], folder: Path) -> None:
    """Make sure that a network that is trained on knows the noise levels that it will be told.

    Args:
        config: flags of the training.
        model: the folder of the upscaler.
        network: configuration of the network.
        folder: of the network, for messages.

    Raises:
        InputError: it does not.
    """
    highest = highest_level(config, check_sd_x4(model).noise_levels)
    check_levels(network, "off" if highest < 0 else highest, flag_name(config, "most_noise"), str(folder))


def prepare_guided(
    config: GuidedTrainingConfig,
    run: "Run",
    network_of: "Callable[[UNet2DConditionModel], ModelMixin]",
    step_of: "Callable[[SdX4Step, ModelMixin, Decode, FlowEstimator], GuidedStep]",
    part: str,
    network_field: str,
) -> ComparatorTraining:
    """Load the frozen upscaler and the network that is trained.

    Args:
        config: its flags.
        run: the training run.
        network_of: the network, for a UNet.
        step_of: the training step, for the step of the upscaler, the network, the decoder and an estimator of flow.
        part: folder of the network in the export.
        network_field: of ``config``, which names a network to start from, or nothing.

    Raises:
        InputError: weights cannot be loaded.
    """
    import torch

    from realis.comparators.sd_x4.step import SdX4Step
    from realis.data.batch import clips_of, images_of
    from realis.data.randomness import sample_generator
    from realis.models.optical_flow.loading import load_flow
    from realis.models.sd_x4.latents import decode_images, encode_images
    from realis.models.sd_x4.loading import SdX4, forget_noise_levels
    from realis.ops.finite import check_weights
    from realis.ops.pixels import signed

    # 1. The frozen upscaler, and the network that guides it
    folder, device = sd_x4_folder(config.model, flag_name(config, "model")), run.accelerator.device
    facts, model = check_sd_x4(folder), SdX4(folder, torch.float32, device)
    vae, unet, (prompt,) = model.vae, model.unet, model.encode_prompts([""])
    check_weights(vae, folder / "vae")
    check_weights(unet, folder / "unet")
    if (highest := highest_level(config, facts.noise_levels)) < 0:
        forget_noise_levels(unet)
    network = network_of(unet).requires_grad_(True).train().to(device)
    base = SdX4Step(
        unet, model.schedule, model.lr_schedule if highest >= 0 else None, prompt, highest,
        pure_noise(config, facts.steps), facts.noise_level, max(facts.steps, LEAST_STEPS), run.config.seed, run.config.precision,
    )  # fmt: skip
    flow_file = Path(config.flow_weights) if config.flow_weights else None
    flow = load_flow(flow_file, flag_name(config, "flow_weights"), device)
    # As functions, so that neither VAE nor flow is a part of the step
    step = step_of(base, network, lambda latents: decode_images(vae, latents), lambda a, b: flow(a, b))

    # 2. Between pixels and latents, which are drawn from their posterior
    @torch.no_grad()
    def encode(batch: "Batch") -> "Batch":
        hr, lr = signed(batch["hr"]), signed(batch["lr"])
        shape = (lr.shape[2], facts.channels, *lr.shape[3:])
        noise = [
            torch.randn(shape, generator=sample_generator(run.config.seed, number, "posterior"))
            for number in batch["number"].tolist()
        ]
        latents = clips_of(encode_images(vae, images_of(hr), torch.cat(noise).to(device)), len(hr))
        return {**batch, "hr": hr, "lr": lr, "hr_latents": latents}

    @torch.no_grad()
    def restore(module: "torch.nn.Module", batch: "Batch") -> "torch.Tensor":
        return clips_of(decode_images(vae, images_of(module(batch, "sample"))), len(batch["lr"]))

    base = getattr(config, network_field) or config.model  # a new network begins as a copy of the upscaler's
    model_flag = "" if config.model == SD_X4_TINY else f"{flag_name(config, 'model')} {config.model} "
    return ComparatorTraining(
        step, encode, restore, network, base, derived=base not in EMBEDDED, task="video-to-video",
        use=model_flag + flag_name(config, network_field), part=part,
    )  # fmt: skip
