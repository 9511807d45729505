"""The discriminator of VideoGigaGAN: a residual network of frames, inflated with the temporal modules of the generator."""

from itertools import pairwise

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from realis.comparators.videogigagan.adaptive_conv import activate
from realis.comparators.videogigagan.antialiasing import low_pass
from realis.comparators.videogigagan.attention import TemporalModule
from realis.data.batch import images_of


class ResidualDown(nn.Module):
    """Two convolutions beside a shortcut, at half the resolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, out, h / 2, w / 2) of ``x`` (N, channels, h, w)."""
        refined = self.conv2(low_pass(activate(self.conv1(x)))[..., ::2, ::2])
        return (activate(refined) + self.shortcut(low_pass(x)[..., ::2, ::2])) / 2**0.5


class Discriminator(ModelMixin, ConfigMixin):
    """Tell real frames from generated ones.

    Args:
        widths: channels at the resolution of the frames, at half of it, and so on.
        heads: of attention; all widths but the first are multiples of it.
        temporal: whether blocks have temporal modules.
    """

    @register_to_config
    def __init__(
        self, widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512), heads: int = 8, temporal: bool = True
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 1)
        self.blocks = nn.ModuleList(ResidualDown(width, below) for width, below in pairwise(widths))
        self.temporal_modules = (
            nn.ModuleList(TemporalModule(width, heads) for width in widths[1:]) if temporal else None
        )
        self.conv_out = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.to_logit = nn.Linear(widths[-1], 1)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """Return logits (B, F), high for what looks real, of clips (B, 3, F, H, W) in about [-1, 1]."""
        x = activate(self.conv_in(images_of(clips)))
        for i, block in enumerate(self.blocks):
            x = block(x)
            if self.temporal_modules is not None:
                x = self.temporal_modules[i](x, len(clips))
        pooled = activate(self.conv_out(x)).mean(dim=(2, 3))
        return self.to_logit(pooled).view(len(clips), -1)
