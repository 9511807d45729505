"""RealisVSR inference: one window through VAE, CPC, transformer and decoder; and a video, window by window."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline

from realis.diffusion.rectified_flow import SAMPLERS, sampling_sigmas
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel, control_residuals
from realis.models.hub import model_folder
from realis.models.lr_decoder import LrDecoder
from realis.models.wan.loading import Wan, decode_video, encode_video, load_controlnet, load_lr_decoder
from realis.ops.pixels import check_finite
from realis.ops.resize import resize_window
from realis.tiling.blend import Canvas
from realis.upscaler import Carry, Needs, Tiling
from realis.upscaling.cpc_prompts import Prompts


@dataclass(frozen=True)
class Sampling:
    """How a window is sampled."""

    steps: int = 1
    shift: float = 3.0
    guidance: float = 1.0  # 1: no classifier-free guidance, one pass a step
    cpc_scale: float = 1.0
    sampler: str = "euler"


class CpcPipeline(DiffusionPipeline):
    """One window: LR video resized to the output size -> restored video of that size.

    A diffusers pipeline, so that saving and attention backends come with it. Prompts enter embedded: text encoder and
    tokenizer are not needed. Offloading part by part is not supported: the control branch shares the transformer's
    embedders.

    Args:
        vae: Wan VAE.
        transformer: Wan transformer that takes control residuals.
        controlnet: trained CPC.
        lr_decoder: LR-conditioned decoder; ``None``: the VAE decodes.
    """

    _optional_components = ["lr_decoder"]

    def __init__(
        self,
        vae: AutoencoderKLWan,
        transformer: ControlledWanTransformer3DModel,
        controlnet: CpcControlNet,
        lr_decoder: LrDecoder | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(vae=vae, transformer=transformer, controlnet=controlnet, lr_decoder=lr_decoder)

    @classmethod
    def from_pretrained(
        cls,
        base: str | Path,
        controlnet: CpcControlNet | None = None,
        lr_decoder: LrDecoder | None = None,
        torch_dtype: torch.dtype = torch.bfloat16,
    ) -> "CpcPipeline":
        """Open ``realis-tiny``, a Wan folder in diffusers' format, or a hub id.

        Args:
            base: whose VAE and transformer to use.
            controlnet: a trained CPC; by default the one that ``base`` carries.
            lr_decoder: a trained decoder; by default the one that ``base`` carries, if any.
            torch_dtype: of the parts that are loaded here.

        Raises:
            InputError: a part is missing, damaged or does not fit.
        """
        folder = model_folder(str(base), text_encoder=False)
        wan = Wan(folder, torch_dtype, torch_dtype, "cpu")
        if controlnet is None:
            controlnet = load_controlnet(folder, torch_dtype).eval()
        if lr_decoder is None and (folder / "lr_decoder").is_dir():
            lr_decoder = load_lr_decoder(folder, torch_dtype).eval()
        return cls(wan.vae, wan.transformer, controlnet, lr_decoder)

    @torch.no_grad()
    def __call__(
        self,
        lr: torch.Tensor,
        noise: torch.Tensor,
        prompt_embeds: torch.Tensor,
        empty_prompt_embeds: torch.Tensor,
        sampling: Sampling,
        negative_prompt_embeds: torch.Tensor | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> torch.Tensor:
        """Restore one window.

        Args:
            lr: (B, 3, F, H, W) in [-1, 1], F = 4 n + 1, H and W multiples of 16.
            noise: (B, C, f, h, w) float32.
            prompt_embeds: (1, text tokens, text_dim).
            empty_prompt_embeds: (1, text tokens, text_dim), for a CPC without text.
            sampling: steps, shift, guidance, scale, sampler.
            negative_prompt_embeds: (1, text tokens, text_dim), read if ``sampling.guidance`` is not 1; by default the
                empty prompt.
            advance: called after every sampling step.

        Returns:
            (B, 3, F, H, W) float32, in about [-1, 1].
        """
        # 1. Condition
        lr_latents = encode_video(self.vae, lr)

        # 2. Sample, the control of a static CPC computed once for all steps and both branches of guidance
        velocity = self._velocity(lr_latents, prompt_embeds, empty_prompt_embeds, negative_prompt_embeds, sampling)
        sigmas = sampling_sigmas(sampling.steps, sampling.shift)
        latents = SAMPLERS[sampling.sampler](velocity, noise.to(lr_latents), sigmas, advance)

        # 3. Decode
        if self.lr_decoder is None:
            return decode_video(self.vae, latents)
        return self.lr_decoder(latents, lr.float())

    def _velocity(
        self,
        lr_latents: torch.Tensor,
        prompt: torch.Tensor,
        empty_prompt: torch.Tensor,
        negative_prompt: torch.Tensor | None,
        sampling: Sampling,
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The controlled velocity as a function of (z, timestep), both float32."""
        dtype, batch = self.transformer.dtype, len(lr_latents)
        lr_latents, empty_prompt = lr_latents.to(dtype), empty_prompt.to(dtype)

        def control(z: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return control_residuals(self.controlnet, self.transformer, lr_latents, timestep, text, empty_prompt, z)

        static = None
        if self.controlnet.is_static:
            zero = torch.zeros(batch, device=lr_latents.device)
            static = control(lr_latents, zero, empty_prompt.expand(batch, -1, -1))

        def branch(z: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            z, text = z.to(dtype), text.to(dtype).expand(batch, -1, -1)
            residuals = control(z, timestep, text) if static is None else static
            return self.transformer(z, timestep, text, residuals, sampling.cpc_scale).float()

        def velocity(z: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            conditional = branch(z, timestep, prompt)
            if sampling.guidance == 1:
                return conditional
            unconditional = branch(z, timestep, empty_prompt if negative_prompt is None else negative_prompt)
            return unconditional + sampling.guidance * (conditional - unconditional)

        return velocity


class CpcUpscaler:
    """RealisVSR over whole frames: independent tiles, blended; see :class:`realis.upscaler.Upscaler`.

    Args:
        pipeline: one window.
        prompts: embedded.
        sampling: as the pipeline takes it.
        needs: as its method finds them.
    """

    def __init__(self, pipeline: CpcPipeline, prompts: Prompts, sampling: Sampling, needs: Needs) -> None:
        self.pipeline, self.prompts, self.sampling, self.needs = pipeline, prompts, sampling, needs

    @cached_property
    def device(self) -> torch.device:
        """Where windows are computed."""
        return self.pipeline._execution_device

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
        """Restore a segment of ``4 n + 1`` frames tile by tile; only one tile at a time is on the device."""
        assert noise is not None
        prompts = self.prompts
        text, negative = prompts.by_text[prompt].to(self.device), prompts.negative
        empty = text if prompts.empty is None else prompts.empty.to(self.device)  # None: it is not read
        negative = None if negative is None else negative.to(self.device)
        canvas = Canvas((len(frames), 3, *size), tiles)
        work = 1 / (len(tiles) * self.sampling.steps)
        for tile in tiles:
            window = resize_window(frames, size, (tile.top, tile.bottom), (tile.left, tile.right))
            lr = window.clamp_(0, 1).mul_(2).sub_(1).transpose(0, 1)[None]
            tile_noise = noise[:, :, tile.top // 8 : tile.bottom // 8, tile.left // 8 : tile.right // 8][None]
            restored = self.pipeline(
                lr.to(self.device), tile_noise.to(self.device), text, empty, self.sampling, negative,
                advance=lambda: advance(work),
            )  # fmt: skip
            check_finite(restored, f"the tile at row {tile.top}, column {tile.left}")
            canvas.add(tile, (restored[0].transpose(0, 1) + 1) / 2)
        return canvas.result().clamp_(0, 1), {}
