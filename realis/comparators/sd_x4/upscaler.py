"""Upscale frames one by one by a Stable Diffusion x4 upscaler: all frames of a segment and all tiles in step."""

from collections.abc import Iterator

import torch

from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.diffusion.v_prediction import sample
from realis.upscaler import Advance, Carry, Needs, Tiling


class SdX4Upscaler:
    """A Stable Diffusion x4 upscaler; see :class:`realis.upscaler.Upscaler`.

    Args:
        model: with its settings.
        needs: what :meth:`realis.upscaler.Method.needs` returned.
    """

    def __init__(self, model: CanvasSdX4, needs: Needs) -> None:
        self.model, self.needs = model, needs

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
        one more a step.
        """
        assert noise is not None
        model, fields = self.model, self.model.fields(noise)

        def step_done(share: float) -> None:
            advance(share / (len(model.steps) + 1))  # decoding counts as one step

        def velocity(z: torch.Tensor, timestep: int) -> torch.Tensor:
            return model.velocity(z, timestep, lr, prompt, tiles, step_done)

        z = next(fields)
        lr = model.lr(model.extended(frames, tiles), next(fields) if model.lr_noise else None)
        z = sample(velocity, z, list(model.steps), fields)
        decoded = model.decode(z, size, tiles, step_done)
        return decoded.add_(1).div_(2).clamp_(0, 1), {}
