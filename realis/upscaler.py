"""The protocol that every method speaks: segments of whole frames in, the same frames larger out.

Time belongs to the stream (:mod:`realis.upscaling.stream`), space to the method. So reading, writing, resuming,
audio, colour and evaluation are the same for all methods.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from realis.errors import InputError

if TYPE_CHECKING:
    import torch

Carry = dict[str, "torch.Tensor"]
Noise = Callable[[int, int, int, int], "torch.Tensor"]


@dataclass(frozen=True)
class Segments:
    """How a method wants time to be cut.

    Args:
        frames: frames of one segment.
        overlap: frames that a segment shares with the one before; the two results are blended there.
        period: segments start at multiples of it and hold ``period n + 1`` frames (4 for Wan's VAE; 1: any number).

    Raises:
        InputError: the three contradict each other.
    """

    frames: int
    overlap: int = 0
    period: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.frames:
            raise InputError(
                f"--segment-overlap: got {self.overlap} of {self.frames} frames, wanted 0 to {self.frames - 1}"
            )
        if self.period > 1 and (self.frames % self.period != 1 or (self.frames - self.overlap) % self.period):
            raise InputError(
                f"--segment-frames and --segment-overlap: got {self.frames} and {self.overlap}, wanted both of the form "
                f"{self.period} n + 1, such as {self.period * 4 + 1} and {self.period + 1}"
            )

    def padded(self, frames: int) -> int:
        """The frames that a segment of so many is extended to: ``period n + 1``."""
        return frames + -(frames - 1) % self.period

    def count(self, frames: int) -> int:
        """How many segments a video of so many frames has."""
        return max(1, -(-(frames - self.overlap) // (self.frames - self.overlap)))


FRAME_BY_FRAME = Segments(frames=8)  # of methods that look at one frame at a time


@dataclass(frozen=True)
class Tile:
    """A window of the output canvas in pixels: rows ``top:bottom``, columns ``left:right``."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Tiling:
    """The tiles of a canvas: every pair of a row span and a column span ``(start, stop)``.

    The canvas may be larger than the video, so that its size fits the method; what is beyond is cut off at the end.
    """

    rows: Sequence[tuple[int, int]]
    columns: Sequence[tuple[int, int]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        return self.rows[-1][1], self.columns[-1][1]

    def __iter__(self) -> Iterator[Tile]:
        return (Tile(*row, *column) for row in self.rows for column in self.columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


class Upscaler(Protocol):
    """A video super-resolution method.

    Attributes:
        segments: how it wants time to be cut.
    """

    @property
    def segments(self) -> Segments: ...

    def upscale(
        self,
        frames: "torch.Tensor",
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: Noise,
        carry: Carry,
        advance: Callable[[float], None],
    ) -> "tuple[torch.Tensor, Carry]":
        """Upscale one segment.

        Args:
            frames: (F, 3, H, W) float32 in [0, 1].
            size: height and width of the result.
            tiles: how its canvas is cut; the canvas is at least ``size``.
            noise: the noise of this segment: (latent frames, channels, h, w) -> (channels, latent frames, h, w), see
                :class:`realis.ops.noise.NoiseField`.
            carry: what the previous segment's call returned; empty at the start.
            advance: told the share of the segment's work that was just done; shares sum to 1.

        Returns:
            (F, 3, *size) float32 in [0, 1], and what the next call needs.
        """
        ...
