"""The flags of training the x4 upscaler."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Protocol

from realis.core.config import flag_name
from realis.core.errors import require
from realis.models.hub import SD_X4_TINY, WIDTH
from realis.models.sd_x4.files import TIMESTEPS

STEPS, MOST_NOISE = 10, 100  # of a new network
# Of a model for which the noisiest timestep matters as much as all others: it samples from there in few steps
FEW_STEPS = 4


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
        check_noise(self)
        require(0 <= self.steps < TIMESTEPS, flag("steps"), self.steps, f"1 to {TIMESTEPS - 1}, or 0")
        require(self.strength == -1 or 0 <= self.strength <= 1, flag("strength"), self.strength, "0 to 1, or -1")
        highest = highest_level(self, TIMESTEPS)
        fits = -1 <= self.noise_level <= highest
        require(fits, flag("noise_level"), self.noise_level, f"0 to {highest}, or -1")
        for name in ("steps", "noise_level", "strength"):
            value, is_default = getattr(self, name), getattr(self, name) == getattr(SdX4TrainingConfig, name)
            wanted = f"nothing without {flag('widths')}: a model's own files say it"
            require(bool(self.widths) or is_default, flag(name), value, wanted)


flag = partial(flag_name, SdX4TrainingConfig)  # the flag of a field


class NoiseConfig(Protocol):
    """Flags of a training that draws noise levels.

    Attributes:
        most_noise: the highest level that the LR is noised to; -1: the default; off: it is not, and no level is told.
        pure_noise: share of samples at the noisiest timestep; -1: the default.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    PREFIX: ClassVar[str]

    @property
    def most_noise(self) -> int | Literal["off"]: ...

    @property
    def pure_noise(self) -> float: ...


def check_noise(config: NoiseConfig) -> None:
    """Make sure that noise levels and shares are such.

    Raises:
        InputError: one is not.
    """
    most, pure = config.most_noise, config.pure_noise
    fits = most == "off" or -1 <= most < TIMESTEPS
    require(fits, flag_name(config, "most_noise"), most, f"0 to {TIMESTEPS - 1}, -1 or off")
    require(pure == -1 or 0 <= pure <= 1, flag_name(config, "pure_noise"), pure, "0 to 1, or -1")


def check_most_noise(config: NoiseConfig, model: str, levels: int) -> None:
    """Make sure that a model was made for the noise that the LR will have.

    Args:
        config: flags of the training.
        model: as it was given, for messages.
        levels: that its network knows; 0: none.

    Raises:
        InputError: it was not.
    """
    most = config.most_noise
    wanted = f"at most {levels - 1}, which {model} was made for" if levels else f"none: {model} has none"
    require(most in (-1, "off") or highest_level(config, levels) == most, flag_name(config, "most_noise"), most, wanted)


def highest_level(config: NoiseConfig, levels: int) -> int:
    """Return to which level of ``levels`` the LR is noised at most; -1: it is not."""
    if config.most_noise == "off":
        return -1
    return min(MOST_NOISE if config.most_noise == -1 else config.most_noise, levels - 1)


def pure_noise(config: NoiseConfig, steps: int) -> float:
    """Return the share of samples at the noisiest timestep, for a model that samples in ``steps``."""
    if config.pure_noise >= 0:
        return config.pure_noise
    return 0.5 if steps <= FEW_STEPS else 0.0
