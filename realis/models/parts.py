"""Load one part of a model in diffusers' format, strictly and from safetensors only."""

from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from realis.core.errors import InputError


def check_loaded(info: dict[str, Any], name: str, folder: Path) -> None:
    """Refuse weights that do not fit, by what ``from_pretrained(output_loading_info=True)`` tells.

    Raises:
        InputError: missing, unexpected or mismatched weights.
    """
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    wrong = [f"{len(info[kind])} {kind.replace('_', ' ')}" for kind in kinds if info[kind]]
    if wrong:
        raise InputError(f"{folder}: the weights do not fit {name}: {', '.join(wrong)}")


def load_part(part: type[ModelMixin], folder: Path, dtype: torch.dtype) -> Any:
    """Load one model strictly.

    Args:
        part: its class.
        folder: with ``config.json`` and safetensors weights (sharded or not).
        dtype: of the loaded weights.

    Raises:
        InputError: no such folder, corrupt weights, wrong shapes, missing or unexpected weights.
    """
    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"{folder}: no {part.__name__} there (no config.json); wanted a folder in diffusers' format")
    diffusers_logging.set_verbosity_error()  # what does not fit is said once, below
    try:
        loaded: Any = part.from_pretrained(
            str(folder), torch_dtype=dtype, use_safetensors=True, output_loading_info=True, low_cpu_mem_usage=True
        )
    except (OSError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, SafetensorError, TypeError,
            ValueError) as error:  # fmt: skip
        raise InputError(f"{folder}: {part.__name__} cannot be loaded: {error!r}") from error
    model, info = loaded
    check_loaded(info, part.__name__, folder)
    return model


def load_text_encoder(
    folder: Path, tokenizer: type[PreTrainedTokenizerBase], encoder: type[PreTrainedModel], dtype: torch.dtype
) -> tuple[Any, Any]:
    """Load the tokenizer and, strictly, the text encoder of a model.

    Args:
        folder: of the model, with ``tokenizer`` and ``text_encoder``.
        tokenizer: its class, or one that finds it.
        encoder: its class.
        dtype: of the loaded weights.

    Raises:
        InputError: one of them is missing or damaged, or the weights do not fit.
    """
    transformers_logging.set_verbosity_error()  # as above
    transformers_logging.disable_progress_bar()
    part = folder / "text_encoder"
    try:
        tokens = tokenizer.from_pretrained(folder / "tokenizer")
        loaded: Any = encoder.from_pretrained(part, dtype=dtype, use_safetensors=True, output_loading_info=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise InputError(f"{part}: the text encoder cannot be loaded ({error})") from error
    model, info = loaded
    check_loaded(info, encoder.__name__, part)
    return tokens, model
