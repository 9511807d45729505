"""The networks that a step trains, each with an optimizer of its own, and whose turn it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from realis.core.errors import require
from realis.training.settings import OptimizerConfig


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that train, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@dataclass(frozen=True)
class Player:
    """One of the networks of a step.

    The losses of one may leave gradients in the others, which are dropped: they cost their computation, and among several
    processes their exchange.

    Args:
        parameters: what its optimizer moves, by a name that no other player has.
        name: of its files in a checkpoint and of its curves; empty if it is the only one.
        losses: the method of the step that turns a batch into its losses.
        optimizer: its settings, of the command's configuration; ``None``: ``--optimizer``. Warm-up and decay go by its turns.
        first: the optimizer step, counted from 0, in which it takes its first turn.
        every: from then on it takes a turn every so many steps.

    Raises:
        InputError: ``first`` or ``every`` is out of range.
    """

    parameters: Mapping[str, nn.Parameter]
    name: str = ""
    losses: str = "losses"
    optimizer: OptimizerConfig | None = None
    first: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        require(self.first >= 0, f"{self.name}: first", self.first, "0 or more")
        require(self.every >= 1, f"{self.name}: every", self.every, "1 or more")

    def has_turn(self, step: int) -> bool:
        """Whether it takes a turn in optimizer step ``step``, counted from 0."""
        return step >= self.first and (step - self.first) % self.every == 0

    def turns_before(self, step: int) -> int:
        """Return how many turns it has taken before optimizer step ``step``."""
        return max(0, -(-(step - self.first) // self.every))

    def file(self, kind: str) -> str:
        """Name of a safetensors file of a checkpoint that holds ``kind`` of it."""
        return f"{self.name}-{kind}.safetensors" if self.name else f"{kind}.safetensors"

    def term(self, name: str) -> str:
        """Name of a curve of it."""
        return f"{self.name}/{name}" if self.name else name
