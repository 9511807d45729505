"""Training of BasicVSR: what is frozen, what is trained, what is exported. Torch is imported only to train."""

from pathlib import Path
from typing import TYPE_CHECKING

from realis.comparators.basicvsr.config import SCALE
from realis.comparators.basicvsr.files import find_weights
from realis.comparators.basicvsr.training_config import BasicVsrTrainingConfig, flag
from realis.models.weights_file import check_weights_file
from realis.training.comparator import ComparatorTraining

if TYPE_CHECKING:
    import torch
    from torch import nn

    from realis.comparators.basicvsr.model import BasicVsrModel
    from realis.data.batch import Batch
    from realis.training.run import Run


class BasicVsrTraining:
    """BasicVSR as a :class:`realis.training.comparator.TrainableComparator`."""

    Config = BasicVsrTrainingConfig
    least_frames = 2  # with one, nothing goes from frame to frame

    def scale(self, config: BasicVsrTrainingConfig) -> int:
        return SCALE

    def find_files(self, config: BasicVsrTrainingConfig) -> list[Path]:
        if config.weights:
            files = [find_weights(config.weights, flag("weights"))]
        else:
            wanted = f"a file with SpyNet's weights, such as BasicVSR_REDS4.pth, or {flag('weights')} to train on"
            files = [check_weights_file(config.flow_weights, flag("flow_weights"), wanted)]
        if config.lpips_weights:
            files.append(check_weights_file(config.lpips_weights, flag("lpips_weights")))
        return files

    def prepare(self, config: BasicVsrTrainingConfig, run: "Run") -> ComparatorTraining:
        import torch

        from realis.comparators.basicvsr.step import BasicVsrStep
        from realis.data.batch import signed_clips
        from realis.models.optical_flow.neighbours import flows_of_clips
        from realis.training.lpips import load_lpips

        device = run.accelerator.device
        network = load_network(config).train().to(device)
        network.spynet.requires_grad_(False)
        lpips_network = load_lpips(config.lpips_weights, flag("lpips_weights"), device)
        step = BasicVsrStep(network, lpips_network, config, run.config.precision)

        def encode(batch: "Batch") -> "Batch":
            batch = signed_clips(batch)
            to_next, to_previous = flows_of_clips(batch["lr"], network.spynet)
            return {**batch, "to_next": to_next, "to_previous": to_previous}

        @torch.no_grad()
        def restore(module: "nn.Module", batch: "Batch") -> "torch.Tensor":
            return module(batch, "sample")

        base = config.weights or f"none but for its optical flow: SpyNet of {config.flow_weights}"
        return ComparatorTraining(
            step,
            encode,
            restore,
            network,
            base,
            derived=bool(config.weights),
            task="video-to-video",
            use=flag("weights"),
        )


TRAINING = BasicVsrTraining()


def load_network(config: BasicVsrTrainingConfig) -> "BasicVsrModel":
    """Load the network that is trained on, or build a new one over the flow that it is given; float32, on the CPU.

    Raises:
        InputError: weights cannot be loaded, or are not finite.
    """
    from realis.comparators.basicvsr.loading import read_basicvsr
    from realis.comparators.basicvsr.model import BasicVsrModel, new_basicvsr
    from realis.models.optical_flow.spynet import load_spynet
    from realis.ops.finite import check_weights

    if config.weights:
        file = find_weights(config.weights, flag("weights"))
        network = read_basicvsr(file, flag("weights"), BasicVsrModel)
    else:
        file = Path(config.flow_weights)
        network = new_basicvsr(config.channels, config.blocks, load_spynet(file, flag("flow_weights")))
    check_weights(network, file)
    return network
