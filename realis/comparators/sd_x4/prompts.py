"""The embeddings of a run's prompts, made before the UNet is loaded; that of the empty one may be kept in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from realis.comparators.sd_x4.config import SdX4Config
from realis.core.files import whole_file
from realis.models.sd_x4.files import TOKENS
from realis.models.sd_x4.loading import SdX4


def embed_prompts(config: SdX4Config, model: SdX4, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
    """Return the embeddings (1, 77, text_dim) of ``texts``, and with guidance of the negative prompt, on the CPU; the text
    encoder is loaded once for all, and not for the empty prompt where a file has its embedding.

    Raises:
        InputError: the text encoder cannot be loaded.
    """
    wanted = dict.fromkeys([*texts, *[config.negative_prompt] * (config.guidance != 1)])
    embedded = {}
    if "" in wanted and config.empty_prompt_embeds:
        (embeds,) = load_file(config.empty_prompt_embeds).values()
        embedded[""] = embeds.reshape(1, TOKENS, -1).to(model.dtype)
    if rest := [text for text in wanted if text not in embedded]:
        embedded |= zip(rest, model.encode_prompts(rest), strict=True)
    return {text: embeds.cpu() for text, embeds in embedded.items()}


def write_empty_prompt(folder: Path, file: Path) -> None:
    """Write the embedding of the empty prompt by the text encoder of the model in ``folder``, in float32.

    Raises:
        InputError: the text encoder cannot be loaded, or the file cannot be written there.
        RunError: the disk is full or fails.
    """
    (embeds,) = SdX4(folder, torch.float32, "cpu").encode_prompts([""])
    with whole_file(file) as temporary:
        save_file({"empty_prompt": embeds[0].contiguous()}, temporary)
