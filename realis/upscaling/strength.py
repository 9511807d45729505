"""How much of a method's result is taken: a blend with the resized input, on whole frames of the final size."""

import torch

from realis.ops.resize import resize


def blend_with_input(frame: torch.Tensor, source: torch.Tensor, strength: float) -> torch.Tensor:
    """Return ``b + strength (frame - b)``, where b is ``source`` resized bicubically.

    The low frequencies are blended as the rest: kept from the result, 0 would not give the resized input; taken from
    the input, 1 would not give the result; and nothing is gained by it.

    Args:
        frame: of the result, (3, H, W) float32 in [0, 1].
        source: its frame of the input, (3, h, w) float32 in [0, 1].
        strength: 0 to 1; 0 gives b and 1 gives ``frame``, both to the last bit.
    """
    if strength == 1:
        return frame
    return torch.lerp(resize(source, (frame.shape[1], frame.shape[2])).clamp_(0, 1), frame, strength)
