"""What training steps have in common: a step is a module that turns a batch into scalar losses, and
:mod:`realis.training.loop` does the rest."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from realis.data.batch import Batch
from realis.training.players import Player, trainable
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

    def players(self) -> Sequence[Player]:
        """Return the networks that train: unless a step says otherwise one, of all that requires gradients. Asked for
        again once the step is sharded, for that replaces parameters."""
        return [Player(trainable(self))]

    def losses(self, batch: Batch) -> Tensors:
        """Return scalars, of which ``loss`` is descended."""
        raise NotImplementedError

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return something to look at."""
        raise NotImplementedError

    def forward(self, batch: Batch, what: str = "losses") -> Any:
        """Call a method of the step: :meth:`losses`, that of another player, or :meth:`sample`."""
        device = next(x.device.type for name, x in batch.items() if name != "number")
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            return getattr(self, what)(batch)
