"""The losses of a GAN: non-saturating (Goodfellow et al., NeurIPS 2014), and R1 (Mescheder et al., ICML 2018)."""

from collections.abc import Callable

import torch
from torch.nn.functional import softplus


def generator_loss(fake: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``-log sigmoid(fake)``, of logits of what was generated."""
    return softplus(-fake.float()).mean()


def discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``-log sigmoid(real)`` and that of ``-log(1 - sigmoid(fake))``, added."""
    return softplus(-real.float()).mean() + softplus(fake.float()).mean()


def r1_penalty(discriminator: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor) -> torch.Tensor:
    """Return half the squared norm of the gradient of the logits by the real frames, averaged over these: R1 with a
    weight of 1, whose formula has the half as well.

    Args:
        discriminator: clips -> logits (B, F).
        real: clips (B, 3, F, H, W).
    """
    real = real.detach().float().requires_grad_()
    with torch.autocast(real.device.type, enabled=False), torch.enable_grad():
        (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 3, 4)).mean()
