"""The resolutions of the generator's blocks, the noise that each takes, and what sizes may be. No torch."""

from realis.models.hub import DEPTH, WIDTH

ENCODER_BLOCKS = 3
CELL = 2**ENCODER_BLOCKS  # pixels of the LR to one of the lowest resolution


def octaves(doublings: int) -> list[int]:
    """Return how many times the resolution of each block, E_0 to E_2 and D_0 to D_{k+2}, is doubled against the LR's, for k
    ``doublings`` in all.

    >>> octaves(2)
    [0, -1, -2, -2, -1, 0, 1, 2]
    """
    encoder = [-i for i in range(ENCODER_BLOCKS)]
    return [*encoder, *reversed(encoder), *range(1, doublings + 1)]


def noise_channels(octave: int) -> int:
    """Return how many channels at the LR's resolution hold the spatial noise of a block."""
    return 4 ** max(octave, 0)


def all_noise_channels(doublings: int) -> int:
    """Return those of all blocks.

    >>> all_noise_channels(2)
    26
    """
    return sum(map(noise_channels, octaves(doublings)))


# What sizes of a network may be. The noise of a style is read from the spatial noise, so that it cannot be longer than that of
# the smallest frame, 8x8, at the smallest scale
RANGES = {
    "kernels": (1, DEPTH), "style_dim": (1, WIDTH), "noise_dim": (1, CELL**2 * all_noise_channels(1)), "mapping_layers": (1, DEPTH),
    "heads": (1, WIDTH), "propagation_channels": (0, WIDTH), "propagation_blocks": (1, DEPTH),
}  # fmt: skip
