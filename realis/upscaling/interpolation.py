"""Bicubic and Lanczos interpolation as methods: the baselines, and the smallest example of a method."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from realis.upscaler import Carry, MethodCard, MethodConfig, Needs, Placement, Segments, Tiling

if TYPE_CHECKING:
    import torch

    from realis.ops.resize import Kernel


@dataclass(frozen=True)
class BicubicConfig:
    """Bicubic interpolation has no flags of its own."""

    PREFIX: ClassVar = "bicubic"


@dataclass(frozen=True)
class LanczosConfig:
    """Lanczos interpolation has no flags of its own."""

    PREFIX: ClassVar = "lanczos"


class InterpolationUpscaler:
    """Resize every frame by a kernel; see :class:`realis.upscaler.Upscaler`."""

    needs = Needs(Segments(frames=8, independent=True))

    def __init__(self, kernel: "Kernel" = "bicubic") -> None:
        self.kernel: Kernel = kernel

    def upscale(
        self,
        frames: "torch.Tensor",
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: "Iterator[torch.Tensor] | None",
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> "tuple[torch.Tensor, Carry]":
        """Resize frames (F, 3, H, W) in [0, 1] to (F, 3, *size), clamped to [0, 1]."""
        from realis.ops.resize import resize

        upscaled = resize(frames, size, self.kernel).clamp_(0, 1)
        advance(1.0)
        return upscaled, {}


@dataclass(frozen=True)
class InterpolationMethod:
    """Interpolation by a kernel as a :class:`realis.upscaler.Method`."""

    Config: type
    kernel: "Kernel"
    card: MethodCard

    def needs(self, config: MethodConfig, prompted: bool) -> Needs:
        return InterpolationUpscaler.needs

    def load(self, config: MethodConfig, placement: Placement, prompts: Sequence[str]) -> InterpolationUpscaler:
        return InterpolationUpscaler(self.kernel)


BICUBIC = InterpolationMethod(
    BicubicConfig,
    "bicubic",
    MethodCard(
        summary="Bicubic interpolation (Keys, 1981), frame by frame: the baseline.",
        good_at="changing the size of what needs no restoration; it invents nothing",
        bad_at="noise, compression and blur: they are enlarged with the rest",
        scale="any",
        memory="0.4 GiB for a result of 640x384",
        use="--method bicubic",
    ),
)
LANCZOS = InterpolationMethod(
    LanczosConfig,
    "lanczos",
    MethodCard(
        summary="Lanczos interpolation (Duchon, 1979) with three lobes, frame by frame: a second baseline.",
        good_at="what bicubic is good at, a little sharper",
        bad_at="what bicubic is bad at; it rings at hard edges",
        scale="any",
        memory="as bicubic",
        use="--method lanczos",
    ),
)
