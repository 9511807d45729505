"""Bicubic interpolation as a method: the baseline, and the smallest example of a method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from realis.upscaler import Carry, MethodCard, Needs, Placement, Segments, Tiling

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BicubicConfig:
    """Bicubic interpolation has no flags of its own."""

    PREFIX: ClassVar = "bicubic"


class BicubicUpscaler:
    """Resize every frame; see :class:`realis.upscaler.Upscaler`."""

    needs = Needs(Segments(frames=8))

    def upscale(
        self,
        frames: "torch.Tensor",
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: "torch.Tensor | None",
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> "tuple[torch.Tensor, Carry]":
        """Resize frames (F, 3, H, W) in [0, 1] to (F, 3, *size), clamped to [0, 1]."""
        from realis.ops.resize import resize

        upscaled = resize(frames, size).clamp_(0, 1)
        advance(1.0)
        return upscaled, {}


class BicubicMethod:
    """Bicubic interpolation as a :class:`realis.upscaler.Method`."""

    Config = BicubicConfig
    card = MethodCard(
        summary="Bicubic interpolation (Keys, 1981), frame by frame: the baseline.",
        good_at="changing the size of what needs no restoration; it invents nothing",
        bad_at="noise, compression and blur: they are enlarged with the rest",
        scale="any",
        memory="0.4 GiB for a result of 640x384",
        use="--method bicubic",
    )

    def needs(self, config: BicubicConfig, prompted: bool) -> Needs:
        return BicubicUpscaler.needs

    def load(self, config: BicubicConfig, placement: Placement, prompts: Sequence[str]) -> BicubicUpscaler:
        return BicubicUpscaler()


METHOD = BicubicMethod()
