"""BasicVSR as it is trained: a model of diffusers, which names its sizes in its export; and how a new one begins."""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from realis.comparators.basicvsr.network import BasicVsr, ResidualBlock
from realis.models.optical_flow.spynet import SpyNet

SHARE = 0.1  # of He's initialisation, in residual blocks


class BasicVsrModel(BasicVsr, ModelMixin, ConfigMixin):
    """BasicVSR with its sizes in a configuration. Inference does without: importing diffusers takes it 1.5 seconds.

    Args:
        channels: of the features.
        blocks: residual blocks of each trunk.
    """

    _keep_in_fp32_modules = ("spynet",)  # in an export, as at inference

    # By name alone: an argument that is passed by its position, diffusers takes for a default that an export may leave out
    @register_to_config
    def __init__(self, *, channels: int, blocks: int) -> None:
        super().__init__(channels, blocks)


@torch.no_grad()
def new_basicvsr(channels: int, blocks: int, spynet: SpyNet) -> BasicVsrModel:
    """Return a new network, in float32, with the optical flow of ``spynet``.

    Residual blocks begin near the identity, as BasicSR's do, so that features neither grow nor fade through many of them
    and from frame to frame.
    """
    network = BasicVsrModel(channels=channels, blocks=blocks)
    network.spynet.load_state_dict(spynet.state_dict())
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            for conv in (block.conv1, block.conv2):
                assert conv.bias is not None
                nn.init.kaiming_normal_(conv.weight).mul_(SHARE)
                nn.init.zeros_(conv.bias)
    return network
