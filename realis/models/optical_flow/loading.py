"""The estimator of optical flow that a file of weights is for."""

from pathlib import Path

import torch

from realis.core.errors import InputError
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.weights import read_weights


def load_flow(file: Path | None, flag: str, device: torch.device | str) -> FlowEstimator:
    """Load an estimator onto ``device``: RAFT or SpyNet, by what the weights in ``file`` are, or Farneback's method, which
    has none.

    Args:
        file: as :func:`realis.models.optical_flow.raft.load_raft` or
            :func:`realis.models.optical_flow.spynet.load_spynet` takes it.
        flag: what names the file, for messages.
        device: of its frames.

    Raises:
        InputError: the file is missing, damaged, or of another network; or it is of RAFT, and torchvision is not installed.
    """
    if file is None:
        from realis.models.optical_flow.farneback import farneback

        return farneback
    names = list(read_weights(file, flag))
    if any("spynet." in name for name in names):
        from realis.models.optical_flow.spynet import load_spynet

        return load_spynet(file, flag).to(device)
    if not any(name.startswith("feature_encoder.") for name in names):
        wanted = "those of RAFT as torchvision publishes them, or of BasicVSR, which have SpyNet's"
        raise InputError(f"{flag} {file}: got weights of another network, wanted {wanted}")
    from realis.models.optical_flow.raft import load_raft  # of torchvision, which not every installation has

    return load_raft(file, flag).to(device)
