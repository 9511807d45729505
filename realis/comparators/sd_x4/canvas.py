"""A Stable Diffusion x4 upscaler over canvases that are larger than what it was trained on.

The velocities of the tiles are blended at every step, after MultiDiffusion (Bar-Tal et al. 2023), and so are the pictures
that they are decoded to. F counts frames, C channels of a latent; h and w are of the LR and of latents, of a tile or of the
canvas.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn.functional import pad

from realis.diffusion.guidance import guided
from realis.diffusion.rectified_flow import Velocity
from realis.diffusion.v_prediction import Step, add_noise
from realis.models.sd_x4.files import SCALE
from realis.models.sd_x4.latents import decode_images
from realis.models.sd_x4.loading import Guide, predict_velocity
from realis.ops.pixels import check_finite
from realis.tiling.blend import blend_tiles
from realis.upscaler import Advance, Tile, Tiling


class LrNoise(NamedTuple):
    """What the LR is noised with.

    Args:
        level: the noise level, which the network is told.
        alpha: of the LR at that level, ().
    """

    level: int
    alpha: torch.Tensor


@dataclass(frozen=True)
class CanvasSdX4:
    """A model with the settings of a run.

    Args:
        unet: predicts velocities.
        vae: decodes latents.
        prompts: the embeddings of all prompts, (1, 77, text_dim) each.
        negative: that of the negative prompt; ``None``: no guidance.
        guidance: of classifier-free guidance.
        steps: of sampling.
        lr_noise: of the LR; ``None``: it is not noised, and the network knows no noise levels.
        batch: frames that go through the networks at a time.
        device: where they are computed, wherever their weights wait.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    prompts: Mapping[str, torch.Tensor]
    negative: torch.Tensor | None
    guidance: float
    steps: Sequence[Step]
    lr_noise: LrNoise | None
    batch: int
    device: torch.device

    def fields(self, noise: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Yield the noise fields (C, F, h, w) of a segment as (F, C, h, w) on the device."""
        return (field.transpose(0, 1).to(self.device) for field in noise)

    def extended(self, frames: torch.Tensor, tiles: Tiling) -> torch.Tensor:
        """Extend frames (F, 3, H, W) to the canvas by repeating their border, (F, 3, h, w) on the device.

        Args:
            frames: the LR.
            tiles: of the canvas, in pixels of the result.
        """
        (height, width), (h, w) = frames.shape[-2:], tiles.in_cells(SCALE).size
        return pad(frames.to(self.device), (0, w - width, 0, h - height), mode="replicate")

    def lr(self, frames: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """Return the LR as the UNet takes it: in [-1, 1], and noised.

        Args:
            frames: (F, 3, h, w) in [0, 1], extended to the canvas.
            noise: (F, C, h, w), of which three channels are taken; ``None`` if the LR is not noised.

        Returns:
            (F, 3, h, w) float32.
        """
        lr = frames * 2 - 1
        if self.lr_noise is None or noise is None:
            return lr
        return add_noise(lr, noise[:, :3], self.lr_noise.alpha.expand(len(lr)))

    def velocity(
        self,
        z: torch.Tensor,
        timestep: int,
        lr: torch.Tensor,
        prompt: str,
        tiles: Tiling,
        advance: Advance,
        guide: Callable[[Tile, slice], Guide] | None = None,
    ) -> torch.Tensor:
        """Predict the velocity of a canvas.

        Args:
            z: (F, C, h, w) latents.
            timestep: of the step.
            lr: what :meth:`lr` returned.
            prompt: one of the prompts.
            tiles: of the canvas, in pixels of the result.
            advance: called after every batch of every tile.
            guide: of a tile, in cells of latents, and some frames; ``None``: there is none.

        Returns:
            (F, C, h, w) float32.
        """
        text = self.prompts[prompt].to(self.device)
        negative = text if self.negative is None else self.negative.to(self.device)
        level = self.lr_noise.level if self.lr_noise else 0

        def of_tile(tile: Tile, frames: slice) -> torch.Tensor:
            z_tile, lr_tile = tile.of(z[frames]), tile.of(lr[frames])
            timesteps, levels = (torch.full((len(z_tile),), n, device=z.device) for n in (timestep, level))
            of_guide = guide(tile, frames) if guide else None

            def under(embeds: torch.Tensor) -> Velocity:
                return lambda z, timesteps: predict_velocity(self.unet, z, timesteps, lr_tile, embeds, levels, of_guide)

            return guided(under(text), under(negative), self.guidance)(z_tile, timesteps)

        return blend_tiles(z.shape, tiles.in_cells(SCALE), of_tile, advance, batch=self.batch, device=z.device)

    def decode(
        self,
        z: torch.Tensor,
        size: tuple[int, int],
        tiles: Tiling,
        advance: Advance = lambda share: None,
        device: torch.device | str = "cpu",
    ) -> torch.Tensor:
        """Decode the latents (F, C, h, w) of a canvas, tile by tile, to frames (F, 3, *size) float32 in about [-1, 1].

        Raises:
            FloatingPointError: a decoded tile is not finite.
        """

        def of_tile(tile: Tile, frames: slice) -> torch.Tensor:
            top, bottom, left, right = (side // SCALE for side in (tile.top, tile.bottom, tile.left, tile.right))
            decoded = decode_images(self.vae, z[frames, :, top:bottom, left:right])
            check_finite(decoded, f"the tile at row {tile.top}, column {tile.left}")
            return decoded

        return blend_tiles((len(z), 3, *size), tiles, of_tile, advance, batch=self.batch, device=device)
