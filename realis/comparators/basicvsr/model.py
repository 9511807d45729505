"""BasicVSR as it is trained: a model of diffusers, which names its sizes in its export; and how a new one begins."""

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin

from realis.comparators.basicvsr.network import BasicVsr
from realis.models.optical_flow.spynet import SpyNet
from realis.models.recurrent_trunk import start_near_identity


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


def new_basicvsr(channels: int, blocks: int, spynet: SpyNet) -> BasicVsrModel:
    """Return a new network, in float32, with the optical flow of ``spynet``."""
    network = BasicVsrModel(channels=channels, blocks=blocks)
    network.spynet.load_state_dict(spynet.state_dict())
    start_near_identity(network)
    return network
