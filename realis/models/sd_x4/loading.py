"""A Stable Diffusion x4 upscaler from a folder in diffusers' format, and one evaluation of its network."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ModelMixin, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from realis.core import units
from realis.core.errors import InputError
from realis.core.log import logger
from realis.diffusion.v_prediction import NoiseSchedule
from realis.models.hub import read_json
from realis.models.parts import load_part, load_text_encoder
from realis.models.sd_x4.files import LR_SCHEDULER, SCHEDULER, TOKENS

# (latents and LR (B, C + 3, h, w), timesteps (B,), prompt (B, 77, text_dim), noise levels (B,) or None) -> a context in which
# the UNet is called, with keyword arguments for it
Guide = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None], AbstractContextManager[dict[str, Any]]
]


class SdX4:
    """The parts of a model, each loaded when it is first used, and frozen until training says otherwise.

    Args:
        folder: local folder as written by diffusers' ``save_pretrained``.
        dtype: of the UNet. VAE and text encoder are always in float32: the one loses colour levels in less, and embeddings of
            the other are kept in files for any dtype.
        device: where the parts go.
    """

    def __init__(self, folder: Path, dtype: torch.dtype, device: str | torch.device) -> None:
        self.folder, self.dtype, self.device = Path(folder), dtype, device

    @cached_property
    def unet(self) -> UNet2DConditionModel:
        """The network that predicts velocities."""
        return self._part(UNet2DConditionModel, "unet", self.dtype)

    @cached_property
    def vae(self) -> AutoencoderKL:
        """The VAE, of 4 pixels a latent."""
        return self._part(AutoencoderKL, "vae", torch.float32)

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise levels of latents."""
        return NoiseSchedule(read_json(self.folder / SCHEDULER))

    @cached_property
    def lr_schedule(self) -> NoiseSchedule:
        """The noise levels of the LR, for a network that was trained with a noised one."""
        return NoiseSchedule(read_json(self.folder / LR_SCHEDULER))

    def _part(self, part: type, name: str, dtype: torch.dtype) -> Any:
        return load_part(part, self.folder / name, dtype).requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> list[torch.Tensor]:
        """Return the embedding of each prompt, (1, 77, text_dim) float32, whatever the others are; the text encoder is loaded
        once and let go. A model without one knows only the empty prompt: zeros.

        Raises:
            InputError: a prompt for a model without a text encoder, or that cannot be loaded.
        """
        if not (self.folder / "text_encoder").is_dir():
            if given := next(filter(None, prompts), ""):
                raise InputError(f"prompt: got {given!r}, but {self.folder} has no text encoder; leave the prompt out")
            width = self.unet.config.cross_attention_dim
            return [torch.zeros(1, TOKENS, width, device=self.device)] * len(prompts)
        tokenizer, encoder = load_text_encoder(self.folder, CLIPTokenizer, CLIPTextModel, torch.float32)
        encoder = encoder.eval().to(self.device)
        warn_of_cut_prompts(tokenizer, prompts)
        tokens = tokenizer(list(prompts), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
        return [encoder(ids[None].to(self.device)).last_hidden_state for ids in tokens.input_ids]


def forget_noise_levels(network: ModelMixin) -> None:
    """Take the embedding of noise levels out of a network, for an LR that is not noised; diffusers would want to be told of
    one."""
    network.class_embedding = None
    network.register_to_config(num_class_embeds=None)


def warn_of_cut_prompts(tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> None:
    """Log how many of ``prompts`` are longer than what CLIP reads, and the first of them."""
    cut = [text for text in prompts if len(tokenizer(text).input_ids) > TOKENS]
    if cut:
        number = units.count(len(cut), "prompt")
        logger.warning("%s cut at the %d tokens that the text encoder reads, the first: %r", number, TOKENS, cut[0])


def predict_velocity(
    unet: UNet2DConditionModel,
    z: torch.Tensor,
    timesteps: torch.Tensor,
    lr: torch.Tensor,
    prompt: torch.Tensor,
    noise_levels: torch.Tensor,
    guide: Guide | None = None,
) -> torch.Tensor:
    """Predict the velocity of noisy latents.

    Args:
        unet: of a model.
        z: (B, C, h, w) latents.
        timesteps: (B,) int64.
        lr: (B, 3, h, w), the LR in [-1, 1] and noised as ``noise_levels`` says.
        prompt: (B or 1, 77, text_dim).
        noise_levels: (B,) int64; not read by a network without an embedding of them.
        guide: a network beside it that adds to its features; ``None``: there is none.

    Returns:
        (B, C, h, w) float32.
    """
    prompt = prompt.expand(len(z), -1, -1)
    labels = noise_levels if unet.class_embedding is not None else None
    inputs = torch.cat((z, lr), dim=1).to(unet.dtype)
    guided = guide(inputs, timesteps, prompt, labels) if guide else nullcontext({})
    with guided as features:
        return unet(inputs, timesteps, encoder_hidden_states=prompt, class_labels=labels, **features).sample.float()
