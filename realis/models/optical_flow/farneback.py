"""Farneback's optical flow (SCIA 2003) by OpenCV: no weights, on the CPU."""

import cv2
import numpy as np
import torch

from realis.ops.pixels import planes_to_image, to_bytes


def farneback(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Estimate flow with the settings of TecoGAN's metric tOF; see
    :class:`realis.models.optical_flow.estimator.FlowEstimator`."""
    flows = [
        cv2.calcOpticalFlowFarneback(
            _gray(one), _gray(other), np.empty(0), pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5,
            poly_sigma=1.2, flags=0,
        )
        for one, other in zip(a.cpu(), b.cpu(), strict=True)
    ]  # fmt: skip
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(a)


def _gray(planes: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(to_bytes(planes_to_image(planes)), cv2.COLOR_RGB2GRAY)
