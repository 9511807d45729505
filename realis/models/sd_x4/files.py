"""What is known of a Stable Diffusion x4 upscaler from its files, before any weight is loaded. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realis.core.errors import InputError, require
from realis.models.hub import SD_X4_TINY, WIDTH, has_text_encoder, is_whole, model_folder, read_json, read_part

SCALE = 4  # output pixels of a latent cell, and of a pixel of the LR, along each side
TOKENS = 77  # of a prompt, for CLIP's text encoder
SAMPLING_STEPS = 50  # where the scheduler's configuration names none: what StableVSR and DGAF-VSR sample with
TIMESTEPS = 1000  # of a schedule that names no number of them
SCALING_FACTOR = 0.08333  # of latents; diffusers' pipeline takes it whatever a configuration says
MOST_WIDTHS = 8  # of a network: its resolutions
TEXT_WIDTH = 512  # of a text encoder whose configuration names none
NOISE_LEVEL = 20  # of the LR, where the model's files name none: the default of diffusers' pipeline
SCHEDULER = "scheduler/scheduler_config.json"
LR_SCHEDULER = "low_res_scheduler/scheduler_config.json"
NOT_THIS_KIND = "not an x4 upscaler of Stable Diffusion (a UNet that takes latents and 3 channels of the LR; a VAE of 4 pixels a latent)"


@dataclass(frozen=True)
class SdX4Facts:
    """Facts of a model.

    Args:
        channels: of a latent.
        text_dim: width of a prompt's embedding.
        multiple: the sides of a latent are multiples of it.
        noise_level: of the LR, unless told otherwise, where there are noise levels.
        noise_levels: that the network can be told of; 0: it was made without.
        timesteps: of the schedule, more than the steps of sampling.
        steps: of sampling, unless told otherwise.
        strength: how much of the result is taken over the resized input, unless told otherwise; 0 to 1.
        has_text: whether there is a text encoder; else only the empty prompt is known.
    """

    channels: int
    text_dim: int
    multiple: int
    noise_level: int
    noise_levels: int
    timesteps: int
    steps: int
    strength: float
    has_text: bool


def sd_x4_folder(name: str, flag: str, *, text_encoder: bool = True) -> Path:
    """Return the local folder of a model, as :func:`realis.models.hub.model_folder` does; of the hub only what is read is
    downloaded."""
    parts = ("unet", "vae", *["text_encoder"] * text_encoder)
    return model_folder(name, flag, embedded=SD_X4_TINY, parts=parts, text_encoder=text_encoder)


def check_sd_x4(folder: Path) -> SdX4Facts:
    """Read the facts of a model in the layout of ``stabilityai/stable-diffusion-x4-upscaler``.

    Raises:
        InputError: a part is missing or damaged, or it is another kind of model.
    """
    if not (folder / "unet").is_dir():
        guides = any((folder / part).is_dir() for part in ("controlnet", "guiding_unet"))
        also = "; it holds what guides one, which --stablevsr.tcm or --dgaf-vsr.guiding-unet takes" if guides else ""
        raise InputError(f"{folder}: no unet there; wanted a whole x4 upscaler in diffusers' format{also}")
    unet, file, channels = read_part(folder / "unet"), folder / "unet" / "config.json", check_vae(folder)
    scheduler = read_json(folder / SCHEDULER)
    if unet.get("in_channels") != channels + 3 or unet.get("out_channels") != channels:
        raise InputError(f"{folder}: {NOT_THIS_KIND}")
    kind = scheduler.get("prediction_type")
    require(kind == "v_prediction", f"{folder / SCHEDULER}: prediction_type", repr(kind), "v_prediction")
    strength = scheduler.get("strength", 1.0)
    fits = type(strength) in (int, float) and 0 <= strength <= 1
    require(fits, f"{folder / SCHEDULER}: strength", repr(strength), "0 to 1")
    levels = level = 0
    if unet.get("num_class_embeds"):
        levels = _whole(unet, "num_class_embeds", file)
        if (folder / LR_SCHEDULER).is_file():  # not read where the LR stays as it is
            levels = min(levels, _timesteps(folder / LR_SCHEDULER))
            level = read_json(folder / LR_SCHEDULER).get("noise_level", min(NOISE_LEVEL, levels - 1))
            fits = is_whole(level, 0, levels - 1)
            require(fits, f"{folder / LR_SCHEDULER}: noise_level", repr(level), f"0 to {levels - 1}")
    timesteps, text_dim = _timesteps(folder / SCHEDULER), _whole(unet, "cross_attention_dim", file)
    has_text = (folder / "text_encoder").is_dir()
    if has_text:
        encoder = folder / "text_encoder" / "config.json"
        width = _whole(read_json(encoder), "hidden_size", encoder, TEXT_WIDTH)
        wanted = f"{text_dim}, the cross_attention_dim of the UNet"
        require(width == text_dim, f"{encoder}: hidden_size", width, wanted)
    return SdX4Facts(
        channels,
        text_dim,
        multiple=2 ** (len(_widths(unet, file)) - 1),
        noise_level=level,
        noise_levels=levels,
        timesteps=timesteps,
        steps=_whole(scheduler, "steps", folder / SCHEDULER, min(SAMPLING_STEPS, timesteps - 1), most=timesteps - 1),
        strength=strength,
        has_text=has_text,
    )


def check_vae(folder: Path) -> int:
    """Check that the VAE of the model in ``folder`` is one of 4 pixels a latent, and return the channels of a latent.

    Raises:
        InputError: it is missing, damaged or of another kind.
    """
    vae, file = read_part(folder / "vae"), folder / "vae" / "config.json"
    channels = _whole(vae, "latent_channels", file)
    if channels < 3 or len(_widths(vae, file)) != 3:
        raise InputError(f"{folder}: {NOT_THIS_KIND}")
    factor = vae.get("scaling_factor")
    require(factor == SCALING_FACTOR, f"{file}: scaling_factor", repr(factor), f"{SCALING_FACTOR}; set it to that")
    return channels


def check_text_encoder(folder: Path, advice: str = "") -> None:
    """Make sure that the text encoder of a model is there, if its ``model_index.json`` names one.

    Args:
        folder: of the model.
        advice: what else can be done, for the message.

    Raises:
        InputError: it is not.
    """
    if has_text_encoder(folder) and not (folder / "text_encoder").is_dir():
        also = f", or {advice}" if advice else ""
        raise InputError(f"{folder}: its model_index.json names a text encoder, which is not there; get it{also}")


def _timesteps(scheduler: Path) -> int:
    return _whole(read_json(scheduler), "num_train_timesteps", scheduler, TIMESTEPS, least=2)


def _widths(config: dict[str, Any], file: Path) -> list[int]:
    widths: Any = config.get("block_out_channels")
    fits = isinstance(widths, list) and 1 <= len(widths) <= MOST_WIDTHS
    fits = fits and all(is_whole(width, 1, WIDTH) for width in widths)
    wanted = f"1 to {MOST_WIDTHS} whole numbers, each 1 to {WIDTH}"
    require(fits, f"{file}: block_out_channels", repr(widths), wanted)
    return widths


def _whole(
    config: dict[str, Any], name: str, file: Path, default: int | None = None, *, least: int = 1, most: int = WIDTH
) -> int:
    value: Any = config.get(name, default)
    require(is_whole(value, least, most), f"{file}: {name}", repr(value), f"{least} to {most}")
    return value
