"""Training of the x4 upscaler: what is frozen, what is trained, what is exported. Torch is imported only to train."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.comparators.sd_x4.training_config import STEPS, SdX4TrainingConfig, flag
from realis.core.errors import require
from realis.core.files import whole_file, whole_folder
from realis.models.hub import model_folder, read_part
from realis.models.sd_x4.files import LR_SCHEDULER, SCHEDULER, check_sd_x4
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from realis.data.batch import Batch
    from realis.training.run import Run

TEXT_DIM = 32  # of a new network, which knows the empty prompt alone
# Noise levels of the public model, for latents and LR alike
LEVELS = {"num_train_timesteps": STEPS, "beta_schedule": "scaled_linear", "beta_start": 0.0001, "beta_end": 0.02}
# A new network samples in few steps: from the noisiest level on
SCHEDULE = LEVELS | {
    "_class_name": "DDIMScheduler",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": False,
}
LR_SCHEDULE = LEVELS | {"_class_name": "DDPMScheduler"}
OTHER_PARTS = ("vae", "scheduler", "low_res_scheduler", "text_encoder", "tokenizer")


class SdX4Training:
    """The x4 upscaler as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = SdX4TrainingConfig
    part = "unet"

    def read_folders(self, config: SdX4TrainingConfig) -> list[Path]:
        folder = model_folder(config.model, "--sd-x4.model")
        if config.widths:
            read_part(folder / "vae")
        elif levels := check_sd_x4(folder).noise_levels:
            most = config.most_noise
            require(most < levels, flag("most_noise"), most, f"at most {levels - 1}, which {config.model} was made for")
        return [folder / part for part in (*OTHER_PARTS, *["unet"] * (not config.widths))]

    def prepare(self, config: SdX4TrainingConfig, run: "Run") -> ComparatorTraining:
        import torch

        from realis.comparators.sd_x4.step import SdX4Step
        from realis.data.batch import clips_of, images_of
        from realis.diffusion.v_prediction import NoiseSchedule
        from realis.models.sd_x4.files import TOKENS
        from realis.models.sd_x4.latents import decode_images, encode_images
        from realis.models.sd_x4.loading import SdX4
        from realis.ops.finite import check_weights
        from realis.ops.pixels import signed

        # 1. The frozen VAE, and the network
        folder, device = model_folder(config.model, "--sd-x4.model"), run.accelerator.device
        model = SdX4(folder, torch.float32, device)
        vae = model.vae
        check_weights(vae, folder / "vae")
        if config.widths:
            unet = new_unet(config, vae.config.latent_channels).to(device)
            prompt = torch.zeros(1, TOKENS, TEXT_DIM, device=device)
            schedule, lr_schedule, steps = NoiseSchedule(SCHEDULE), NoiseSchedule(LR_SCHEDULE), config.steps
        else:
            (prompt,), steps = model.encode_prompts([""]), check_sd_x4(folder).steps
            unet = model.unet.requires_grad_(True).train()
            check_weights(unet, folder / "unet")
            schedule = model.schedule
            lr_schedule = model.lr_schedule if unet.config.num_class_embeds else None
        step = SdX4Step(
            unet, schedule, lr_schedule, prompt, config.most_noise, steps, run.config.seed, run.config.precision
        )

        # 2. Between pixels and latents
        @torch.no_grad()
        def encode(batch: "Batch") -> "Batch":
            hr = signed(batch["hr"])
            latents = clips_of(encode_images(vae, images_of(hr)), len(hr))
            return {**batch, "hr": hr, "lr": signed(batch["lr"]), "hr_latents": latents}

        @torch.no_grad()
        def restore(module: torch.nn.Module, batch: "Batch") -> torch.Tensor:
            return clips_of(decode_images(vae, images_of(module(batch, "sample"))), len(batch["lr"]))

        def complete(export: Path) -> None:
            write_other_parts(folder, export, is_new=bool(config.widths), steps=steps)

        return ComparatorTraining(step, encode, restore, unet, complete)


TRAINING = SdX4Training()


def new_unet(config: SdX4TrainingConfig, channels: int) -> "UNet2DConditionModel":
    """Return a new network in the shape of the public one: attention everywhere but at full resolution, to frame and prompt
    at the lowest one, to the prompt alone at the others."""
    from diffusers import UNet2DConditionModel

    between = len(config.widths) - 1
    return UNet2DConditionModel(
        in_channels=channels + 3, out_channels=channels, block_out_channels=config.widths, layers_per_block=1,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * between),
        up_block_types=(*["CrossAttnUpBlock2D"] * between, "UpBlock2D"),
        only_cross_attention=(*[True] * between, False), cross_attention_dim=TEXT_DIM, attention_head_dim=4,
        use_linear_projection=True, norm_num_groups=4, num_class_embeds=config.most_noise + 1,
    )  # fmt: skip


def write_other_parts(model: Path, export: Path, *, is_new: bool, steps: int) -> None:
    """Write what makes the export of a network a whole model: what ``model`` has besides, and a new network's schedules."""
    for name in OTHER_PARTS:
        part, final = model / name, export / name
        if part.is_dir() and final.resolve() != part.resolve() and not (is_new and name.endswith("scheduler")):
            with whole_folder(final) as temporary:
                shutil.copytree(part, temporary, dirs_exist_ok=True)
    contents: dict[str, dict[str, Any]] = {SCHEDULER: SCHEDULE | {"steps": steps}, LR_SCHEDULER: LR_SCHEDULE}
    for file, content in contents.items() if is_new else ():
        with whole_file(export / file) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
