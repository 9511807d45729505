"""RealisVSR inference: one window through VAE, CPC, transformer and decoder; and whole frames, window by window."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from realis.diffusion.rectified_flow import SAMPLERS, Velocity, sampling_sigmas
from realis.models.cpc.injection import control_residuals
from realis.models.wan.geometry import CELL
from realis.models.wan.latents import decode_video, encode_video
from realis.upscaler import Carry, Needs, Tiling
from realis.upscaling.cpc_networks import CpcNetworks
from realis.upscaling.cpc_prompts import Prompt, Prompts
from realis.upscaling.tiled import independent


@dataclass(frozen=True)
class Sampling:
    """How a window is sampled."""

    steps: int = 1
    shift: float = 3.0
    guidance: float = 1.0  # 1: no classifier-free guidance, one pass a step
    cpc_scale: float = 1.0
    sampler: str = "euler"


@dataclass(frozen=True)
class Condition:
    """What every velocity of a window and its decoding need.

    Args:
        lr: (B, 3, F, H, W) in [-1, 1].
        latents: of it, (B, C, f, h, w) float32.
        control: residuals of a static CPC, computed once for all steps and both branches of guidance; ``None``: the CPC
            depends on time, text or noise.
    """

    lr: torch.Tensor
    latents: torch.Tensor
    control: tuple[torch.Tensor, ...] | None


@dataclass(frozen=True)
class CpcWindow:
    """RealisVSR over one window; see :class:`realis.upscaling.tiled.Window`.

    Windows are of ``4 n + 1`` frames, with sides that are multiples of 16.

    Args:
        networks: on the device of the prompt, or offloaded to main memory.
        prompt: embedded.
        sampling: steps, shift, guidance, scale, sampler.
    """

    cell: ClassVar = CELL

    networks: CpcNetworks
    prompt: Prompt
    sampling: Sampling

    @property
    def device(self) -> torch.device:
        return self.prompt.text.device

    def encode(self, lr: torch.Tensor) -> Condition:
        latents, control = encode_video(self.networks.vae, lr), None
        if self.networks.controlnet.is_static:
            timestep = torch.zeros(len(latents), device=latents.device)
            control = self._control(latents, latents, timestep, self.prompt.empty)
        return Condition(lr, latents, control)

    def velocity(self, condition: Condition) -> Velocity:
        transformer, sampling, prompt = self.networks.transformer, self.sampling, self.prompt

        def branch(z: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            control = condition.control
            if control is None:
                control = self._control(condition.latents, z, timestep, text)
            z, text = z.to(transformer.dtype), text.to(transformer.dtype).expand(len(z), -1, -1)
            return transformer(z, timestep, text, control, sampling.cpc_scale).float()

        def velocity(z: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            conditional = branch(z, timestep, prompt.text)
            if sampling.guidance == 1:
                return conditional
            unconditional = branch(z, timestep, prompt.negative)
            return unconditional + sampling.guidance * (conditional - unconditional)

        return velocity

    def sample(self, velocity: Velocity, noise: torch.Tensor, advance: Callable[[float], None]) -> torch.Tensor:
        steps, sampler = self.sampling.steps, SAMPLERS[self.sampling.sampler]
        return sampler(velocity, noise, sampling_sigmas(steps, self.sampling.shift), lambda: advance(1 / steps))

    def decode(self, latents: torch.Tensor, condition: Condition) -> torch.Tensor:
        if self.networks.lr_decoder is None:
            return decode_video(self.networks.vae, latents)
        return self.networks.lr_decoder(latents, condition.lr.float())

    def _control(
        self, lr_latents: torch.Tensor, z: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Residuals of the CPC, with latents and text in the dtype of the weights."""
        controlnet, transformer = self.networks.controlnet, self.networks.transformer
        lr_latents, z, text, empty = (x.to(transformer.dtype) for x in (lr_latents, z, text, self.prompt.empty))
        text = text.expand(len(z), -1, -1)
        return control_residuals(controlnet, transformer, lr_latents, timestep, text, empty, z)


class CpcUpscaler:
    """RealisVSR over whole frames: independent tiles, blended; see :class:`realis.upscaler.Upscaler`.

    Args:
        networks: on ``device``, or offloaded to main memory.
        prompts: embedded.
        sampling: of every window.
        needs: as its method finds them.
        device: where windows are computed.
    """

    def __init__(
        self, networks: CpcNetworks, prompts: Prompts, sampling: Sampling, needs: Needs, device: str = "cpu"
    ) -> None:
        self.networks, self.prompts, self.sampling = networks, prompts, sampling
        self.needs, self.device = needs, torch.device(device)

    def window(self, prompt: str) -> CpcWindow:
        """One window under one of the prompts."""
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
        """Restore a segment of ``4 n + 1`` frames tile by tile."""
        assert noise is not None
        return independent(self.window(prompt), frames, size, tiles, noise, advance), {}
