"""What a comparator brings so that ``train_comparator`` trains it; its methods are found by name in the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from realis.upscaler import Options

if TYPE_CHECKING:
    import torch
    from diffusers.models.modeling_utils import ModelMixin
    from torch import nn

    from realis.data.batch import Batch
    from realis.training.feed import Encode
    from realis.training.run import Run
    from realis.training.steps.base import TrainingStep


@dataclass(frozen=True)
class ComparatorTraining:
    """All that the training loop needs of a comparator.

    Args:
        step: batch -> losses; its batches have ``hr`` and ``lr`` in [-1, 1], and what ``encode`` adds.
        encode: what happens to a batch on the device before the step; its pixels are still 8-bit.
        restore: the prepared step and a batch -> its LR clips restored, (B, 3, F, H, W) in about [-1, 1], as at inference.
        network: what is exported.
        base: the model that it was trained over or from.
        derived: whether its weights began as those of ``base``.
        task: what the hub calls such models.
        use: flags of ``upscale`` that the folder of the export completes.
        part: the folder of the network in the export; empty: the export itself.
        complete: called with a copy of the network and the folder of the export, to write what else belongs there.
        others: what else is exported, for training on from it, by the folder of the export that receives it.
    """

    step: "TrainingStep"
    encode: "Encode"
    restore: "Callable[[nn.Module, Batch], torch.Tensor]"
    network: "ModelMixin"
    base: str
    derived: bool
    task: str
    use: str
    part: str = ""
    complete: "Callable[[ModelMixin, Path], None]" = lambda network, export: None
    others: "Mapping[str, ModelMixin]" = field(default_factory=dict)


class TrainableComparator(Protocol[Options]):
    """A comparator that can be trained. Importing one must not import torch.

    Attributes:
        Config: the class of its flags.
        least_frames: of a clip.
    """

    Config: type[Options]
    least_frames: int

    def scale(self, config: Options) -> int:
        """Return how many times as large as the LR the HR of its batches is.

        Raises:
            InputError: a model that says it is missing or damaged.
        """
        ...

    def find_files(self, config: Options) -> list[Path]:
        """Check the files that the training reads, and return them, or their folders, which it must not write to.

        Raises:
            InputError: one is missing or damaged, or they do not fit each other.
        """
        ...

    def prepare(self, config: Options, run: "Run") -> ComparatorTraining:
        """Load what is frozen, and build what is trained.

        Raises:
            InputError: weights cannot be loaded.
        """
        ...
