"""RealisVSR inference: one window through VAE, CPC, transformer and decoder; and whole frames, tile by tile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from realis.diffusion.guidance import guided
from realis.diffusion.rectified_flow import Velocity, sample
from realis.models.cpc.controlled import Condition, ControlledWan
from realis.models.wan.geometry import CELL
from realis.models.wan.latents import decode_video, encode_video
from realis.upscaler import Carry, Needs, Tiling
from realis.upscaling.cpc_networks import CpcNetworks
from realis.upscaling.cpc_prompts import Prompt, Prompts
from realis.upscaling.tiled import restore_tiles


@dataclass(frozen=True)
class Sampling:
    """The settings of the sampler."""

    steps: int = 1
    shift: float = 3.0
    guidance: float = 1.0  # 1: no classifier-free guidance, one pass a step
    cpc_scale: float = 1.0
    sampler: str = "euler"


@dataclass(frozen=True)
class WindowCondition:
    """What sampling and decoding a window are conditioned on.

    Args:
        lr: (B, 3, F, H, W) in [-1, 1], enlarged to the output size.
        control: of its latents.
    """

    lr: torch.Tensor
    control: Condition


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

    def encode(self, lr: torch.Tensor) -> WindowCondition:
        return WindowCondition(lr, self.model.condition(encode_video(self.networks.vae, lr)))

    def velocity(self, condition: WindowCondition) -> Velocity:
        model, scale = self.model, self.sampling.cpc_scale

        def under(prompt: torch.Tensor) -> Velocity:
            return lambda z, sigma: model.velocity(z, sigma, condition.control, prompt, scale)

        return guided(under(self.prompt.text), under(self.prompt.negative), self.sampling.guidance)

    def sample(self, velocity: Velocity, noise: torch.Tensor, advance: Callable[[float], None]) -> torch.Tensor:
        s = self.sampling
        return sample(velocity, noise, s.steps, s.shift, s.sampler, lambda: advance(1 / s.steps))

    def decode(self, latents: torch.Tensor, condition: WindowCondition) -> torch.Tensor:
        if self.networks.lr_decoder is None:
            return decode_video(self.networks.vae, latents)
        return self.networks.lr_decoder(latents, condition.lr.float())


class CpcUpscaler:
    """RealisVSR over whole frames: independent tiles, blended; see :class:`realis.upscaler.Upscaler`.

    Args:
        networks: on ``device``, or offloaded to main memory.
        prompts: the embedded prompts.
        sampling: the settings of every window.
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
        noise: torch.Tensor | None,
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> tuple[torch.Tensor, Carry]:
        """Restore a segment of ``4 n + 1`` frames tile by tile, as :meth:`realis.upscaler.Upscaler.upscale` says."""
        assert noise is not None
        return restore_tiles(self.window(prompt), frames, size, tiles, noise, advance), {}
