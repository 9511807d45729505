"""Embed the prompts of a run, before the transformer is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from realis.models.hub import check_base
from realis.models.wan.loading import Wan
from realis.models.wan.prompts import load_prompt_embeds
from realis.upscaling.cpc_config import CpcConfig


@dataclass(frozen=True)
class Prompt:
    """Embeddings of one video's prompt, (1, text tokens, text_dim) each.

    Args:
        text: embedding of the prompt.
        empty: of the empty prompt, for a CPC that takes no text.
        negative: of the negative prompt, for classifier-free guidance.
    """

    text: torch.Tensor
    empty: torch.Tensor
    negative: torch.Tensor


@dataclass(frozen=True)
class Prompts:
    """Embeddings of all prompts of a run, (1, text tokens, text_dim) on the CPU.

    Args:
        by_text: of each prompt; under the empty one may be the embedding of a file (``--prompt-embeds``).
        empty: of the empty prompt, for a CPC that takes no text and in place of a missing negative prompt; ``None`` where
            nothing reads it.
        negative: of the negative prompt, for classifier-free guidance; ``None`` where there is none.
    """

    by_text: Mapping[str, torch.Tensor]
    empty: torch.Tensor | None = None
    negative: torch.Tensor | None = None

    def prompt(self, text: str, device: torch.device) -> Prompt:
        """Return the embeddings of one of the prompts on ``device``. Without an empty one nothing reads it: the prompt's own
        stands in for it."""
        own = self.by_text[text].to(device)
        empty = own if self.empty is None else self.empty.to(device)
        return Prompt(own, empty, empty if self.negative is None else self.negative.to(device))


def embed_prompts(config: CpcConfig, wan: Wan, texts: Sequence[str], text_conditioned: bool) -> Prompts:
    """Embed the prompts that will be read: by the text encoder, loaded once for all, or from files where these are given.

    Args:
        config: negative prompt, guidance and files.
        wan: the model with the text encoder.
        texts: the prompts; the empty one stands for a video without a prompt.
        text_conditioned: whether the CPC takes text.

    Raises:
        InputError: the text encoder cannot be loaded, or a file holds something else.
    """
    guided = config.guidance != 1
    negative = config.negative_prompt if guided else ""
    unprompted = "" in texts and not config.prompt_embeds
    reads_empty = unprompted or not text_conditioned or (guided and not negative)

    def from_file(file: str) -> torch.Tensor:
        return load_prompt_embeds(Path(file), check_base(wan.folder)["text_dim"]).to(wan.dtype)

    files = {"": config.empty_prompt_embeds} if reads_empty and config.empty_prompt_embeds else {}
    wanted = dict.fromkeys([*filter(None, [*texts, negative]), *[""] * (reads_empty and not files)])
    embedded = dict(zip(wanted, (e.cpu() for e in wan.encode_prompts(list(wanted))), strict=True))
    embedded |= {text: from_file(file) for text, file in files.items()}
    empty = embedded.get("")
    if config.prompt_embeds:
        embedded[""] = from_file(config.prompt_embeds)
    return Prompts({text: embedded[text] for text in texts}, empty, embedded[negative] if negative else None)
