"""Upscale a segment by StableVSR: all frames take a sampling step before any takes the next, whole frames at a time."""

from collections.abc import Iterator
from functools import cache

import torch
from diffusers import ControlNetModel

from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.comparators.stablevsr.config import StableVsrConfig
from realis.comparators.stablevsr.sampling import BEFORE, sample_frames
from realis.comparators.stablevsr.tcm import guided_by
from realis.comparators.stablevsr.texture_guidance import frames_for_flow, texture_guidance
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.files import SCALE
from realis.models.sd_x4.loading import Guide
from realis.upscaler import Advance, Carry, Needs, Tile, Tiling


class StableVsrUpscaler:
    """StableVSR; see :class:`realis.upscaler.Upscaler`.

    Args:
        model: the x4 upscaler with its settings.
        tcm: the Temporal Conditioning Module.
        estimate_flow: between whole frames, on the model's device.
        config: how frames are guided.
        needs: what :meth:`realis.upscaler.Method.needs` returned.
    """

    def __init__(
        self,
        model: CanvasSdX4,
        tcm: ControlNetModel,
        estimate_flow: FlowEstimator,
        config: StableVsrConfig,
        needs: Needs,
    ) -> None:
        self.model, self.tcm, self.estimate_flow = model, tcm, estimate_flow
        self.config, self.needs = config, needs

    @torch.no_grad()
    def upscale(
        self,
        frames: torch.Tensor,
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: Iterator[torch.Tensor] | None,
        carry: Carry,
        prompt: str,
        advance: Advance,
    ) -> tuple[torch.Tensor, Carry]:
        """Enlarge a segment four times, as :meth:`realis.upscaler.Upscaler.upscale` says.

        Of the noise, the first field is what sampling starts from, the next that of the LR, if it is noised, and DDPM takes
        one more a step. ``carry`` has the frame before the segment, ``frame`` (3, H, W), and its ``latents`` (C, h, w), which
        guide the first frame where texture goes forward.
        """
        assert noise is not None
        model, config, fields = self.model, self.config, self.model.fields(noise)
        z = next(fields)
        canvas = model.extended(frames, tiles)
        lr = model.lr(canvas, next(fields) if model.lr_noise else None)
        shown, before = dict(enumerate(canvas.split(1))), None
        if carry:
            shown[BEFORE], before = model.extended(carry["frame"][None], tiles), carry["latents"][None].to(z)

        @cache
        def flow(frame: int, neighbour: int) -> torch.Tensor:
            return self.estimate_flow(*(frames_for_flow(shown[number], config) for number in (frame, neighbour)))

        def step_done(share: float) -> None:
            advance(share / (len(model.steps) + 1))  # the last decoding counts as one step

        def decode(latents: torch.Tensor) -> torch.Tensor:
            return model.decode(latents, tiles.size, tiles, device=z.device)

        def texture(latents: torch.Tensor, frame: int, neighbour: int) -> torch.Tensor:
            back = flow(neighbour, frame) if config.mask_occlusion else None
            return texture_guidance(latents, flow(frame, neighbour), back, decode, config)

        def predict(frame: int, z: torch.Tensor, timestep: int, texture: torch.Tensor | None) -> torch.Tensor:
            def guide(tile: Tile) -> Guide:
                assert texture is not None
                return guided_by(self.tcm, tile.enlarged(SCALE).of(texture))

            return model.velocity(
                z, timestep, lr[frame : frame + 1], prompt, tiles, lambda share: step_done(share / len(frames)),
                None if texture is None else guide,
            )  # fmt: skip

        sampled = sample_frames(
            predict, texture, z.split(1), model.steps, config.strategy, config.guidance_on, fields, before
        )
        z = torch.cat(sampled)
        decoded = model.decode(z, size, tiles, step_done)
        carry = {} if config.strategy == "single-frame" else {"frame": frames[-1].clone(), "latents": z[-1].cpu()}
        return decoded.add_(1).div_(2).clamp_(0, 1), carry
