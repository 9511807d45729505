"""The Stable Diffusion x4 upscaler as a method: find and check its files, then load its networks.

Methods that stand on it inherit the flags of :class:`SdX4Config` and call :func:`model_needs`. Torch is imported only to load.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from realis.comparators.sd_x4.card import CARD
from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.empty_prompt import check_empty_prompt, empty_prompt_weights
from realis.core import units
from realis.core.config import flag_name
from realis.core.errors import InputError, require
from realis.models.hub import SD_X4_TINY, read_part
from realis.models.sd_x4.files import (
    LR_SCHEDULER,
    SCALE,
    SdX4Facts,
    check_sd_x4,
    check_text_encoder,
    sd_x4_folder,
)
from realis.upscaler import Needs, NoiseGrid, Placement, Segments

if TYPE_CHECKING:
    from realis.comparators.sd_x4.upscaler import SdX4Upscaler

TINY_REMARK = (
    f"{SD_X4_TINY} is tiny, trained on a few photographs so that the method runs everywhere: do not judge it by this"
)


class SdX4Method:
    """The Stable Diffusion x4 upscaler as a :class:`realis.upscaler.Method`."""

    Config = SdX4Config
    card = CARD

    def needs(self, config: SdX4Config, prompted: bool) -> Needs:
        return model_needs(config, prompted)

    def load(self, config: SdX4Config, placement: Placement, prompts: Sequence[str]) -> "SdX4Upscaler":
        placement.refuse("attention", method="sd_x4")  # diffusers' backends do not reach the processors of this UNet
        needs = self.needs(config, any(prompts))

        from realis.comparators.sd_x4.loading import load_model
        from realis.comparators.sd_x4.upscaler import SdX4Upscaler
        from realis.upscaling.placement import apply_placement

        model = load_model(config, needs, placement, prompts)
        apply_placement(placement, [model.unet], model.vae)
        return SdX4Upscaler(model, needs)


METHOD = SdX4Method()


def model_needs(config: SdX4Config, prompted: bool, least_steps: int = 1) -> Needs:
    """Find the files of a model, and return what upscaling frame by frame by it needs.

    Args:
        config: its flags.
        prompted: whether there is a prompt.
        least_steps: of sampling, where the choice is left to the model's files.

    Raises:
        InputError: a file is missing or damaged, or the files do not fit each other or the flags.
    """
    folder, facts, reads_text = find_model(config, prompted)
    steps, level = config.steps or max(facts.steps, least_steps), choose_noise_level(config, folder, facts)
    require(steps < facts.timesteps, flag_name(config, "steps"), steps, f"up to {facts.timesteps - 1}")
    multiple = facts.multiple * SCALE
    for name in ("tile_height", "tile_width", "tile_overlap"):
        size = getattr(config, name)
        wanted = f"a multiple of {multiple} for {config.model}"
        require(size % multiple == 0, flag_name(config, name), size, wanted)
    parts = ["unet", "vae", "scheduler", *["low_res_scheduler"] * (level != "off")]
    weights = {"model": folder, "empty_prompt_embeds": empty_prompt_weights(config, folder)}
    words = [f"{units.count(steps, 'step')} of {config.sampler}", *[f"noise level {level}"] * (level != "off"),
             *[f"guidance {config.guidance:g}"] * (config.guidance != 1), "VAE in float32"]  # fmt: skip
    tiles, batch = (flag_name(config, name) for name in ("tile_height", "tile_width")), flag_name(config, "batch")
    frames = flag_name(config, "segment_frames")
    return Needs(
        Segments(config.segment_frames, independent=True),
        scales=(SCALE,),
        trained_scale=SCALE,
        tile=(config.tile_height, config.tile_width),
        tile_overlap=config.tile_overlap,
        multiple=multiple,
        noise=NoiseGrid(facts.channels, frames=1, pixels=SCALE),
        text=facts.has_text,
        weights={name: path for name, path in weights.items() if path},
        parts={folder: [*parts, *["text_encoder", "tokenizer"] * reads_text]},
        dtypes={folder / name: "float32" for name in ("vae", "text_encoder")},
        settings={"steps": steps, "noise_level": level},
        strength=facts.strength,
        sampling=", ".join(words),
        label="/".join(Path(config.model).parts[-2:]),
        less_memory=f"smaller tiles ({', '.join(tiles)}), a smaller {batch}, fewer {frames}, --offload",
        remarks=[f"{TINY_REMARK}; {flag_name(config, 'model')} names a real one"] * (config.model == SD_X4_TINY),
    )


def find_model(config: SdX4Config, prompted: bool) -> tuple[Path, SdX4Facts, bool]:
    """Return the folder of a model, what is known of it, and whether its text encoder is a part that is read; what writes the
    embedding of the empty prompt to a file does not count.

    Raises:
        InputError: a file is missing or damaged, or there is a prompt and no text encoder.
    """
    reads_text = prompted or bool(config.negative_prompt and config.guidance != 1)
    embeds = Path(config.empty_prompt_embeds) if config.empty_prompt_embeds else None
    reads_empty = embeds is None or not embeds.is_file()  # by the text encoder
    folder = sd_x4_folder(config.model, flag_name(config, "model"), text_encoder=reads_text or reads_empty)
    facts, flag = check_sd_x4(folder), flag_name(config, "empty_prompt_embeds")
    if facts.has_text and (reads_text or reads_empty):
        read_part(folder / "text_encoder")
    elif reads_text:
        given = "--prompt, --prompt-file" if prompted else flag_name(config, "negative_prompt")
        raise InputError(f"{given}: {config.model} has no text encoder; leave it out")
    elif config.guidance != 1 and not facts.has_text:
        raise InputError(f"{flag_name(config, 'guidance')}: {config.model} has no text encoder, and knows no prompt to move "
                         "away from; leave it out")  # fmt: skip
    elif embeds and reads_empty:
        raise InputError(f"{flag} {embeds}: nothing there, and {config.model} has no text encoder to write it")
    elif reads_empty:
        check_text_encoder(folder, f"give {flag} with the embedding that it made of the empty prompt")
    if embeds and not reads_empty:
        check_empty_prompt(embeds, flag, facts.text_dim)
    return folder, facts, facts.has_text and (reads_text or not embeds)


def choose_noise_level(config: SdX4Config, folder: Path, facts: SdX4Facts) -> int | Literal["off"]:
    """Return to which level the LR is noised; off: it is not, and the network is told of no level.

    Raises:
        InputError: the network has no such level.
    """
    flag, level, levels = flag_name(config, "noise_level"), config.noise_level, facts.noise_levels
    if level == "off" or (level == "auto" and not levels):
        return "off"
    require(levels > 0, flag, level, f"auto or off, as the network of {config.model} has no noise levels")
    require((folder / LR_SCHEDULER).is_file(), flag, level, f"off, as {config.model} has no {LR_SCHEDULER}")
    if level == "auto":
        return facts.noise_level
    require(level < levels, flag, level, f"up to {levels - 1} for {config.model}")
    return level
