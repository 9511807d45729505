"""Sampling in which a frame is guided by what its neighbour was at the step before (DGAF-VSR, Sec. 4.1 and 4.2), so that the
frames of a step do not wait for each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from realis.comparators.sd_x4.guided_config import Strategy
from realis.comparators.sd_x4.guided_upscaler import BEFORE, Guidance
from realis.comparators.stablevsr.sampling import visits
from realis.diffusion.v_prediction import Step

# (latents of all frames, timestep, guidance by frame) -> velocities of all frames
PredictAll = Callable[[Sequence[torch.Tensor], int, Mapping[int, torch.Tensor]], Sequence[torch.Tensor]]


def sample_in_step(
    predict: PredictAll,
    guidance: Guidance,
    z: Sequence[torch.Tensor],
    steps: Sequence[Step],
    strategy: Strategy,
    noise: Iterator[torch.Tensor],
    before: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """Sample the clean latents of a video. At the first step, which no estimate comes before, no frame is guided but one that
    follows a finished one.

    Args:
        predict: called once a step.
        guidance: called for each frame that has a neighbour with an estimate.
        z: latents of each frame at the noisiest step, (B, C, h, w) float32.
        steps: the noisiest first.
        strategy: who is guided by whom.
        noise: asked once a step by DDPM, for all frames, (F, B, C, h, w) or (F, C, h, w).
        before: the clean latents of the frame before the first; ``None``: there is none.

    Returns:
        The latents of each frame.
    """
    z = list(z)
    estimates = {} if before is None else {BEFORE: before}
    for number, step in enumerate(steps):
        guiding = {
            frame: guidance(estimates[neighbour], frame, neighbour)
            for frame, neighbour in visits(strategy, len(z), number, before is not None)
            if neighbour in estimates
        }
        velocities = predict(z, step.timestep, guiding)
        estimates |= {frame: step.clean(z[frame], v) for frame, v in enumerate(velocities)}  # Eq. 3
        added = next(noise) if step.eta else [None] * len(z)
        z = [step.advance(*each) for each in zip(z, velocities, added, strict=True)]
    return z
