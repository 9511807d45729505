"""The flags of training VideoGigaGAN."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from realis.comparators.videogigagan.layout import RANGES
from realis.core.config import flag_name
from realis.core.errors import require
from realis.models.hub import VIDEOGIGAGAN_TINY, WIDTH

# Fields that are the sizes of a new network, by the names that its config.json has them under
SIZES = ("kernels", "style_dim", "noise_dim", "mapping_layers", "heads")
PROPAGATION = ("propagation_channels", "propagation_blocks")
PARTS = ("temporal", "blur_pool", "hf_shuttle")  # and propagation: what makes the rows of the paper's Table 1


@dataclass(frozen=True)
class VideoGigaGanTrainingConfig:
    """VideoGigaGAN: a GAN that enlarges clips in a single pass, and its discriminator."""

    PREFIX: ClassVar = "videogigagan"

    # what is trained on: videogigagan-tiny, a folder that was exported, or a hub id; parts that it lacks are added
    model: str = VIDEOGIGAGAN_TINY
    # of a new network: channels at resolutions h, h/2, h/4 and h/8 of the LR; empty: the model is trained on
    widths: tuple[int, ...] = ()
    upsampling_widths: tuple[int, ...] = (128, 64)  # of a new network: at 2h, 4h and so on; two: x4, three: x8
    kernels: int = 5  # of a new network: in the bank of each adaptive convolution
    style_dim: int = 512  # of a new network: of a style
    noise_dim: int = 128  # of a new network: of the noise that a style is mapped from
    mapping_layers: int = 4  # of a new network: of that mapping
    heads: int = 8  # of a new network: of attention; the widths that it works at are multiples of it
    temporal: bool = True  # temporal convolution and attention, in the decoder and the discriminator
    propagation: bool = True  # of features along optical flow; the next two, and the weights of flow, are for it
    propagation_channels: int = 64  # where it is new: of each direction
    propagation_blocks: int = 30  # where it is new: residual blocks of each direction
    blur_pool: bool = True  # in the place of strided convolutions
    hf_shuttle: bool = True  # skip connections carry high frequencies alone
    # of a new discriminator: channels at the resolution of the HR, at half of it, and so on
    discriminator_widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    flow_weights: str = ""  # SpyNet's or RAFT's, such as BasicVSR_REDS4.pth; empty: Farneback's method
    lpips_weights: str = ""  # of torchvision's VGG16 (vgg16-397923af.pth); empty: LPIPS is no part of the loss
    gan: float = 0.05  # weight of the generator's GAN loss
    lpips: float = 5.0  # of LPIPS
    charbonnier: float = 10.0  # of the Charbonnier loss
    r1: float = 0.2048  # of R1, in the discriminator's loss
    r1_every: int = 16  # R1 is computed in one optimizer step of so many, and counts as many times

    def __post_init__(self) -> None:
        if self.widths:
            require(len(self.widths) == 4, flag("widths"), self.widths, "four numbers: at h, h/2, h/4 and h/8")
        require(
            1 <= len(self.upsampling_widths) <= 3, flag("upsampling_widths"), self.upsampling_widths, "one to three"
        )
        widths = self.discriminator_widths
        require(len(widths) >= 2, flag("discriminator_widths"), widths, "two or more")
        for name in ("widths", "upsampling_widths", "discriminator_widths"):
            for width in getattr(self, name):
                require(1 <= width <= WIDTH, flag(name), width, f"1 to {WIDTH}")
        for name in (*SIZES, *PROPAGATION):
            value, most = getattr(self, name), RANGES[name][1]
            require(1 <= value <= most, flag(name), value, f"1 to {most}")
        require(self.r1_every >= 1, flag("r1_every"), self.r1_every, "1 or more")
        for name in ("gan", "lpips", "charbonnier", "r1"):
            require(getattr(self, name) >= 0, flag(name), getattr(self, name), "0 or more")
        is_default, wanted = self.model == VIDEOGIGAGAN_TINY, f"nothing with {flag('widths')}, of a new network"
        require(not self.widths or is_default, flag("model"), repr(self.model), wanted)
        if not self.widths:
            for name in ("upsampling_widths", *SIZES):
                wanted = f"nothing without {flag('widths')}: the model has its own"
                require(getattr(self, name) == getattr(type(self), name), flag(name), getattr(self, name), wanted)

    @property
    def new_network(self) -> dict[str, Any]:
        """The config.json of a new network."""
        names = ("widths", "upsampling_widths", *SIZES, *PARTS, *PROPAGATION)
        network = {name: getattr(self, name) for name in names} | {"flow_weights": Path(self.flow_weights).name}
        return network if self.propagation else network | {"propagation_channels": 0, "flow_weights": ""}

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Those widths of a new network that attention works at."""
        return (*self.widths[:-1], *self.upsampling_widths)


flag = partial(flag_name, VideoGigaGanTrainingConfig)  # the flag of a field
