"""What training steps have in common: a step is a module that turns a batch into scalar losses, and
:mod:`realis.training.loop` does the rest."""

from typing import Literal

import torch
from torch import nn

from realis.data.batch import Batch
from realis.training.settings import Precision
from realis.training.state import Tensors


class TrainingStep(nn.Module):
    """A batch -> its losses, under autocast.

    Everything that a step computes goes through ``forward``, so that DDP, FSDP2 and DeepSpeed see it.

    Args:
        precision: ``bf16`` autocasts to bfloat16; weights stay in the precision that they have.
    """

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self.precision = precision

    def forward(self, batch: Batch, what: Literal["losses", "sample"] = "losses") -> Tensors | torch.Tensor:
        """``losses(batch)``, scalars of which ``loss`` is descended; or ``sample(batch)``, something to look at."""
        device = next(x.device.type for name, x in batch.items() if name != "number")
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            return getattr(self, what)(batch)
