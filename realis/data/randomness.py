"""Random draws that depend on nothing but (seed, number of the sample, what it is for).

So a sample gets the same noise on any number of processes, with any accumulation, and after any resume.
"""

import numpy as np
import torch

PURPOSES = ("pair", "flow", "noise", "other", "frames", "held out", "flip", "posterior", "pair of frames")


def sample_rng(seed: int, number: int, purpose: str) -> np.random.Generator:
    """NumPy generator of one sample; ``purpose`` is one of :data:`PURPOSES`."""
    return np.random.default_rng((seed, number, PURPOSES.index(purpose)))


def sample_generator(seed: int, number: int, purpose: str) -> torch.Generator:
    """Torch generator (CPU) of one sample."""
    return torch.Generator().manual_seed(int(sample_rng(seed, number, purpose).integers(2**62)))


def is_flipped(seed: int, number: int, share: float) -> bool:
    """Whether a sample is mirrored left to right, as a ``share`` of them is."""
    return bool(sample_rng(seed, number, "flip").random() < share)
