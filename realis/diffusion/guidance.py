"""Classifier-free guidance (Ho and Salimans 2022) on one screen."""

import torch

from realis.diffusion.rectified_flow import Velocity


def guided(conditional: Velocity, unconditional: Velocity, guidance: float) -> Velocity:
    """Return ``v_u + guidance (v_c - v_u)``, the velocity that moves away from the unconditional one; with a ``guidance``
    of 1 the conditional one itself, in one pass instead of two."""
    if guidance == 1:
        return conditional

    def velocity(z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        v_c, v_u = conditional(z, sigma), unconditional(z, sigma)
        return v_u + guidance * (v_c - v_u)

    return velocity
