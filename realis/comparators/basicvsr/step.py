"""The training step of BasicVSR: clips are enlarged as a whole, and compared with their truth frame by frame."""

import torch
from torch import nn

from realis.comparators.basicvsr.network import BasicVsr
from realis.comparators.basicvsr.training_config import BasicVsrTrainingConfig
from realis.data.batch import Batch
from realis.losses.charbonnier import charbonnier
from realis.metrics.base import Network
from realis.training.lpips import lpips
from realis.training.settings import Precision
from realis.training.state import Tensors
from realis.training.steps.base import TrainingStep

EPS = 1e-6  # of the Charbonnier loss: MMagic's 1e-12 stands for its square


class BasicVsrStep(TrainingStep):
    """Enlarge clips four times; see :mod:`realis.comparators.basicvsr.network` for B, F, h and w.

    Args:
        network: what is trained, in float32; its optical flow is frozen.
        lpips_network: of LPIPS; ``None``: it is no part of the loss.
        config: weights of the losses.
    """

    def __init__(
        self, network: BasicVsr, lpips_network: Network | None, config: BasicVsrTrainingConfig, precision: Precision
    ) -> None:
        super().__init__(precision)
        # Flow is no part of the step, so that it is neither sharded nor in a checkpoint; the function is of the same layers
        trained = {name: part for name, part in network.named_children() if part is not network.spynet}
        self.network = nn.ModuleDict(trained)
        self.enlarge_clips = network.forward
        self.channels, self.lpips_network, self.config = network.channels, lpips_network, config

    def losses(self, batch: Batch) -> Tensors:
        """Losses of a batch with ``hr`` (B, 3, F, 4h, 4w), ``lr`` (B, 3, F, h, w) and its flows, averaged over frames."""
        restored, hr, c = self.sample(batch), batch["hr"], self.config
        terms = {"charbonnier": charbonnier((restored + 1) / 2, (hr + 1) / 2, EPS)}
        loss = c.charbonnier * terms["charbonnier"]
        if self.lpips_network is not None:
            terms["lpips"] = lpips(self.lpips_network, restored, hr)
            loss = loss + c.lpips * terms["lpips"]
        return {"loss": loss} | {name: term.detach() for name, term in terms.items()}

    def sample(self, batch: Batch) -> torch.Tensor:
        """Return the LR clips enlarged, (B, 3, F, 4h, 4w) float32 in about [-1, 1]."""
        clips = batch["lr"]
        frames = [(frame + 1) / 2 for frame in clips.unbind(2)]
        to_next, to_previous = (torch.cat(batch[name].unbind(2)) for name in ("to_next", "to_previous"))
        state = clips.new_zeros(len(clips), self.channels, *clips.shape[-2:])
        enlarged = [frame for frame, _ in self.enlarge_clips(torch.cat(frames), to_next, to_previous, state)]
        return 2 * torch.stack(enlarged, dim=2) - 1
