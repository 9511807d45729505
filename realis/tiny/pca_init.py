"""Start a small Wan VAE encoder at nested principal components instead of noise.

An ``AutoencoderKLWan`` encoder of two stages (patch 2, then two halvings of space and time) is set so that it
computes, exactly and without training: 2x2 patches, principal components of 2x2 blocks of them (twice), a temporal
average over the frames that a latent frame covers, and whitening. What makes it exact inside an architecture with
norms and SiLUs: residual and attention branches are zero; one constant channel dominates the RMS norm, so that it
scales all channels alike; each component enters the last SiLU as the pair +u, -u, and ``silu(u) - silu(-u) = u``.
Only the decoder is then left to train.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import nn

from realis.core.errors import InputError

CONSTANT = 30.0  # value of the channel that dominates the RMS norm


def principal_components(x: torch.Tensor, count: int) -> torch.Tensor:
    """Return the ``count`` leading components of 2x2 blocks of ``x`` (N, C, H, W): rows (count, C, 2, 2), orthonormal.

    Not centred, so that the mean stays in the first component. In float64, and with the largest entry of every
    component positive, so that the result does not depend on the number of threads.
    """
    blocks = F.unfold(x, 2, stride=2).transpose(1, 2).reshape(-1, 4 * x.shape[1]).double()
    _, vectors = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    components = vectors.flip(1)[:, :count].T
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    return (components * largest.sign()).float().reshape(count, x.shape[1], 2, 2)


@torch.no_grad()
def initialise_encoder(vae: AutoencoderKLWan, frames: torch.Tensor) -> None:
    """Set the encoder of ``vae`` to the components of ``frames``; its decoder's residual branches to zero.

    Args:
        vae: ``patch_size`` 2, ``dim_mult`` of length 3, one residual block a stage, z_dim 16 and base_dim at
            least 16, temporal halving in both stages.
        frames: (N, 3, H, W) in [-1, 1], H and W multiples of 8, to compute the components from.

    Raises:
        InputError: an architecture that this does not fit.
    """
    c = vae.config
    if (
        c.patch_size != 2
        or len(c.dim_mult) != 3
        or c.num_res_blocks != 1
        or c.base_dim < 16
        or not all(c.temperal_downsample)
    ):
        raise InputError(f"vae: got {dict(c)}, wanted patch_size 2, three dim_mult, one residual block, base_dim >= 16")
    _silence_branches(vae)
    encoder, z = vae.encoder, c.z_dim
    _, down1, stage2, down2, stage3 = encoder.down_blocks

    # 1. 2x2 patches -> components of 2x2 patches -> components of 2x2 of those: 12 -> z - 1 (+ constant) -> z
    x = _patches(frames)
    _identity(encoder.conv_in, x.shape[1])
    first = principal_components(x, z - 1)
    _set_halving(down1, first, constant=z - 1)
    x = F.conv2d(x, first, stride=2)
    _identity(stage2.conv_shortcut, z - 1)
    second = principal_components(x, z)
    _set_halving(down2, second, constant=stage2.conv_shortcut.out_channels - 1)
    x = F.conv2d(x, second, stride=2)

    # 2. Whiten, and send each component through the last norm and SiLU as a pair of opposite signs
    mean, std = x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3))
    _zero(stage3.conv_shortcut)
    for i in range(z):
        for row, sign in ((i, 1), (z + i, -1)):
            stage3.conv_shortcut.weight[row, i] = sign / std[i]
            stage3.conv_shortcut.bias[row] = -sign * mean[i] / std[i]
    stage3.conv_shortcut.bias[2 * z] = CONSTANT
    channels = stage3.conv_shortcut.out_channels
    encoder.norm_out.gamma.fill_(CONSTANT / channels**0.5)
    _zero(encoder.conv_out)
    for i in range(z):
        encoder.conv_out.weight[i, i, 2, 1, 1] = 1
        encoder.conv_out.weight[i, z + i, 2, 1, 1] = -1

    # 3. Posterior: that mean, a negligible variance
    _zero(vae.quant_conv)
    vae.quant_conv.weight[range(z), range(z)] = 1
    vae.quant_conv.bias[z:] = -10


def _patches(frames: torch.Tensor) -> torch.Tensor:
    """2x2 patches in the channel order of the VAE's own patchify: (N, 3, H, W) -> (N, 12, H / 2, W / 2)."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

    return patchify(frames.unsqueeze(2), 2).squeeze(2)


def _silence_branches(vae: AutoencoderKLWan) -> None:
    for module in vae.modules():
        if type(module).__name__ == "WanResidualBlock":
            _zero(module.conv2)
        elif type(module).__name__ == "WanAttentionBlock":
            _zero(module.proj)


def _zero(layer: nn.Module) -> None:
    layer.weight.zero_()
    layer.bias.zero_()


def _identity(layer: nn.Module, channels: int) -> None:
    """Causal 3x3x3 or 1x1x1 convolution that copies its first ``channels`` channels."""
    _zero(layer)
    tap = (2, 1, 1) if layer.kernel_size[0] == 3 else (0, 0, 0)
    layer.weight[(range(channels), range(channels), *tap)] = 1


def _set_halving(resample: nn.Module, components: torch.Tensor, constant: int) -> None:
    """Stride-2 convolution = components; temporal halving = [1/4, 1/2, 1/4]; channel ``constant`` is constant."""
    count, channels = components.shape[:2]
    space = resample.resample[1]
    _zero(space)
    space.weight[:count, :channels, :2, :2] = components
    space.bias[constant] = CONSTANT
    _zero(resample.time_conv)
    for i in range(count):
        resample.time_conv.weight[i, i, :, 0, 0] = torch.tensor([0.25, 0.5, 0.25])
    resample.time_conv.bias[constant] = CONSTANT
