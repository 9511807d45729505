"""Self-attention over the pixels of a frame, and over the frames of a clip at a pixel (VideoGigaGAN, Sec. 3.2)."""

import torch
from torch import nn

from realis.data.batch import clips_of, images_of


def zero_init(layer: nn.Module) -> None:
    """Set the weights and the bias of a layer to 0."""
    for p in layer.parameters():
        nn.init.zeros_(p)


class SelfAttention(nn.Module):
    """Attention among tokens by the distance of their queries and keys, which are one projection (GigaGAN, Sec. 3.2;
    Kim et al., ICML 2021), added to what comes in.

    Args:
        channels: of a token.
        heads: of attention.
        starts_at_zero: whether nothing is added before training.
    """

    def __init__(self, channels: int, heads: int, starts_at_zero: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.to_qk = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        if starts_at_zero:
            zero_init(self.to_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Refine tokens (N, L, channels)."""
        tokens = self.norm(x)
        qk, v = (layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.to_qk, self.to_v))
        # -|q - k|^2 = 2 q k - |k|^2 - |q|^2, of which softmax over the keys does not see the last
        squared = qk.square().sum(dim=3)[:, :, None]
        logits = (2 * qk @ qk.transpose(2, 3) - squared) * qk.shape[3] ** -0.5
        attended = logits.softmax(dim=3) @ v
        return x + self.to_out(attended.transpose(1, 2).flatten(2))


class SpatialAttention(SelfAttention):
    """Attention among the pixels of each frame."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Refine frames (N, channels, h, w)."""
        return super().forward(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])


class TemporalModule(nn.Module):
    """A temporal convolution, then temporal attention, without spatial extent: residual, and zero-initialised.

    Args:
        channels: of the features.
        heads: of attention.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))  # over (frames, pixels)
        zero_init(self.conv)
        self.attention = SelfAttention(channels, heads, starts_at_zero=True)

    def forward(self, x: torch.Tensor, clips: int) -> torch.Tensor:
        """Refine the frames ``x`` (B F, channels, h, w) of B ``clips``."""
        size, clip = x.shape[2:], clips_of(x, clips).flatten(3)  # (B, C, F, h w)
        clip = clip + self.conv(clip)
        tokens = self.attention(clip.permute(0, 3, 2, 1).flatten(0, 1))  # (B h w, F, C)
        clip = tokens.unflatten(0, (clips, -1)).permute(0, 3, 2, 1)
        return images_of(clip.unflatten(3, size))
