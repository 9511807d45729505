"""What the pairs rendered from photographs are like. No torch."""

from dataclasses import dataclass

from realis.core.errors import require
from realis.degradation.presets import load_degradation
from realis.models.wan.geometry import TOKEN, are_multiples, has_whole_latents


@dataclass(frozen=True)
class PairsConfig:
    """Pairs rendered from moving photographs and kept in memory."""

    count: int = 3000  # pairs in the pool
    frames: int = 9  # of a clip; Wan takes 4 n + 1
    size: int = 96  # pixels of the high-resolution clip; Wan takes multiples of 16
    scales: tuple[float, ...] = (4, 4, 4, 2, 1)  # a pair draws one
    cache: str = "out/pairs"  # folder where finished pools are kept; empty: nowhere
    degradations: tuple[str, ...] = ("realbasicvsr",)  # presets or YAML files of ranges; a pair draws one

    def __post_init__(self) -> None:
        require(self.count >= 1, "--data.count", self.count, "at least 1")
        require(self.frames >= 1, "--data.frames", self.frames, "at least 1")
        fits = bool(self.scales) and all(
            1 <= s <= self.size / 4 and self.size % s == 0 and 8 * s % 1 == 0 for s in self.scales
        )
        require(fits, "--data.scales", self.scales, f"factors of {self.size} in eighths, from 1 to {self.size // 4}")
        require(bool(self.degradations), "--data.degradations", self.degradations, "at least one")
        for name in self.degradations:
            load_degradation(name)


@dataclass(frozen=True)
class DataConfig(PairsConfig):
    """Pairs rendered from moving photographs and kept in memory, with their latents."""

    def __post_init__(self) -> None:
        require(has_whole_latents(self.frames), "--data.frames", self.frames, "4 n + 1, such as 9")
        require(are_multiples((self.size, self.size)), "--data.size", self.size, f"a multiple of {TOKEN}")
        super().__post_init__()
