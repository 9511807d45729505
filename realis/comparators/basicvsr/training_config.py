"""The flags of training BasicVSR."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from realis.core.config import flag_name
from realis.core.errors import require

OF_NEW = ("channels", "blocks", "flow_weights")  # fields of a new network, which weights that are trained on bring


@dataclass(frozen=True)
class BasicVsrTrainingConfig:
    """BasicVSR, of any size: weights are trained on, or a new network is trained over a frozen SpyNet."""

    PREFIX: ClassVar = "basicvsr"

    # weights that are trained on: a file such as BasicVSR_REDS4.pth, or a folder that was exported; empty: a new network
    weights: str = ""
    channels: int = 64  # of a new network: of its features
    blocks: int = 30  # of a new network: residual blocks of each direction
    flow_weights: str = ""  # of a new network, which needs it: a file with SpyNet's weights, such as BasicVSR_REDS4.pth
    charbonnier: float = 1.0  # weight of the Charbonnier loss of pixels in [0, 1]
    lpips: float = 0.5  # weight of LPIPS beside it: of VideoGigaGAN's Eq. 2, where the two have 5 and 10
    lpips_weights: str = ""  # the file of torchvision's VGG16 (vgg16-397923af.pth); empty: LPIPS is no part of the loss

    def __post_init__(self) -> None:
        for name in ("channels", "blocks"):
            require(getattr(self, name) >= 1, flag(name), getattr(self, name), "1 or more")
        for name in ("charbonnier", "lpips"):
            require(getattr(self, name) > 0, flag(name), getattr(self, name), "above 0")
        for name in OF_NEW:
            value, is_default = getattr(self, name), getattr(self, name) == getattr(BasicVsrTrainingConfig, name)
            wanted = f"nothing with {flag('weights')}, which have their own"
            require(is_default or not self.weights, flag(name), value, wanted)
        without_lpips = not self.lpips_weights and self.lpips != BasicVsrTrainingConfig.lpips
        require(not without_lpips, flag("lpips"), self.lpips, f"nothing without {flag('lpips_weights')}")


flag = partial(flag_name, BasicVsrTrainingConfig)  # the flag of a field
