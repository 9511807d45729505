"""Tiled restoration: whole frames by windows of the size that a latent method was trained on.

Encoding, sampling and decoding go over all tiles one after the other, and each leaves one canvas to the next: the latents
of the LR video, the sampled latents, the frames. The tiles of sampling are blended at every step, after MultiDiffusion
(Bar-Tal et al. 2023), at every step on a grid that moves, or after the last step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Generic, Literal, Protocol, Self, TypeVar

import torch

from realis.diffusion.rectified_flow import Velocity
from realis.ops.pixels import check_finite
from realis.ops.resize import enlarge_window
from realis.tiling.blend import Canvas, blend_tiles
from realis.upscaler import Advance, Tile, TileSampling, Tiling


class Movable(Protocol):
    def to(self, device: torch.device) -> Self: ...


Condition = TypeVar("Condition", bound=Movable)


class Window(Protocol[Condition]):
    """A latent method over one window of a video, under one prompt.

    Its stages are separate, so that each can go over all tiles before the next.

    Attributes:
        cell: side of a latent cell in pixels.
        steps: sampling steps.
        device: where windows are computed.
    """

    @property
    def cell(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, F, H, W) in [-1, 1], the LR video enlarged to the output size, to latents (B, C, f, h, w) float32."""
        ...

    def condition(self, lr_latents: torch.Tensor) -> Condition:
        """Compute what every velocity of a window with these LR latents is conditioned on."""
        ...

    def velocity(self, condition: Condition) -> Velocity:
        """Return the function that predicts the velocity of noisy latents under this condition."""
        ...

    def sample(self, velocity: Velocity, noise: torch.Tensor) -> torch.Tensor:
        """Integrate a velocity from ``noise`` (B, C, f, h, w) float32 to clean latents of that shape; it is called once a
        step."""
        ...

    def decode(self, latents: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        """Decode latents (B, C, f, h, w) beside the enlarged LR video to (B, 3, F, H, W) float32, in about [-1, 1]."""
        ...


@dataclass(frozen=True)
class TiledRestoration(Generic[Condition]):
    """Restores segments of whole frames tile by tile.

    Args:
        window: restores a tile.
        grids: the tiles of the first sampling step, in pixels, and those of the second; then these again.
        sampling: when tiles are blended; ``independent``: all steps have the tiles of the first.
        cache: where the conditions of tiles stay from step to step, unless ``sampling`` is ``independent``.
    """

    window: Window[Condition]
    grids: Sequence[Tiling]
    sampling: TileSampling = "fused"
    cache: Literal["device", "host", "none"] = "device"

    @property
    def tiles(self) -> Tiling:
        """The tiles that are encoded and decoded."""
        return self.grids[0]

    @torch.no_grad()
    def restore(
        self, frames: torch.Tensor, size: tuple[int, int], noise: torch.Tensor, advance: Advance
    ) -> torch.Tensor:
        """Restore a segment; of pixels, only one tile at a time is on the device.

        Args:
            frames: (F, 3, H, W) float32 in [0, 1].
            size: height and width of the result.
            noise: (C, f, h, w) float32 over the canvas.
            advance: called after a tile is encoded, after each of its sampling steps, and after it is decoded.

        Returns:
            (F, 3, *size) float32 in [0, 1].

        Raises:
            FloatingPointError: a restored tile is not finite.
        """
        steps = list(islice(cycle(self.grids), self.window.steps))
        share = 1 / (2 * len(self.tiles) + sum(len(grid) for grid in steps))

        def done() -> None:
            advance(share)

        lr_latents = self.encode(frames, size, done)
        latents = self.sample(lr_latents, noise[None].to(self.window.device), steps, done)
        return self.decode(latents, frames, size, done)

    def lr_tile(self, frames: torch.Tensor, size: tuple[int, int], tile: Tile) -> torch.Tensor:
        """Return a tile of the enlarged LR frames, (1, 3, F, height, width) in [-1, 1] on the device."""
        enlarged = enlarge_window(frames, size, (tile.top, tile.bottom), (tile.left, tile.right))
        return enlarged.transpose(0, 1)[None].to(self.window.device)

    def encode(self, frames: torch.Tensor, size: tuple[int, int], done: Callable[[], None]) -> torch.Tensor:
        """Return the latents (1, C, f, h, w) of LR frames (F, 3, H, W) enlarged to the canvas."""
        canvas, cells = None, self.tiles.in_cells(self.window.cell)
        for tile, tile_cells in zip(self.tiles, cells, strict=True):
            latents = self.window.encode(self.lr_tile(frames, size, tile))
            canvas = canvas or Canvas((*latents.shape[:3], *cells.size), cells, device=self.window.device)
            canvas.add(tile_cells, latents)
            done()
        assert canvas
        return canvas.result()

    def decode(
        self, latents: torch.Tensor, frames: torch.Tensor, size: tuple[int, int], done: Callable[[], None]
    ) -> torch.Tensor:
        """Return the frames (F, 3, *size) in [0, 1], on the CPU, of latents (1, C, f, h, w) of the canvas."""
        canvas, cells = Canvas((len(frames), 3, *size), self.tiles), self.tiles.in_cells(self.window.cell)
        for tile, tile_cells in zip(self.tiles, cells, strict=True):
            restored = self.window.decode(tile_cells.of(latents), self.lr_tile(frames, size, tile))
            check_finite(restored, f"the tile at row {tile.top}, column {tile.left}")
            canvas.add(tile, (restored[0].transpose(0, 1) + 1) / 2)
            done()
        return canvas.result().clamp_(0, 1)

    def sample(
        self, lr_latents: torch.Tensor, noise: torch.Tensor, steps: Sequence[Tiling], done: Callable[[], None]
    ) -> torch.Tensor:
        """Sample the latents of the canvas from ``noise``, both (1, C, f, h, w) float32, by the tiles of each step; ``done``
        is called after every step of every tile."""
        window = self.window
        if self.sampling != "independent":
            condition_of = self.conditions(lr_latents)
            velocities = iter([fused(window, condition_of, tiles.in_cells(window.cell), done) for tiles in steps])
            return window.sample(lambda z, sigma: next(velocities)(z, sigma), noise)
        cells = self.tiles.in_cells(window.cell)
        canvas = Canvas(noise.shape, cells, device=window.device)
        for tile in cells:
            velocity = with_progress(window.velocity(window.condition(tile.of(lr_latents))), done)
            canvas.add(tile, window.sample(velocity, tile.of(noise)))
        return canvas.result()

    def conditions(self, lr_latents: torch.Tensor) -> Callable[[Tile], Condition]:
        """Return the function that gives the condition of a tile: kept from its first step on, or computed anew."""
        window, kept = self.window, dict[Tile, Condition]()
        place = torch.device("cpu") if self.cache == "host" else window.device

        def condition_of(tile: Tile) -> Condition:
            if self.cache == "none":
                return window.condition(tile.of(lr_latents))
            if tile not in kept:
                kept[tile] = window.condition(tile.of(lr_latents)).to(place)
            return kept[tile].to(window.device)

        return condition_of


def fused(
    window: Window[Condition], condition_of: Callable[[Tile], Condition], tiles: Tiling, advance: Callable[[], None]
) -> Velocity:
    """Return the velocity of a whole canvas: that of its ``tiles``, in latent cells, blended; ``advance`` is called after
    every tile."""

    def velocity(z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        def of_tile(tile: Tile, _: slice) -> torch.Tensor:
            return window.velocity(condition_of(tile))(tile.of(z), sigma)

        return blend_tiles(z.shape, tiles, of_tile, lambda _: advance(), batch=len(z), device=z.device)

    return velocity


def with_progress(velocity: Velocity, advance: Callable[[], None]) -> Velocity:
    """Return ``velocity``, which then calls ``advance`` after every call."""

    def once(z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        v = velocity(z, sigma)
        advance()
        return v

    return once
