"""The embeddings of a run's prompts, made before the UNet is loaded; that of the empty one may be kept in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.empty_prompt import WRITER
from realis.core.files import whole_file
from realis.models.sd_x4.files import TOKENS
from realis.models.sd_x4.loading import SdX4
from realis.video.fingerprint import fingerprint


def embed_prompts(config: SdX4Config, model: SdX4, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
    """Return the embeddings (1, 77, text_dim) of ``texts``, and with guidance of the negative prompt, on the CPU; the text
    encoder is loaded once for all. The empty prompt is read from its file, if there is to be one, which the text encoder
    writes at the first use.

    Raises:
        InputError: the text encoder cannot be loaded, or the file cannot be written there.
        RunError: the disk is full or fails.
    """
    wanted = dict.fromkeys([*texts, *[config.negative_prompt] * (config.guidance != 1)])
    file = Path(config.empty_prompt_embeds) if config.empty_prompt_embeds and "" in wanted else None
    embedded = {}
    if file and file.is_file():
        (embeds,) = load_file(file).values()
        embedded[""] = embeds.reshape(1, TOKENS, -1)
    if rest := [text for text in wanted if text not in embedded]:
        embedded |= zip(rest, model.encode_prompts(rest), strict=True)
        if file and "" in rest:
            write_empty_prompt(embedded[""], file, model.folder)
    return {text: embeds.to("cpu", model.dtype) for text, embeds in embedded.items()}


def write_empty_prompt(embeds: torch.Tensor, file: Path, folder: Path) -> None:
    """Write the embedding (1, 77, text_dim) float32 of the empty prompt, made by the text encoder of the model in ``folder``."""
    metadata = {WRITER: fingerprint(folder / "text_encoder")}
    with whole_file(file) as temporary:
        save_file({"empty_prompt": embeds[0].cpu().contiguous()}, temporary, metadata)
