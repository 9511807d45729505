"""HR-Loss: the training objective on the velocity in latent space (RealisVSR, Eqs. 4-6).

So far its reconstruction term alone (Eq. 3); the wavelet and HOG terms are not here yet.
"""

import torch
from torch import nn


class HrLoss(nn.Module):
    """Rectified-flow loss, in float32 whatever the input's dtype."""

    def forward(self, velocity: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare a predicted velocity with ``eps - x0``, both (B, C, f, h, w).

        Returns:
            ``{"loss": total, "rec": reconstruction}``, scalars: the mean squared error.
        """
        rec = (velocity.float() - target.float()).square().mean()
        return {"loss": rec, "rec": rec.detach()}
