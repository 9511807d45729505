"""Start the LR-conditioned decoder with whitened features of the LR video instead of random ones.

The pixels of a resized LR video are so much alike that nearly all of their energy is in a few smooth patterns, while what
a restorer has to amplify is in the weak ones, which gradient descent learns last. The first convolution is therefore set
to the leading principal components of the windows that it sees, each scaled to unit variance.
"""

import torch
import torch.nn.functional as F

from realis.core.errors import require
from realis.models.lr_decoder import LrDecoder


@torch.no_grad()
def initialise_lr_input(decoder: LrDecoder, lr: torch.Tensor) -> None:
    """Set ``decoder.lr_in``, whose other end is then white on ``lr``.

    Args:
        lr: clips (N, 3, F, H, W) in [-1, 1], as the decoder takes them; every third frame is used.

    Raises:
        InputError: too few windows in them for as many features.
    """
    layer = decoder.lr_in
    assert layer.bias is not None
    frames = range(0, lr.shape[2], 3)
    windows = torch.cat([decoder.lr_windows(clip[None], frames)[0] for clip in lr])  # (N frames, C, H / 4, W / 4)
    x = F.unfold(windows, layer.kernel_size).transpose(1, 2).flatten(0, 1)
    least = 2 * layer.out_channels
    require(
        len(x) >= least, "--data.count, --data.size", f"{len(x)} windows to whiten features with", f"{least} or more"
    )
    mean = x.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(x.T).double())
    values, vectors = values.flip(0)[: layer.out_channels], vectors.flip(1)[:, : layer.out_channels]
    signs = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)).sign()  # the same on any number of threads
    whitening = (signs * vectors / values.clamp_min(1e-6).sqrt()).T.float()
    layer.weight.copy_(whitening.view_as(layer.weight))
    layer.bias.copy_(-whitening @ mean)
