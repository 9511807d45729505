"""Prompt embeddings as Wan's transformer takes them."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from realis.core.errors import InputError

TEXT_LENGTH = 512  # umT5 tokens that Wan's transformer was trained with


def pad_prompt(embeds: torch.Tensor) -> torch.Tensor:
    """Pad prompt embeddings (B, text tokens, text_dim) with zeros to 512 tokens, as Wan's transformer expects."""
    return torch.nn.functional.pad(embeds, (0, 0, 0, TEXT_LENGTH - embeds.shape[1]))


def load_prompt_embeds(file: Path, text_dim: int) -> torch.Tensor:
    """Load cached prompt embeddings (1, 512, text_dim) from a safetensors file that holds one tensor (tokens,
    text_dim).

    Raises:
        InputError: not such a file.
    """
    try:
        with safe_open(file, "pt") as tensors:
            (name,) = tensors.keys()
            embeds = tensors.get_tensor(name)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{file}: not a safetensors file with one tensor of prompt embeddings: {error}") from error
    embeds = embeds if embeds.ndim == 3 else embeds[None]
    if embeds.ndim != 3 or len(embeds) != 1 or embeds.shape[2] != text_dim or embeds.shape[1] > TEXT_LENGTH:
        raise InputError(
            f"{file}: got prompt embeddings of shape {tuple(embeds.shape)}, wanted (1, up to {TEXT_LENGTH}, {text_dim})"
        )
    return pad_prompt(embeds)
