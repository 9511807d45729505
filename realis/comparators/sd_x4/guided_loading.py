"""Load an x4 upscaler with the network that guides it and an estimator of flow."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from diffusers import ModelMixin

from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.comparators.sd_x4.guided_config import GuidedConfig
from realis.comparators.sd_x4.loading import load_model
from realis.core.config import flag_name
from realis.models.optical_flow.estimator import FlowEstimator
from realis.models.optical_flow.loading import load_flow
from realis.upscaler import Needs, Placement
from realis.upscaling.placement import apply_placement

Network = TypeVar("Network", bound=ModelMixin)


def load_guided(
    config: GuidedConfig,
    needs: Needs,
    placement: Placement,
    prompts: Sequence[str],
    load: Callable[[torch.dtype, bool], Network],
) -> tuple[CanvasSdX4, Network, FlowEstimator]:
    """Load all networks and place them.

    Args:
        config: the flags of the method.
        needs: what they were found to need.
        placement: where the networks go.
        prompts: all that will be asked for.
        load: the network that guides, in a dtype, and with noise levels or without.

    Raises:
        InputError: a part cannot be loaded.
    """
    model = load_model(config, needs, placement, prompts)
    network = load(getattr(torch, placement.dtype), model.lr_noise is not None)
    network = network.requires_grad_(False).eval().to("cpu" if placement.offload else placement.device)
    apply_placement(placement, [model.unet, network], model.vae)
    estimate_flow = load_flow(needs.weights.get("flow_weights"), flag_name(config, "flow_weights"), placement.device)
    return model, network, estimate_flow
