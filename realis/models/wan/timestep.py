"""What Wan's transformer is told of a noise level."""

import torch


def timestep_of(sigma: torch.Tensor) -> torch.Tensor:
    """Return the timestep of noise levels (B,) in [0, 1]: ``1000 sigma``, float32."""
    return (1000 * sigma).float()
