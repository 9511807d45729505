"""Frame-wise Bidirectional Sampling (StableVSR, Algorithm 1), and the strategies of its Table 2 that it is compared with."""

from collections.abc import Callable, Iterator, Sequence

import torch

from realis.comparators.sd_x4.guided_config import Strategy
from realis.comparators.sd_x4.guided_upscaler import BEFORE, Guidance
from realis.comparators.stablevsr.guidance_config import Estimate
from realis.diffusion.v_prediction import Step

# (frame, its latents, timestep, guidance or None) -> velocity
PredictFrame = Callable[[int, torch.Tensor, int, torch.Tensor | None], torch.Tensor]


def visits(strategy: Strategy, frames: int, step: int, follows: bool) -> Iterator[tuple[int, int | None]]:
    """Yield the frames in the order in which they take a step, each with the neighbour that guides it, if one does.

    Args:
        frames: their number.
        step: its number; odd ones go backward where information goes both ways.
        follows: whether a finished frame comes before the first, which guides it in the forward direction.

    >>> list(visits("bidirectional", 3, 0, follows=False)), list(visits("bidirectional", 3, 1, follows=False))
    ([(0, None), (1, 0), (2, 1)], [(2, None), (1, 2), (0, 1)])
    """
    backward = strategy == "bidirectional" and step % 2 == 1
    neighbour = BEFORE if follows and not backward else None
    for frame in reversed(range(frames)) if backward else range(frames):
        yield frame, None if strategy == "single-frame" else neighbour
        neighbour = frame


def sample_frames(
    predict: PredictFrame,
    guidance: Guidance,
    z: Sequence[torch.Tensor],
    steps: Sequence[Step],
    strategy: Strategy,
    guidance_on: Estimate,
    noise: Iterator[torch.Tensor],
    before: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """Sample the clean latents of a video: all frames take a step before any takes the next.

    Args:
        predict: called once a frame and step.
        guidance: called right before it, where there is a neighbour.
        z: latents of each frame at the noisiest step, (B, C, h, w) float32.
        steps: the noisiest first.
        strategy: who is guided by whom.
        guidance_on: what of the neighbour, at the step that the frame takes.
        noise: asked once a step by DDPM, for all frames, (F, B, C, h, w) or (F, C, h, w).
        before: the clean latents of the frame before the first; ``None``: there is none.

    Returns:
        The latents of each frame.
    """
    z = list(z)
    shown = {} if before is None else {BEFORE: before}  # what a neighbour is shown of a frame
    for number, step in enumerate(steps):
        added = next(noise) if step.eta else None
        for frame, neighbour in visits(strategy, len(z), number, before is not None):
            texture = None if neighbour is None else guidance(shown[neighbour], frame, neighbour)
            v = predict(frame, z[frame], step.timestep, texture)
            shown[frame] = step.clean(z[frame], v) if guidance_on == "x0" else z[frame]  # Eq. 6
            z[frame] = step.advance(z[frame], v, None if added is None else added[frame])
    return z
