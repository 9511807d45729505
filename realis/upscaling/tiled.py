"""Tiled restoration: whole frames by windows of the size that a latent method was trained on.

Encoding, sampling and decoding go over all tiles one after the other, and each leaves one canvas to the next: the latents
of the LR video, the sampled latents, the frames. What differs is when the tiles of sampling are blended: once at the end
(``independent``), or at every step (``fused``, as MultiDiffusion, Bar-Tal et al. 2023).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Generic, Protocol, Self, TypeVar

import torch

from realis.diffusion.rectified_flow import Velocity
from realis.ops.pixels import check_finite
from realis.ops.resize import enlarge_window
from realis.tiling.blend import Canvas
from realis.tiling.plan import Cache, TileSampling, shifted
from realis.upscaler import Tile, Tiling

Advance = Callable[[float], None]  # called with the share of the work that was just done; shares sum to 1


class Movable(Protocol):
    def to(self, device: torch.device) -> Self: ...


Condition = TypeVar("Condition", bound=Movable)


class Window(Protocol[Condition]):
    """A latent method over one window of a video, under one prompt.

    Its stages are separate, so that each can go over all tiles before the next.

    Attributes:
        cell: side of a latent cell in pixels.
        patch: cells of a latent that its transformer takes together, each way.
        steps: sampling steps.
        device: where windows are computed.
    """

    @property
    def cell(self) -> int: ...

    @property
    def patch(self) -> int: ...

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
        sampling: when its tiles are blended.
        cache: where the conditions of all tiles stay from step to step, if ``sampling`` is not ``independent``.
    """

    window: Window[Condition]
    sampling: TileSampling = "independent"
    cache: Cache = "device"

    @torch.no_grad()
    def restore(
        self, frames: torch.Tensor, size: tuple[int, int], tiles: Tiling, noise: torch.Tensor, advance: Advance
    ) -> torch.Tensor:
        """Restore a segment; of pixels, only one tile at a time is on the device.

        Args:
            frames: (F, 3, H, W) float32 in [0, 1].
            size: height and width of the result.
            tiles: tiles of its canvas.
            noise: (C, f, h, w) float32 over the canvas.
            advance: called after a tile is encoded, after each of its sampling steps, and after it is decoded.

        Returns:
            (F, 3, *size) float32 in [0, 1].

        Raises:
            FloatingPointError: a restored tile is not finite.
        """
        window, cells = self.window, tiles.in_cells(self.window.cell)
        grids = self.grids(cells)
        share = 1 / (2 * len(tiles) + sum(len(grid) for grid in grids))

        def lr_tiles() -> Iterator[tuple[Tile, Tile, torch.Tensor]]:
            for tile, tile_cells in zip(tiles, cells, strict=True):
                lr = enlarge_window(frames, size, (tile.top, tile.bottom), (tile.left, tile.right))
                yield tile, tile_cells, lr.transpose(0, 1)[None].to(window.device)

        encoded = Canvas((1, *noise.shape), cells, device=window.device)
        for _, tile, lr in lr_tiles():
            encoded.add(tile, window.encode(lr))
            advance(share)
        latents = self.sample(encoded.result(), noise[None].to(window.device), grids, lambda: advance(share))
        canvas = Canvas((len(frames), 3, *size), tiles)
        for tile, tile_cells, lr in lr_tiles():
            restored = window.decode(tile_cells.of(latents), lr)
            check_finite(restored, f"the tile at row {tile.top}, column {tile.left}")
            canvas.add(tile, (restored[0].transpose(0, 1) + 1) / 2)
            advance(share)
        return canvas.result().clamp_(0, 1)

    def grids(self, tiles: Tiling) -> list[Tiling]:
        """Return the tiles of each sampling step."""
        kinds = [tiles, shifted(tiles, self.window.patch)] if self.sampling == "shifted" else [tiles]
        return list(islice(cycle(kinds), self.window.steps))

    def sample(
        self, lr_latents: torch.Tensor, noise: torch.Tensor, grids: list[Tiling], advance: Callable[[], None]
    ) -> torch.Tensor:
        """Sample the latents of a canvas from ``noise``, both (1, C, f, h, w) float32, by the tiles of each step;
        ``advance`` is called after every step of every tile."""
        window = self.window
        if self.sampling != "independent":
            condition_of = self.conditions(lr_latents)
            velocities = iter([fused(window, condition_of, grid, advance) for grid in grids])
            return window.sample(lambda z, sigma: next(velocities)(z, sigma), noise)
        canvas = Canvas(noise.shape, grids[0], device=window.device)
        for tile in grids[0]:
            velocity = counted(window.velocity(window.condition(tile.of(lr_latents))), advance)
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
        canvas = Canvas(z.shape, tiles, device=z.device)
        for tile in tiles:
            canvas.add(tile, window.velocity(condition_of(tile))(tile.of(z), sigma))
            advance()
        return canvas.result()

    return velocity


def counted(velocity: Velocity, advance: Callable[[], None]) -> Velocity:
    """Return ``velocity``, which then calls ``advance`` after every call."""

    def once(z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        v = velocity(z, sigma)
        advance()
        return v

    return once
