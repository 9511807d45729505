"""Load a Stable Diffusion x4 upscaler with its prompts, its schedule and its flags."""

from collections.abc import Sequence

import torch

from realis.comparators.sd_x4.canvas import CanvasSdX4, LrNoise
from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.prompts import embed_prompts
from realis.core.errors import InputError
from realis.models.sd_x4.files import LR_SCHEDULER, SCHEDULER
from realis.models.sd_x4.loading import SdX4, forget_noise_levels
from realis.upscaler import Needs, Placement


def load_model(config: SdX4Config, needs: Needs, placement: Placement, prompts: Sequence[str]) -> CanvasSdX4:
    """Load a model: prompts first, so that text encoder and UNet are never in memory together.

    Args:
        config: its flags.
        needs: what they were found to need.
        placement: where its networks go; offloading and what follows it are left to the caller.
        prompts: all that will be asked for.

    Raises:
        InputError: a part cannot be loaded.
    """
    place = "cpu" if placement.offload else placement.device
    model, level = SdX4(needs.weights["model"], getattr(torch, placement.dtype), place), needs.settings["noise_level"]
    file = SCHEDULER
    lr_noise = None
    try:
        steps = model.schedule.steps(needs.settings["steps"], config.sampler)
        file = LR_SCHEDULER
        if level != "off":
            lr_noise = LrNoise(level, model.lr_schedule.alphas[level])
    except (ArithmeticError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"{model.folder / file}: no schedule can be made of it ({error})") from error
    embedded = embed_prompts(config, model, prompts)
    negative = embedded[config.negative_prompt] if config.guidance != 1 else None
    if lr_noise is None:
        forget_noise_levels(model.unet)
    return CanvasSdX4(
        model.unet, model.vae, embedded, negative, config.guidance, steps, lr_noise, config.batch,
        torch.device(placement.device),
    )  # fmt: skip
