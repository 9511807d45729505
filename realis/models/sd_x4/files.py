"""What is known of a Stable Diffusion x4 upscaler from its files, before any weight is loaded. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, require
from realis.models.hub import WIDTH, read_json, read_part

SCALE = 4  # output pixels of a latent cell, and of a pixel of the LR, along each side
TOKENS = 77  # of a prompt, for CLIP's text encoder
STEPS = 50  # where the scheduler's configuration names none: what StableVSR and DGAF-VSR sample with
TIMESTEPS = 1000  # of a schedule that names no number of them
SCHEDULER = "scheduler/scheduler_config.json"
LR_SCHEDULER = "low_res_scheduler/scheduler_config.json"


@dataclass(frozen=True)
class SdX4Facts:
    """Facts of a model.

    Args:
        channels: of a latent.
        text_dim: width of a prompt's embedding.
        multiple: the sides of a latent are multiples of it.
        noise_levels: to which the LR may be noised; 0: the network was trained without, as the authors of StableVSR did.
        timesteps: of the schedule, more than the steps of sampling.
        steps: of sampling, unless told otherwise.
        has_text: whether there is a text encoder; else only the empty prompt is known.
    """

    channels: int
    text_dim: int
    multiple: int
    noise_levels: int
    timesteps: int
    steps: int
    has_text: bool


def check_sd_x4(folder: Path) -> SdX4Facts:
    """Read the facts of a model in the layout of ``stabilityai/stable-diffusion-x4-upscaler``.

    Raises:
        InputError: a part is missing or damaged, or it is another kind of model.
    """
    unet, vae = (read_part(folder / part) for part in ("unet", "vae"))
    scheduler = read_json(folder / SCHEDULER)
    channels = _whole(vae, "latent_channels", folder / "vae" / "config.json")
    widths, vae_widths = (config.get("block_out_channels", ()) for config in (unet, vae))
    fits = unet.get("in_channels") == channels + 3 and unet.get("out_channels") == channels
    fits = fits and channels >= 3 and isinstance(widths, list) and isinstance(vae_widths, list)
    fits = fits and len(widths) > 0 and len(vae_widths) == 3
    if not fits:
        raise InputError(f"{folder}: not an x4 upscaler of Stable Diffusion (a UNet that takes latents and 3 channels of the LR; "
                         "a VAE of 4 pixels a latent)")  # fmt: skip
    kind = scheduler.get("prediction_type")
    require(kind == "v_prediction", f"{folder / SCHEDULER}: prediction_type", repr(kind), "v_prediction")
    levels = 0
    if unet.get("num_class_embeds"):
        embedded = _whole(unet, "num_class_embeds", folder / "unet" / "config.json")
        levels = min(embedded, _timesteps(read_json(folder / LR_SCHEDULER), folder / LR_SCHEDULER))
    return SdX4Facts(
        channels,
        _whole(unet, "cross_attention_dim", folder / "unet" / "config.json"),
        2 ** (len(widths) - 1),
        levels,
        _timesteps(scheduler, folder / SCHEDULER),
        _whole({"steps": STEPS} | scheduler, "steps", folder / SCHEDULER),
        (folder / "text_encoder").is_dir(),
    )


def _timesteps(scheduler: dict[str, Any], file: Path) -> int:
    return _whole({"num_train_timesteps": TIMESTEPS} | scheduler, "num_train_timesteps", file)


def _whole(config: dict[str, Any], name: str, file: Path) -> int:
    value = config.get(name)
    fits = type(value) is int and 1 <= value <= WIDTH  # True is an int as well
    require(fits, f"{file}: {name}", repr(value), f"1 to {WIDTH}")
    return int(value or 0)
