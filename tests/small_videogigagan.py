"""A small VideoGigaGAN with made-up weights: where training would start from zero, they are not, so that all parts matter."""

from itertools import pairwise
from typing import NamedTuple

import torch

from realis.comparators.videogigagan.discriminator import Discriminator
from realis.comparators.videogigagan.generator import VideoGigaGan
from realis.comparators.videogigagan.layout import all_noise_channels
from realis.comparators.videogigagan.propagation import Flows
from realis.models.optical_flow.farneback import farneback

SIZES = {
    "widths": (8, 8, 12, 16), "upsampling_widths": (8, 4), "kernels": 2, "style_dim": 8, "noise_dim": 8, "mapping_layers": 1,
    "heads": 2, "propagation_channels": 4, "propagation_blocks": 1,
}  # fmt: skip
ALONE = {"temporal": False, "propagation_channels": 0}  # each frame by itself, as an image upsampler
DISCRIMINATOR_WIDTHS = (4, 8, 8)


def new_generator(**sizes):
    """A small generator before any training, the same at each call."""
    torch.manual_seed(0)
    return VideoGigaGan(**SIZES | sizes).eval()


def small_generator(**sizes):
    """A small generator all of whose parts matter."""
    generator = new_generator(**sizes)
    with torch.no_grad():
        if generator.propagation is not None:
            for weight in generator.propagation.parameters():
                weight.zero_()  # that it is random whatever it starts from
        randomise(generator)
        generator.conv_out.weight.mul_(0.2)  # so that frames are mostly within [-1, 1], and little is clamped
    return generator


def small_discriminator(temporal=True):
    torch.manual_seed(0)
    return randomise(Discriminator(DISCRIMINATOR_WIDTHS, heads=2, temporal=temporal)).eval()


def randomise(network, gain=1.0, seed=1):
    """Make random those weights of a network that are zero, in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                inputs = max(weight[0].numel(), 4)
                weight.copy_(torch.randn(weight.shape, generator=generator) * gain / inputs**0.5)
    return network


def save_small_videogigagan(folder, **sizes):
    """Write a small generator into ``folder``, which is returned."""
    small_generator(**sizes).save_pretrained(folder)
    return folder


def flows_between(clip):
    """The flow by Farneback's method between the frames of a clip (F, 3, h, w) in [0, 1]."""
    nowhere, pairs = torch.zeros(1, 2, *clip.shape[-2:]), list(pairwise(clip.split(1)))
    to_next = [*(farneback(frame, following) for frame, following in pairs), nowhere]
    to_previous = [nowhere, *(farneback(following, frame) for frame, following in pairs)]
    return Flows(*(torch.stack(flows, dim=2) for flows in (to_next, to_previous)))


class Inputs(NamedTuple):
    """What a generator is called with."""

    lr: torch.Tensor
    flows: Flows
    z: torch.Tensor
    noise: torch.Tensor


def inputs_of(generator, clips=2, frames=3, size=(8, 16), seed=0):
    """Random clips, flow of up to a few pixels between their frames, and noise."""
    drawn = torch.Generator().manual_seed(seed)
    config, (h, w) = generator.config, size

    def random(*shape):
        return torch.randn(shape, generator=drawn)

    flows = Flows(random(clips, 2, frames, h, w), random(clips, 2, frames, h, w))
    noise = random(clips, all_noise_channels(len(config.upsampling_widths)), h, w)
    return Inputs(random(clips, 3, frames, h, w).clamp(-1, 1), flows, random(clips, config.noise_dim), noise)
