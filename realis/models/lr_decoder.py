"""Decoder that sees the low-resolution frames beside the latent, in place of the Wan VAE's decoder.

Its job is to add what the latent knows to the resized LR video: output = LR + residual(LR, latent). At tiny size it
is what makes the result better than bicubic; beside the real model it removes the VAE decoder, which takes most of
the time of few-step video super-resolution.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from realis.models.wan.geometry import CELL, FRAMES, latent_frame, phase, video_size
from realis.ops.shapes import check_shape

PHASES = (
    1 + FRAMES
)  # a latent frame covers the very first frame alone, later ones four frames each: 1 + 4 places in time
FLAT = 0.25 * 2 / 255  # contrast of the LR frame below which the residual's detail fades: a quarter of a grey level


def low_frequencies(x: torch.Tensor) -> torch.Tensor:
    """Return the means of 8x8 pixels of ``x`` (N, C, H, W), interpolated: nothing is left of a pattern that repeats every
    2, 4 or 8 pixels. H and W are multiples of 8."""
    return F.interpolate(F.avg_pool2d(x, CELL), scale_factor=CELL, mode="bilinear")


def fade_on_flat_areas(residual: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
    """Take the detail of ``residual`` away where ``lr`` has none; both (N, 3, H, W), in units of [-1, 1].

    The pixels of a cell come from output channels with weights of their own, and those of a latent cell likewise, so that
    on flat input they never agree to better than about a tenth of a grey level: rounded to 8 bits, a grid of dots. With v
    the variance of ``lr`` about its low frequencies, detail is multiplied by v / (v + FLAT^2), as in a Wiener filter. Low
    frequencies of the residual stay: they remove blocks.
    """
    low = low_frequencies(residual)
    variance = low_frequencies((lr - low_frequencies(lr)).square().mean(dim=1, keepdim=True))
    return low + variance / (variance + FLAT**2) * (residual - low)


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(x))), the second convolution zero at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states + self.conv2(F.silu(self.conv1(hidden_states)))


class LrDecoder(ModelMixin, ConfigMixin):
    """Convolutional decoder of a latent and the LR frames.

    Each output frame is computed at a quarter of its resolution from ``2 radius + 1`` LR frames (folded by
    pixel-unshuffle) and the latent frame that covers it, together with that frame's phase inside the latent frame. Where
    the LR frame is flat, only low frequencies are added to it.

    Args:
        latent_channels: C of the latent.
        channels: width of the body.
        num_blocks: residual blocks of the body.
        radius: LR frames seen before and after the one decoded; the border frame is repeated.
        latents: which it was trained on: those that the model samples; or, to be measured only, the LR clip's own
            (``lr``) or zeros (``none``).
    """

    FOLD = 4  # pixels of the output per cell of the body, each way; the latent grid is twice as coarse

    @register_to_config
    def __init__(self, latent_channels: int = 16, channels: int = 64, num_blocks: int = 7, radius: int = 1,
                 latents: str = "sampled") -> None:  # fmt: skip
        super().__init__()
        pixels = 3 * self.FOLD**2
        self.lr_in = nn.Conv2d(pixels * (2 * radius + 1), channels, 3, padding=1)
        self.latent_in = nn.Conv2d(latent_channels + PHASES, 4 * channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(num_blocks))
        self.conv_out = nn.Conv2d(channels, pixels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def lr_windows(self, lr: torch.Tensor, frames: Sequence[int]) -> torch.Tensor:
        """Return the LR frames around each of ``frames``, folded to the body's resolution: (B, frames, C, H / 4, W /
        4)."""
        folded = F.pixel_unshuffle(lr.transpose(1, 2).to(self.dtype), self.FOLD)  # (B, F, 48, H/4, W/4)
        offsets, last = range(-self.config.radius, self.config.radius + 1), lr.shape[2] - 1
        return torch.cat([folded[:, [min(max(i + d, 0), last) for i in frames]] for d in offsets], dim=2)

    def forward(self, latents: torch.Tensor, lr: torch.Tensor, frames: Sequence[int] | None = None) -> torch.Tensor:
        """Decode.

        Args:
            latents: (B, C, f, h, w), normalised as the transformer's output is.
            lr: (B, 3, F, H, W) in [-1, 1], the LR video resized to the output size; H, W multiples of 8, F = 4 f - 3.
            frames: which frames to decode, by number; by default all F.

        Returns:
            (B, 3, frames, H, W), in about [-1, 1] (not clamped), dtype of ``lr``.
        """
        _, _, f, h, w = latents.shape
        check_shape("lr", lr, "B 3 F H W", B=len(latents), **dict(zip("FHW", video_size(f, h, w), strict=True)))

        # 1. The LR window of every output frame; frames join the batch
        frames = range(lr.shape[2]) if frames is None else frames
        window = self.lr_windows(lr, frames)

        # 2. The latent frame that covers it, and the phase inside
        latent = latents.to(self.dtype).transpose(1, 2)[:, [latent_frame(i) for i in frames]]
        phases = torch.tensor([phase(i) for i in frames], device=lr.device)
        place = F.one_hot(phases, PHASES).to(latent)[None, :, :, None, None].expand(len(lr), -1, -1, h, w)
        latent = torch.cat([latent, place], dim=2)

        # 3. Body and residual; channels last, in which convolutions on CPU are up to 1.6 times as fast
        hidden_states = self.lr_in(window.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        hidden_states = hidden_states + F.pixel_shuffle(self.latent_in(latent.flatten(0, 1)), 2)
        for block in self.blocks:
            hidden_states = block(hidden_states)
        residual = F.pixel_shuffle(self.conv_out(hidden_states), self.FOLD)

        # 4. Added to the LR frame, without detail where that has none
        decoded = lr[:, :, list(frames)].transpose(1, 2)  # (B, frames, 3, H, W)
        residual = fade_on_flat_areas(residual.to(lr.dtype), decoded.flatten(0, 1))
        return (decoded + residual.unflatten(0, decoded.shape[:2])).transpose(1, 2)
