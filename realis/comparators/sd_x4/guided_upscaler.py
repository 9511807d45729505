"""Upscale a segment by an x4 upscaler whose frames are guided by their neighbours, whole frames at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch

from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.comparators.sd_x4.guided_config import MotionConfig
from realis.comparators.sd_x4.motion import flows_between
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.sd_x4.files import SCALE
from realis.models.sd_x4.loading import Guide
from realis.ops.resize import resize
from realis.upscaler import Advance, Carry, Needs, Tile, Tiling

BEFORE = -1  # the frame before the first of a segment, which is finished

# (frames, their latents (F, C, h, w), timestep, their guidance (F, ...) or None) -> their velocities
Predict = Callable[[Sequence[int], torch.Tensor, int, torch.Tensor | None], torch.Tensor]
# (latents of a neighbour (1, C, h, w), frame, neighbour) -> guidance of the frame
Guidance = Callable[[torch.Tensor, int, int], torch.Tensor]
Decode = Callable[[torch.Tensor], torch.Tensor]  # latents (B, C, h, w) -> frames (B, 3, 4h, 4w) in about [-1, 1]


class GuidedUpscaler(ABC):
    """An x4 upscaler with a network that guides it; see :class:`realis.upscaler.Upscaler`.

    Args:
        model: the x4 upscaler with its settings.
        estimate_flow: between whole frames, on the model's device.
        motion: how flow is found.
        needs: what :meth:`realis.upscaler.Method.needs` returned.
    """

    def __init__(self, model: CanvasSdX4, estimate_flow: FlowEstimator, motion: MotionConfig, needs: Needs) -> None:
        self.model, self.estimate_flow, self.motion, self.needs = model, estimate_flow, motion, needs

    @abstractmethod
    def align(
        self,
        latents: torch.Tensor,
        flow: torch.Tensor,
        back: Callable[[], torch.Tensor],
        decode: Decode,
        scale: int,
    ) -> torch.Tensor:
        """Return the guidance of a frame from the latents of its neighbour.

        Args:
            latents: (1, C, h, w) of the canvas.
            flow: from the frame to the neighbour, (1, 2, H, W).
            back: gives the flow from the neighbour to the frame.
            decode: of latents of the canvas.
            scale: by which the LR is enlarged.
        """

    @abstractmethod
    def guide(self, guidance: torch.Tensor) -> Guide:
        """Return how the ``guidance`` (F, ...) of a tile guides the network."""

    @abstractmethod
    def sample(
        self,
        predict: Predict,
        guidance: Guidance,
        z: Sequence[torch.Tensor],
        noise: Iterator[torch.Tensor],
        before: torch.Tensor | None,
    ) -> Sequence[torch.Tensor]:
        """Sample the clean latents of a segment, (1, C, h, w) each, from ``z``.

        Args:
            predict: velocities.
            guidance: of a frame.
            z: latents of each frame at the noisiest step.
            noise: asked by DDPM once a step, for all frames, (F, C, h, w).
            before: the clean latents of :data:`BEFORE`, if there is such a frame.
        """

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
        """Enlarge a segment, as :meth:`realis.upscaler.Upscaler.upscale` says. Beyond four times, the LR is enlarged to a fourth
        of the result by bicubic interpolation first.

        Of the noise, the first field is what sampling starts from, the next that of the LR, if it is noised, and DDPM takes
        one more a step. ``carry`` has the frame before the segment, ``frame`` (3, h, w), and its ``latents`` (C, h, w), which
        guide the first frame where information goes forward.
        """
        assert noise is not None
        model, fields = self.model, self.model.fields(noise)
        scale, quarter = size[0] // frames.shape[-2], (size[0] // SCALE, size[1] // SCALE)

        def canvas_of(frames: torch.Tensor) -> torch.Tensor:
            if scale > SCALE:
                frames = resize(frames, quarter).clamp_(0, 1)
            return model.extended(frames, tiles)

        z = next(fields)
        canvas = canvas_of(frames)
        lr = model.lr(canvas, next(fields) if model.lr_noise else None)
        lr_by_frame, before = dict(enumerate(canvas.split(1))), None
        if carry:
            lr_by_frame[BEFORE], before = canvas_of(carry["frame"][None]), carry["latents"][None].to(z)
        flow = flows_between(lr_by_frame, self.estimate_flow, self.motion)

        def step_done(share: float) -> None:
            advance(share / (len(model.steps) + 1))  # the last decoding counts as one step

        def decode(latents: torch.Tensor) -> torch.Tensor:
            return model.decode(latents, tiles.size, tiles, device=z.device)

        by_finished: dict[int, torch.Tensor] = {}  # guidance by the frame before the segment, the same at every step

        def guidance(latents: torch.Tensor, frame: int, neighbour: int) -> torch.Tensor:
            if neighbour == BEFORE and frame in by_finished:
                return by_finished[frame]
            aligned = self.align(latents, flow(frame, neighbour), lambda: flow(neighbour, frame), decode, scale)
            if neighbour == BEFORE:
                by_finished[frame] = aligned
            return aligned

        def predict(
            numbers: Sequence[int], z: torch.Tensor, timestep: int, guidance: torch.Tensor | None
        ) -> torch.Tensor:
            def guide(tile: Tile, batch: slice) -> Guide:
                assert guidance is not None
                pixels = guidance.shape[-1] // z.shape[-1]  # of frames, or latents
                return self.guide(tile.enlarged(pixels).of(guidance[batch]))

            share = len(numbers) / len(frames)
            return model.velocity(
                z, timestep, lr[list(numbers)], prompt, tiles, lambda done: step_done(done * share),
                None if guidance is None else guide,
            )  # fmt: skip

        z = torch.cat(list(self.sample(predict, guidance, z.split(1), fields, before)))
        decoded = model.decode(z, size, tiles, step_done)
        carry = {} if self.needs.segments.independent else {"frame": frames[-1].clone(), "latents": z[-1].cpu()}
        return decoded.add_(1).div_(2).clamp_(0, 1), carry
