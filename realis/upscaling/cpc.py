"""RealisVSR inference: one window through VAE, CPC, transformer and decoder; and whole frames, tile by tile."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal

import torch

from realis.diffusion.guidance import guided
from realis.diffusion.rectified_flow import Velocity, sample
from realis.models.cpc.controlled import Condition, ControlledWan
from realis.models.wan.geometry import CELL
from realis.models.wan.latents import decode_video, encode_video
from realis.tiling.plan import step_grids
from realis.upscaler import Carry, Needs, Tile, TileCache, TileSampling, Tiling
from realis.upscaling.cpc_networks import CpcNetworks
from realis.upscaling.cpc_prompts import Prompt, Prompts
from realis.upscaling.tiled import TiledRestoration


@dataclass(frozen=True)
class Sampling:
    """The settings of the sampler."""

    steps: int = 1
    shift: float = 3.0
    guidance: float = 1.0  # 1: no classifier-free guidance, one pass a step
    cpc_scale: float = 1.0
    sampler: str = "euler"
    tiling: TileSampling = "fused"
    cache: TileCache = "auto"


@dataclass(frozen=True)
class CpcWindow:
    """RealisVSR over one window; see :class:`realis.upscaling.tiled.Window`.

    A window has ``4 n + 1`` frames, and sides that are multiples of 16.

    Args:
        networks: on the device of the prompt, or offloaded to main memory.
        prompt: the embedded prompt.
        sampling: steps, shift, guidance, scale, sampler.
    """

    cell: ClassVar = CELL

    networks: CpcNetworks
    prompt: Prompt
    sampling: Sampling

    @property
    def device(self) -> torch.device:
        return self.prompt.text.device

    @property
    def model(self) -> ControlledWan:
        """The transformer under its control branch."""
        return ControlledWan(self.networks.transformer, self.networks.controlnet, self.prompt.empty)

    @property
    def steps(self) -> int:
        return self.sampling.steps

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        return encode_video(self.networks.vae, lr)

    def condition(self, lr_latents: torch.Tensor) -> Condition:
        return self.model.condition(lr_latents)

    def velocity(self, condition: Condition) -> Velocity:
        model, scale = self.model, self.sampling.cpc_scale

        def under(prompt: torch.Tensor) -> Velocity:
            return lambda z, sigma: model.velocity(z, sigma, condition, prompt, scale)

        return guided(under(self.prompt.text), under(self.prompt.negative), self.sampling.guidance)

    def sample(self, velocity: Velocity, noise: torch.Tensor) -> torch.Tensor:
        s = self.sampling
        return sample(velocity, noise, s.steps, s.shift, s.sampler)

    def decode(self, latents: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        if self.networks.lr_decoder is None:
            return decode_video(self.networks.vae, latents)
        return self.networks.lr_decoder(latents, lr.float())


class CpcUpscaler:
    """RealisVSR over whole frames, tile by tile; see :class:`realis.upscaler.Upscaler`.

    Args:
        networks: on ``device``, or offloaded to main memory.
        prompts: the embedded prompts.
        sampling: the settings of every window, and of its tiles.
        needs: what :meth:`realis.upscaler.Method.needs` returned.
        device: where windows are computed.
    """

    def __init__(
        self, networks: CpcNetworks, prompts: Prompts, sampling: Sampling, needs: Needs, device: str = "cpu"
    ) -> None:
        self.networks, self.prompts, self.sampling = networks, prompts, sampling
        self.needs, self.device = needs, torch.device(device)

    def window(self, prompt: str) -> CpcWindow:
        """Return the model of one window under ``prompt``, one of those that were embedded."""
        return CpcWindow(self.networks, self.prompts.prompt(prompt, self.device), self.sampling)

    def upscale(
        self,
        frames: torch.Tensor,
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: Iterator[torch.Tensor] | None,
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> tuple[torch.Tensor, Carry]:
        """Restore a segment of ``4 n + 1`` frames tile by tile, as :meth:`realis.upscaler.Upscaler.upscale` says."""
        assert noise is not None
        first, grids = next(noise), step_grids(tiles, self.needs)
        place = self.place_of_control(chain.from_iterable(grids), first.shape[1])
        tiled = TiledRestoration(self.window(prompt), grids, self.sampling.tiling, place)
        return tiled.restore(frames, size, first, advance), {}

    def place_of_control(self, tiles: Iterable[Tile], latent_frames: int) -> Literal["device", "host", "none"]:
        """Return where the control features of ``tiles`` of a segment are kept from step to step; if that is left open, on
        the device if they take no more than half of what is free there."""
        if not self.needs.tile_values:
            return "none"
        if self.sampling.cache != "auto":
            return self.sampling.cache
        taken = self.needs.kept_values(tiles, latent_frames) * self.networks.transformer.dtype.itemsize
        return "device" if self.device.type != "cuda" or taken <= free_memory(self.device) / 2 else "host"


def free_memory(device: torch.device) -> int:
    """Return the bytes of a GPU that are free, for PyTorch: those that its allocator holds unused as well."""
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + cached
