"""Wan2.1 from a folder or hub id in diffusers' format; latents with Wan's statistics; prompts.

Also loads what realis trains (CPC, LR decoder) from the same folder or another. Weights come from safetensors only.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open

from realis.core.errors import InputError
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.hub import has_text_encoder, part_folder
from realis.models.lr_decoder import LrDecoder

TEXT_LENGTH = 512  # umT5 tokens that Wan's transformer was trained with


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
        """Embeddings of each prompt, (1, text tokens, text_dim); the text encoder is loaded once and let go.

        A text-free model has only the empty prompt: one zero token. Otherwise umT5 embeds the prompt, cleaned as in
        Wan's own code, and the embedding is cut to its true length and padded with zeros to 512 tokens, which the
        transformer does not mask.

        Raises:
            InputError: a prompt was given to a text-free model, or the text encoder cannot be loaded.
        """
        if has_text_encoder(self.folder):
            return [pad_prompt(embeds) for embeds in self.embed_texts(prompts)] if prompts else []
        if any(prompts):
            raise InputError(
                f"prompt: got {max(prompts)!r}, but {self.folder} has no text encoder and knows only the empty prompt; "
                "leave the prompt out or choose another --model"
            )
        return [torch.zeros(1, 1, self.transformer.config.text_dim, dtype=self.dtype, device=self.device)] * len(
            prompts
        )

    @torch.no_grad()
    def embed_texts(self, prompts: Iterable[str]) -> Iterator[torch.Tensor]:
        """Embeddings (1, tokens, text_dim) of prompts by the text encoder, one after the other; it is let go at the end.

        Raises:
            InputError: the text encoder cannot be loaded.
        """
        from diffusers.pipelines.wan.pipeline_wan import prompt_clean
        from transformers import AutoTokenizer, UMT5EncoderModel

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer")
            loaded: Any = UMT5EncoderModel.from_pretrained(
                self.folder / "text_encoder", dtype=self.dtype, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"{self.folder}: the text encoder cannot be loaded ({error}); cached embeddings do without it: "
                "--prompt-embeds and --empty-prompt-embeds of upscale, --clips.embeddings of train_cpc"
            ) from error
        encoder, info = loaded
        check_loaded(info, UMT5EncoderModel.__name__, self.folder / "text_encoder")
        encoder = encoder.eval().to(self.device)
        for prompt in prompts:
            tokens = tokenizer(prompt_clean(prompt), return_tensors="pt", truncation=True, max_length=TEXT_LENGTH)
            states = encoder(tokens.input_ids.to(self.device), tokens.attention_mask.to(self.device)).last_hidden_state
            yield states.to(self.dtype)


def check_loaded(info: dict[str, Any], name: str, folder: Path) -> None:
    """Refuse weights that do not fit, by what ``from_pretrained(output_loading_info=True)`` tells.

    Raises:
        InputError: missing, unexpected or mismatched weights.
    """
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    wrong = [f"{len(info[kind])} {kind.replace('_', ' ')}" for kind in kinds if info[kind]]
    if wrong:
        raise InputError(f"{folder}: the weights do not fit {name}: {', '.join(wrong)}")


def pad_prompt(embeds: torch.Tensor) -> torch.Tensor:
    """Pad prompt embeddings (B, text tokens, text_dim) with zeros to 512 tokens, as Wan's transformer expects."""
    return torch.nn.functional.pad(embeds, (0, 0, 0, TEXT_LENGTH - embeds.shape[1]))


def load_prompt_embeds(file: Path, text_dim: int) -> torch.Tensor:
    """Cached prompt embeddings (1, 512, text_dim) from a safetensors file that holds one tensor (tokens, text_dim).

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


def load_controlnet(folder: Path, dtype: torch.dtype) -> CpcControlNet:
    """A trained CPC from its folder (or the ``controlnet`` folder inside it)."""
    return load_part(CpcControlNet, part_folder(folder, "controlnet"), dtype)


def load_lr_decoder(folder: Path, dtype: torch.dtype) -> LrDecoder:
    """A trained LR-conditioned decoder from its folder (or the ``lr_decoder`` folder inside it)."""
    return load_part(LrDecoder, part_folder(folder, "lr_decoder"), dtype)


def encode_video(vae: AutoencoderKLWan, frames: torch.Tensor) -> torch.Tensor:
    """Normalised latents of a video: posterior mean, minus ``latents_mean``, over ``latents_std``.

    Args:
        frames: (B, 3, F, H, W) in [-1, 1]; F = 4 n + 1, H and W multiples of 8 (the VAE itself would silently drop
            what is beyond them).

    Returns:
        (B, C, f, h, w) float32.

    Raises:
        ValueError: a size that does not fit.
    """
    _, channels, F, H, W = frames.shape
    if channels != 3 or F % 4 != 1 or H % 8 or W % 8:
        raise ValueError(
            f"frames: got shape {tuple(frames.shape)}, wanted (B, 3, 4 n + 1, multiple of 8, multiple of 8)"
        )
    mean, std = latent_statistics(vae, frames.device)
    return (vae.encode(frames.to(vae.dtype)).latent_dist.mode().float() - mean) / std


def encoder_digest(vae: AutoencoderKLWan) -> str:
    """A hash of what latents depend on: the VAE's configuration (not where it was loaded from) and its encoder's weights."""
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, weight in (vae.encoder.state_dict() | vae.quant_conv.state_dict()).items():
        digest.update(name.encode() + weight.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def decode_video(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`encode_video`: (B, C, f, h, w) -> (B, 3, 4 f - 3, 8 h, 8 w) float32 in [-1, 1]."""
    mean, std = latent_statistics(vae, latents.device)
    return vae.decode((latents.float() * std + mean).to(vae.dtype), return_dict=False)[0].float()


def latent_statistics(vae: AutoencoderKLWan, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Wan's per-channel mean and standard deviation of latents, each (1, C, 1, 1, 1) float32."""
    mean, std = (torch.tensor(vae.config[key], device=device) for key in ("latents_mean", "latents_std"))
    return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)
