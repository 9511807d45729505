"""The flags of training the x4 upscaler."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.core.config import flag_name
from realis.core.errors import require
from realis.models.hub import SD_X4_TINY, WIDTH
from realis.models.sd_x4.files import TIMESTEPS

STEPS, MOST_NOISE = 10, 100  # of a new network


@dataclass(frozen=True)
class SdX4TrainingConfig:
    """The Stable Diffusion x4 upscaler: a model's network is trained on, or a new one is trained over its VAE."""

    PREFIX: ClassVar = "sd-x4"

    model: str = SD_X4_TINY  # sd-x4-tiny, a folder in diffusers' format, or a hub id
    # of a new network, at each of its resolutions: multiples of 8; empty: the model's own network is trained on
    widths: tuple[int, ...] = ()
    # the LR is noised to levels up to this one, of 1000, and the network told; -1: 100, for a model without them none
    most_noise: int = -1
    # share of samples at the noisiest timestep, where sampling begins; -1: half for a model of up to 4 steps, else none
    pure_noise: float = -1.0
    # of a new network, as its files will say; a model's own say it, and these are left out
    steps: int = 0  # sampling steps, also in pictures and validation; 0: 10
    noise_level: int = -1  # of the LR, unless inference is told otherwise; also in validation; -1: 20
    # how much of the result is taken over the resized input, 0 to 1; not in pictures and validation; -1: all
    strength: float = -1.0

    def __post_init__(self) -> None:
        for width in self.widths:
            require(8 <= width <= WIDTH and width % 8 == 0, flag("widths"), width, f"multiples of 8 up to {WIDTH}")
        require(-1 <= self.most_noise < TIMESTEPS, flag("most_noise"), self.most_noise, f"0 to {TIMESTEPS - 1}, or -1")
        require(
            self.pure_noise == -1 or 0 <= self.pure_noise <= 1, flag("pure_noise"), self.pure_noise, "0 to 1, or -1"
        )
        require(0 <= self.steps < TIMESTEPS, flag("steps"), self.steps, f"1 to {TIMESTEPS - 1}, or 0")
        require(self.strength == -1 or 0 <= self.strength <= 1, flag("strength"), self.strength, "0 to 1, or -1")
        fits = -1 <= self.noise_level <= self.highest_level
        require(fits, flag("noise_level"), self.noise_level, f"0 to {self.highest_level}, or -1")
        for name in ("steps", "noise_level", "strength"):
            value, is_default = getattr(self, name), getattr(self, name) == getattr(SdX4TrainingConfig, name)
            wanted = f"nothing without {flag('widths')}: a model's own files say it"
            require(bool(self.widths) or is_default, flag(name), value, wanted)

    @property
    def highest_level(self) -> int:
        """To which the LR is noised at most."""
        return MOST_NOISE if self.most_noise < 0 else self.most_noise


flag = partial(flag_name, SdX4TrainingConfig)  # the flag of a field
