"""Convolutions whose kernels a style selects and modulates (Kang et al., GigaGAN, CVPR 2023, Eqs. 1 and 2).

B counts clips, F their frames; a style belongs to a clip, so that its frames are convolved alike.
"""

import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

SLOPE, GAIN = 0.2, 2**0.5  # of leaky ReLU, as StyleGAN2's: it keeps the variance


def activate(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU, scaled."""
    return leaky_relu(x, SLOPE) * GAIN


class AdaptiveConv(nn.Module):
    """A 3x3 convolution by a kernel that is mixed from a bank, modulated and demodulated, for each clip.

    Args:
        channels: in.
        out: channels out.
        style_dim: of a style.
        kernels: in the bank.
    """

    def __init__(self, channels: int, out: int, style_dim: int, kernels: int) -> None:
        super().__init__()
        self.bank = nn.Parameter(torch.randn(kernels, out, channels, 3, 3) / (9 * channels) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(out))
        self.selection = nn.Linear(style_dim, kernels)
        self.modulation = nn.Linear(style_dim, channels)
        nn.init.ones_(self.modulation.bias)

    def kernels(self, style: torch.Tensor) -> torch.Tensor:
        """Return the kernels (B, out, channels, 3, 3) float32 of styles (B, style_dim)."""
        share, factor = self.selection(style).float().softmax(dim=1), self.modulation(style).float()
        with torch.autocast(style.device.type, enabled=False):
            mixed = torch.einsum("bn,noihw->boihw", share, self.bank.float())
            modulated = mixed * factor[:, None, :, None, None]
            norm = modulated.square().sum(dim=(2, 3, 4), keepdim=True).add(1e-8).rsqrt()
            return modulated * norm

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Convolve frames ``x`` (B F, channels, h, w), clip by clip, by their styles (B, style_dim)."""
        clips = zip(x.chunk(len(style)), self.kernels(style).to(x.dtype), strict=True)
        return torch.cat([conv2d(clip, kernel, self.bias.to(x.dtype), padding=1) for clip, kernel in clips])


class StyledBlock(nn.Module):
    """Two adaptive convolutions with spatial noise, added to what comes in.

    Args:
        channels: in.
        out: channels out.
        style_dim: of a style.
        kernels: in each bank.
    """

    def __init__(self, channels: int, out: int, style_dim: int, kernels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(AdaptiveConv(c, out, style_dim, kernels) for c in (channels, out))
        self.noise_strength = nn.Parameter(torch.zeros(2))  # of each convolution
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: torch.Tensor, style: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Refine frames.

        Args:
            x: (B F, channels, h, w).
            style: (B, style_dim).
            noise: (B, 1, h, w), the same for all frames of a clip.

        Returns:
            (B F, out, h, w).
        """
        noise = noise.repeat_interleave(len(x) // len(style), dim=0)
        refined = x
        for conv, strength in zip(self.convs, self.noise_strength, strict=True):
            convolved = conv(refined, style)
            refined = activate(convolved + (strength * noise).to(convolved))
        return (self.shortcut(x) + refined) / 2**0.5


class MappingNetwork(nn.Sequential):
    """Noise (B, noise_dim) -> a style (B, style_dim), as StyleGAN's mapping network."""

    def __init__(self, noise_dim: int, style_dim: int, layers: int) -> None:
        super().__init__()
        for i in range(layers):
            self.extend([nn.Linear(style_dim if i else noise_dim, style_dim), nn.LeakyReLU(SLOPE)])

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return super().forward(z * z.float().square().mean(dim=1, keepdim=True).add(1e-8).rsqrt().to(z))
