"""The protocol of an estimator of optical flow."""

from typing import Protocol

import torch


class FlowEstimator(Protocol):
    """Estimates the flow between frames."""

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Estimate where the pixels of ``a`` are found in ``b``.

        Args:
            a: (B, 3, H, W) float32 in [0, 1], RGB; of any size.
            b: as ``a``.

        Returns:
            (B, 2, H, W) float32, x then y, in pixels: ``a(p) = b(p + flow(p))``.
        """
        ...
