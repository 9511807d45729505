"""The Charbonnier loss."""

import torch


def charbonnier(prediction: torch.Tensor, target: torch.Tensor, eps: float = 1e-3) -> torch.Tensor:
    """Return the mean of ``sqrt(d^2 + eps^2)``, d the difference, in float32: an L1 loss that is smooth at 0."""
    return ((prediction.float() - target.float()).square() + eps**2).sqrt().mean()
