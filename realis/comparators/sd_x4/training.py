"""Training of the x4 upscaler: what is frozen, what is trained, what is exported. Torch is imported only to train."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.comparators.sd_x4.training_config import (
    STEPS,
    SdX4TrainingConfig,
    check_most_noise,
    flag,
    highest_level,
    pure_noise,
)
from realis.models.hub import SD_X4_TINY
from realis.models.sd_x4.files import (
    LR_SCHEDULER,
    NOISE_LEVEL,
    SCALE,
    SCHEDULER,
    TIMESTEPS,
    TOKENS,
    check_sd_x4,
    check_text_encoder,
    check_vae,
    sd_x4_folder,
)
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.models.modeling_utils import ModelMixin

    from realis.data.batch import Batch
    from realis.training.run import Run

TEXT_DIM = 32  # of a new network, which knows the empty prompt alone
# Noise levels of the public model, for latents and LR alike
LEVELS = {"num_train_timesteps": TIMESTEPS, "beta_schedule": "scaled_linear", "beta_start": 0.0001, "beta_end": 0.02}
# A new network samples in few steps: from the noisiest level on
SCHEDULE = LEVELS | {
    "_class_name": "DDIMScheduler",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": False,
}
LR_SCHEDULE = LEVELS | {"_class_name": "DDPMScheduler"}
INDEX = {"_class_name": "StableDiffusionUpscalePipeline", "text_encoder": [None, None], "tokenizer": [None, None]}
FROZEN = ("vae", "scheduler", "low_res_scheduler", "text_encoder", "tokenizer", "model_index.json")


class SdX4Training:
    """The x4 upscaler as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = SdX4TrainingConfig
    least_frames = 1

    def scale(self, config: SdX4TrainingConfig) -> int:
        return SCALE

    def find_files(self, config: SdX4TrainingConfig) -> list[Path]:
        folder = find_model(config)
        if config.widths:
            check_vae(folder)
            return [folder / "vae"]
        check_most_noise(config, config.model, check_sd_x4(folder).noise_levels)
        check_text_encoder(folder)
        return [folder]

    def prepare(self, config: SdX4TrainingConfig, run: "Run") -> ComparatorTraining:
        import torch

        from realis.comparators.sd_x4.step import SdX4Step
        from realis.data.batch import clips_of, images_of
        from realis.diffusion.v_prediction import NoiseSchedule
        from realis.models.sd_x4.latents import decode_images, encode_images
        from realis.models.sd_x4.loading import SdX4
        from realis.ops.finite import check_weights
        from realis.ops.pixels import signed

        # 1. The frozen VAE, and the network
        folder, device, is_new = find_model(config), run.accelerator.device, bool(config.widths)
        model, steps = SdX4(folder, torch.float32, device), config.steps or STEPS
        vae = model.vae
        check_weights(vae, folder / "vae")
        if is_new:
            most = highest_level(config, TIMESTEPS)
            level = min(NOISE_LEVEL, most) if config.noise_level < 0 else config.noise_level
            unet = new_unet(config.widths, vae.config.latent_channels, most + 1).to(device)
            prompt = torch.zeros(1, TOKENS, TEXT_DIM, device=device)
            schedule, lr_schedule = NoiseSchedule(SCHEDULE), NoiseSchedule(LR_SCHEDULE)
        else:
            facts, (prompt,) = check_sd_x4(folder), model.encode_prompts([""])
            most = highest_level(config, facts.noise_levels)
            unet, steps, level = model.unet.requires_grad_(True).train(), facts.steps, facts.noise_level
            check_weights(unet, folder / "unet")
            schedule, lr_schedule = model.schedule, model.lr_schedule if facts.noise_levels else None
        step = SdX4Step(
            unet, schedule, lr_schedule, prompt, most, pure_noise(config, steps), level, steps, run.config.seed,
            run.config.precision,
        )  # fmt: skip

        # 2. Between pixels and latents
        @torch.no_grad()
        def encode(batch: "Batch") -> "Batch":
            hr = signed(batch["hr"])
            latents = clips_of(encode_images(vae, images_of(hr)), len(hr))
            return {**batch, "hr": hr, "lr": signed(batch["lr"]), "hr_latents": latents}

        @torch.no_grad()
        def restore(module: torch.nn.Module, batch: "Batch") -> "torch.Tensor":
            return clips_of(decode_images(vae, images_of(module(batch, "sample"))), len(batch["lr"]))

        def complete(network: "ModelMixin", export: Path) -> None:
            if is_new:
                said = {"steps": steps, "strength": 1.0 if config.strength < 0 else config.strength}
                write_new_model(folder / "vae", export, SCHEDULE | said, LR_SCHEDULE | {"noise_level": level})
            else:
                copy_frozen_parts(folder, export)

        derived = not is_new and config.model != SD_X4_TINY
        return ComparatorTraining(
            step, encode, restore, unet, config.model, derived, task="image-to-image", use=flag("model"), part="unet",
            complete=complete,
        )  # fmt: skip


TRAINING = SdX4Training()


def find_model(config: SdX4TrainingConfig) -> Path:
    """Return the folder of the model; downloads what is not on this machine.

    Raises:
        InputError: it cannot be found.
    """
    return sd_x4_folder(config.model, flag("model"), text_encoder=not config.widths)


def new_unet(widths: tuple[int, ...], channels: int, noise_levels: int) -> "UNet2DConditionModel":
    """Return a new network in the shape of the public one: attention everywhere but at full resolution, to frame and prompt
    at the lowest one, to the prompt alone at the others.

    Args:
        widths: at each of its resolutions.
        channels: of a latent.
        noise_levels: of the LR.
    """
    from diffusers import UNet2DConditionModel

    between = len(widths) - 1
    return UNet2DConditionModel(
        in_channels=channels + 3, out_channels=channels, block_out_channels=widths, layers_per_block=1,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * between),
        up_block_types=(*["CrossAttnUpBlock2D"] * between, "UpBlock2D"),
        only_cross_attention=(*[True] * between, False), cross_attention_dim=TEXT_DIM, attention_head_dim=4,
        use_linear_projection=True, norm_num_groups=4, num_class_embeds=noise_levels,
    )  # fmt: skip


def copy_frozen_parts(model: Path, export: Path) -> None:
    """Copy what is not trained, so that the export is a whole model."""
    for part in (model / name for name in FROZEN):
        if part.is_dir():
            shutil.copytree(part, export / part.name)
        elif part.is_file():
            shutil.copyfile(part, export / part.name)


def write_new_model(vae: Path, export: Path, schedule: dict[str, Any], lr_schedule: dict[str, Any]) -> None:
    """Write what a new network takes to be a whole model: the VAE, its schedules, and that there is no text encoder."""
    shutil.copytree(vae, export / "vae")
    for file, content in (
        (SCHEDULER, schedule),
        (LR_SCHEDULER, lr_schedule),
        ("model_index.json", INDEX),
    ):
        (export / file).parent.mkdir(exist_ok=True)
        (export / file).write_text(json.dumps(content, indent=2) + "\n")
