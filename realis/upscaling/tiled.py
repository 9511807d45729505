"""Tiled restoration: whole frames by windows of the size that a latent method was trained on."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from realis.diffusion.rectified_flow import Velocity
from realis.ops.pixels import check_finite
from realis.ops.resize import enlarge_window
from realis.tiling.blend import Canvas
from realis.upscaler import Tiling

Condition = TypeVar("Condition")
Advance = Callable[[float], None]  # called with the share of the work that was just done; shares sum to 1


class Window(Protocol[Condition]):
    """A latent method over one window of a video, under one prompt.

    Its stages are separate, so that tiles can be restored one after the other, or all of them sampling step by step.

    Attributes:
        cell: side of a latent cell in pixels.
        device: where windows are computed.
    """

    @property
    def cell(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def encode(self, lr: torch.Tensor) -> Condition:
        """Encode what sampling and decoding this window are conditioned on.

        Args:
            lr: (B, 3, F, H, W) in [-1, 1], enlarged to the output size.
        """
        ...

    def velocity(self, condition: Condition) -> Velocity:
        """Return the function that predicts the velocity of noisy latents under this condition."""
        ...

    def sample(self, velocity: Velocity, noise: torch.Tensor, advance: Advance) -> torch.Tensor:
        """Integrate a velocity from ``noise`` (B, C, f, h, w) float32 to clean latents of that shape."""
        ...

    def decode(self, latents: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Decode latents (B, C, f, h, w) to (B, 3, F, H, W) float32, in about [-1, 1]."""
        ...


@torch.no_grad()
def restore_window(
    window: Window, lr: torch.Tensor, noise: torch.Tensor, advance: Advance = lambda share: None
) -> torch.Tensor:
    """Restore one window: encode, sample, decode.

    Args:
        lr: (B, 3, F, H, W) in [-1, 1], enlarged to the output size.
        noise: (B, C, f, h, w) float32.
        advance: called after every sampling step.

    Returns:
        (B, 3, F, H, W) float32, in about [-1, 1].
    """
    condition = window.encode(lr.to(window.device))
    latents = window.sample(window.velocity(condition), noise.to(window.device), advance)
    return window.decode(latents, condition)


def restore_tiles(
    window: Window,
    frames: torch.Tensor,
    size: tuple[int, int],
    tiles: Tiling,
    noise: torch.Tensor,
    advance: Advance,
) -> torch.Tensor:
    """Restore frames by independent tiles, and blend them; only one tile at a time is on the device.

    Args:
        frames: (F, 3, H, W) float32 in [0, 1].
        size: height and width of the result.
        tiles: tiles of its canvas.
        noise: (C, f, h, w) float32 over the canvas.
        advance: called after every sampling step of every tile.

    Returns:
        (F, 3, *size) float32 in [0, 1].

    Raises:
        FloatingPointError: a restored tile is not finite.
    """
    canvas = Canvas((len(frames), 3, *size), tiles)
    for tile in tiles:
        lr = enlarge_window(frames, size, (tile.top, tile.bottom), (tile.left, tile.right)).transpose(0, 1)[None]
        cells = tile.in_cells(window.cell)
        tile_noise = noise[None, ..., cells.top : cells.bottom, cells.left : cells.right]
        restored = restore_window(window, lr, tile_noise, lambda share: advance(share / len(tiles)))
        check_finite(restored, f"the tile at row {tile.top}, column {tile.left}")
        canvas.add(tile, (restored[0].transpose(0, 1) + 1) / 2)
    return canvas.result().clamp_(0, 1)
