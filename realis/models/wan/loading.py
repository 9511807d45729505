"""Wan2.1 from a folder in diffusers' format, and what realis trains for it (CPC, LR decoder). From safetensors only."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.modeling_utils import ModelMixin

from realis.core.errors import InputError
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.hub import has_text_encoder, part_folder
from realis.models.lr_decoder import LrDecoder
from realis.models.parts import load_part, load_text_encoder
from realis.models.wan.prompts import TEXT_LENGTH, pad_prompt


class Wan:
    """The parts of a Wan2.1 model, each loaded when it is first used.

    Args:
        folder: local folder as written by diffusers' ``save_pretrained`` (:func:`realis.models.hub.model_folder`
            turns a hub id into one).
        dtype: of transformer and text encoder; modules that diffusers keeps in float32 stay so.
        vae_dtype: of the VAE.
        device: where the parts go.
    """

    def __init__(self, folder: Path, dtype: torch.dtype, vae_dtype: torch.dtype, device: str | torch.device) -> None:
        self.folder, self.dtype, self.vae_dtype, self.device = Path(folder), dtype, vae_dtype, device

    @cached_property
    def transformer(self) -> ControlledWanTransformer3DModel:
        """The frozen main transformer."""
        return self._part(ControlledWanTransformer3DModel, "transformer", self.dtype)

    @cached_property
    def vae(self) -> AutoencoderKLWan:
        """The frozen VAE."""
        return self._part(AutoencoderKLWan, "vae", self.vae_dtype)

    def _part(self, part: type[ModelMixin], name: str, dtype: torch.dtype) -> Any:
        return load_part(part, self.folder / name, dtype).requires_grad_(False).eval().to(self.device)

    def encode_prompts(self, prompts: Sequence[str]) -> list[torch.Tensor]:
        """Return the embeddings of each prompt, (1, text tokens, text_dim); the text encoder is loaded once and let go.

        A text-free model has only the empty prompt: one zero token. Otherwise umT5 embeds the prompt, cleaned as in
        Wan's own code, and the embedding is cut to its true length and padded with zeros to 512 tokens, which the
        transformer does not mask.

        Raises:
            InputError: a prompt was given to a text-free model, or the text encoder cannot be loaded.
        """
        if has_text_encoder(self.folder):
            return [pad_prompt(embeds) for embeds in self.embed_texts(prompts)] if prompts else []
        if given := next(filter(None, prompts), ""):
            raise InputError(
                f"prompt: got {given!r}, but {self.folder} has no text encoder and knows only the empty prompt; "
                "leave the prompt out or choose another --model"
            )
        return [torch.zeros(1, 1, self.transformer.config.text_dim, dtype=self.dtype, device=self.device)] * len(
            prompts
        )

    @torch.no_grad()
    def embed_texts(self, prompts: Iterable[str]) -> Iterator[torch.Tensor]:
        """Yield the embeddings (1, tokens, text_dim) of prompts by the text encoder, one after the other; it is let go
        at the end.

        Raises:
            InputError: the text encoder cannot be loaded.
        """
        from diffusers.pipelines.wan.pipeline_wan import prompt_clean
        from transformers import AutoTokenizer, UMT5EncoderModel

        try:
            tokenizer, encoder = load_text_encoder(self.folder, AutoTokenizer, UMT5EncoderModel, self.dtype)
        except InputError as error:
            raise InputError(f"{error}; cached embeddings do without it: --prompt-embeds and --empty-prompt-embeds of "
                             "upscale, --clips.embeddings of train_cpc") from error  # fmt: skip
        encoder = encoder.eval().to(self.device)
        for prompt in prompts:
            tokens = tokenizer(prompt_clean(prompt), return_tensors="pt", truncation=True, max_length=TEXT_LENGTH)
            states = encoder(tokens.input_ids.to(self.device), tokens.attention_mask.to(self.device)).last_hidden_state
            yield states.to(self.dtype)


def load_controlnet(folder: Path, dtype: torch.dtype) -> CpcControlNet:
    """Load a trained CPC from its folder (or the ``controlnet`` folder inside it)."""
    return load_part(CpcControlNet, part_folder(folder, "controlnet"), dtype)


def load_lr_decoder(folder: Path, dtype: torch.dtype) -> LrDecoder:
    """Load a trained LR-conditioned decoder from its folder (or the ``lr_decoder`` folder inside it)."""
    return load_part(LrDecoder, part_folder(folder, "lr_decoder"), dtype)
