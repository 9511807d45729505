"""The generator of VideoGigaGAN: an image GigaGAN upsampler, inflated (Secs. 3.1 to 3.5).

Eq. 1 has three encoder blocks E_0 to E_2, each of which halves the resolution, and 3 + k decoder blocks D_0 to D_{k+2}, each
of which doubles it. B counts clips, F frames, C channels; h and w are of LR frames.
"""

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn.functional import interpolate, pixel_shuffle

from realis.comparators.videogigagan.adaptive_conv import MappingNetwork, StyledBlock
from realis.comparators.videogigagan.antialiasing import Downsample, high_frequencies
from realis.comparators.videogigagan.attention import SpatialAttention, TemporalModule, zero_init
from realis.comparators.videogigagan.layout import noise_channels, octaves
from realis.comparators.videogigagan.propagation import Flows, Propagation
from realis.data.batch import clips_of, images_of


class VideoGigaGan(ModelMixin, ConfigMixin):
    """Enlarge clips in a single pass.

    Args:
        widths: channels at resolutions h, h / 2, h / 4, h / 8.
        upsampling_widths: channels at 2 h, 4 h and so on: the scale is 2 to the power of their number.
        kernels: in the bank of each adaptive convolution.
        style_dim: of a style.
        noise_dim: of the noise that a style is mapped from.
        mapping_layers: of that mapping.
        heads: of attention; all widths of the decoder are multiples of it.
        temporal: whether decoder blocks have temporal modules.
        propagation_channels: of each direction of feature propagation; 0: none, and the encoder sees single frames.
        propagation_blocks: residual blocks of each direction.
        blur_pool: whether the encoder shrinks by BlurPool in place of strided convolutions.
        hf_shuttle: whether skip connections carry high frequencies alone.
        flow_weights: name of the file of weights of the optical flow that it was trained with; empty: Farneback's method.
    """

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (256, 512, 1024, 1024),
        upsampling_widths: tuple[int, ...] = (128, 64),
        kernels: int = 5,
        style_dim: int = 512,
        noise_dim: int = 128,
        mapping_layers: int = 4,
        heads: int = 8,
        temporal: bool = True,
        propagation_channels: int = 64,
        propagation_blocks: int = 30,
        blur_pool: bool = True,
        hf_shuttle: bool = True,
        flow_weights: str = "",
    ) -> None:
        super().__init__()
        self.octaves = octaves(len(upsampling_widths))
        self.mapping = MappingNetwork(noise_dim, style_dim, mapping_layers)
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.propagation = self.conv_features = None
        if propagation_channels:
            self.propagation = Propagation(propagation_channels, propagation_blocks)
            self.conv_features = nn.Conv2d(2 * propagation_channels, widths[0], 3, padding=1)
            zero_init(self.conv_features)

        self.encoder = nn.ModuleList(StyledBlock(width, width, style_dim, kernels) for width in widths[:-1])
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.down = nn.ModuleList(Downsample(width, below, blur_pool) for width, below in pairs)

        skips = [*widths[-2::-1], *[0] * len(upsampling_widths)]  # channels that come from the encoder
        outs = [*widths[-2::-1], *upsampling_widths]
        ins = [widths[-1], *outs[:-1]]
        self.decoder = nn.ModuleList(
            StyledBlock(below + skip, out, style_dim, kernels)
            for below, skip, out in zip(ins, skips, outs, strict=True)
        )
        self.attention = SpatialAttention(outs[0], heads)
        self.temporal_modules = nn.ModuleList(TemporalModule(out, heads) for out in outs) if temporal else None
        self.conv_out = nn.Conv2d(outs[-1], 3, 3, padding=1)
        zero_init(self.conv_out)

    @property
    def scale(self) -> int:
        """How many times as large frames become."""
        return 2 ** len(self.config.upsampling_widths)

    def forward(self, lr: torch.Tensor, flows: Flows | None, z: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Enlarge clips as one chunk each.

        Args:
            lr: (B, 3, F, h, w) float32 in [-1, 1]; h and w are multiples of 8.
            flows: between its frames; ``None`` without propagation.
            z: (B, noise_dim), noise of the style.
            noise: (B, N, h, w), spatial noise, which all frames share; N is ``layout.all_noise_channels``.

        Returns:
            (B, 3, F, scale h, scale w) float32 in about [-1, 1].
        """
        features = None
        if self.propagation is not None:
            assert flows is not None
            features, _ = self.propagation(lr.to(self.dtype), flows)
        return self.enlarge(lr, features, self.mapping(z), noise)

    def enlarge(
        self, lr: torch.Tensor, features: torch.Tensor | None, style: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """Enlarge chunks of clips: the inflated GigaGAN upsampler alone.

        Args:
            lr: (B, 3, F, h, w) float32 in [-1, 1].
            features: (B, C, F, h, w), what propagation gave for these frames; ``None`` without it.
            style: (B, style_dim).
            noise: (B, N, h, w).

        Returns:
            (B, 3, F, scale h, scale w) float32 in about [-1, 1].
        """
        maps = self.noise_maps(noise)
        x, skips = self.encode(lr, features, style, maps[: len(self.encoder)])
        for i, (block, noise_map) in enumerate(zip(self.decoder, maps[len(self.encoder) :], strict=True)):
            x = interpolate(x, scale_factor=2, mode="bilinear")
            if skips:
                skip = skips.pop()
                x = torch.cat((x, high_frequencies(skip) if self.config.hf_shuttle else skip), dim=1)
            x = block(x, style, noise_map)
            if i == 0:
                x = self.attention(x)
            if self.temporal_modules is not None:
                x = self.temporal_modules[i](x, len(lr))
        enlarged = interpolate(images_of(lr), scale_factor=self.scale, mode="bicubic")
        return clips_of(enlarged + self.conv_out(x).float(), len(lr))

    def encode(
        self, lr: torch.Tensor, features: torch.Tensor | None, style: torch.Tensor, maps: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return what the encoder makes of the frames of chunks, (B F, C, h / 8, w / 8), and the features of each block before
        they are shrunk, for skip connections; arguments are those of :meth:`enlarge`, and the noise of each block."""
        x = self.conv_in(images_of(lr).to(self.dtype))
        if self.conv_features is not None:
            assert features is not None
            x = x + self.conv_features(images_of(features))
        skips = []
        for block, down, noise_map in zip(self.encoder, self.down, maps, strict=True):
            skips.append(block(x, style, noise_map))
            x = down(skips[-1])
        return x, skips

    def noise_maps(self, noise: torch.Tensor) -> list[torch.Tensor]:
        """Cut ``noise`` (B, N, h, w) into the maps (B, 1, height, width) of the blocks, at their resolutions."""
        parts = noise.split([noise_channels(octave) for octave in self.octaves], dim=1)
        return [
            pixel_shuffle(part, 2**octave) if octave > 0 else part[..., :: 2**-octave, :: 2**-octave]
            for part, octave in zip(parts, self.octaves, strict=True)
        ]
