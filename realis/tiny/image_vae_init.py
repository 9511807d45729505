"""Start the encoder of a small image VAE at principal components instead of noise.

As :mod:`realis.tiny.pca_init` does for Wan's: residual branches are zero, the two halvings compute the components of 4x4
pixels, and a pair of constant channels dominates the last norm, so that it scales all channels alike; each component
enters the last SiLU as the pair +u, -u, and ``silu(u) - silu(-u) = u``.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from realis.models.sd_x4.files import SCALING_FACTOR
from realis.tiny.pca_init import CONSTANT, principal_components

RGB, PATCH = 3, 12  # channels of an image, and of its 2x2 patches, which are all kept


def new_image_vae(widths: tuple[int, int, int], channels: int) -> AutoencoderKL:
    """Return a new VAE of 4 pixels a latent, as :func:`initialise_image_encoder` takes it.

    Args:
        widths: at full, half and quarter resolution: rising, from 12 on.
        channels: of a latent.
    """
    return AutoencoderKL(
        block_out_channels=widths, latent_channels=channels, layers_per_block=1, norm_num_groups=1,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        mid_block_add_attention=False, scaling_factor=SCALING_FACTOR,
    )  # fmt: skip


@torch.no_grad()
def initialise_image_encoder(vae: AutoencoderKL, images: torch.Tensor) -> None:
    """Set the encoder of ``vae`` to the components of ``images``, and its latents, once scaled, to a standard deviation of 1
    over all channels.

    Args:
        vae: of :func:`new_image_vae`.
        images: (N, 3, H, W) in [-1, 1], H and W multiples of 4, to compute the components from.
    """
    encoder, z = vae.encoder, vae.config.latent_channels
    first, second, third = encoder.down_blocks
    for block in encoder.modules():
        if isinstance(block, ResnetBlock2D):
            _zero(block.conv2)

    # 1. Pixels -> 2x2 patches -> components of 2x2 of those
    _copy(encoder.conv_in, RGB)
    components = principal_components(images, PATCH)
    _halve(first.downsamplers[0].conv, components)
    patches = F.conv2d(images, components, stride=2)
    _copy(second.resnets[0].conv_shortcut, PATCH)
    components = principal_components(patches, z)
    _halve(second.downsamplers[0].conv, components)
    latents = F.conv2d(patches, components, stride=2)

    # 2. Through the last norm and SiLU as pairs of opposite signs
    widen = third.resnets[0].conv_shortcut
    _zero(widen)
    widen.weight[range(z), range(z), 0, 0] = 1
    widen.weight[range(z, 2 * z), range(z), 0, 0] = -1
    widen.bias[[2 * z, 2 * z + 1]] = torch.tensor([CONSTANT, -CONSTANT])
    channels = widen.out_channels
    encoder.conv_norm_out.weight.fill_(CONSTANT * (2 / channels) ** 0.5)
    encoder.conv_norm_out.bias.zero_()
    _zero(encoder.conv_out)
    encoder.conv_out.weight[range(z), range(z), 1, 1] = 1
    encoder.conv_out.weight[range(z), range(z, 2 * z), 1, 1] = -1

    # 3. Posterior: that mean, scaled, and a small variance
    factor = 1 / (vae.config.scaling_factor * latents.std())
    for layer, scale in ((vae.quant_conv, factor), (vae.post_quant_conv, 1 / factor)):
        _zero(layer)
        layer.weight[range(z), range(z), 0, 0] = scale
    vae.quant_conv.bias[z:] = -2.0


@torch.no_grad()
def scale_latents(vae: AutoencoderKL, images: torch.Tensor) -> None:
    """Give each channel of the scaled latents of ``images`` (N, 3, H, W) a standard deviation of 1, by factors in the VAE's
    two convolutions around its latents; what it decodes does not change."""
    z = vae.config.latent_channels
    latents = torch.cat([vae.encode(batch).latent_dist.mean for batch in images.split(8)]) * vae.config.scaling_factor
    factors = 1 / latents.std(dim=(0, 2, 3))
    vae.quant_conv.weight[:z] *= factors.view(-1, 1, 1, 1)
    vae.quant_conv.bias[:z] *= factors
    vae.quant_conv.bias[z:] += 2 * factors.log()  # of the variance, in logarithms
    vae.post_quant_conv.weight /= factors.view(1, -1, 1, 1)


def _zero(layer: nn.Module) -> None:
    layer.weight.zero_()
    layer.bias.zero_()


def _copy(layer: nn.Module, channels: int) -> None:
    """Make a convolution copy its first ``channels`` channels."""
    _zero(layer)
    centre = layer.kernel_size[0] // 2
    layer.weight[range(channels), range(channels), centre, centre] = 1


def _halve(layer: nn.Module, components: torch.Tensor) -> None:
    """Make a convolution of stride 2 compute ``components`` (count, channels, 2, 2); diffusers pads below and to the right."""
    _zero(layer)
    count, channels = components.shape[:2]
    layer.weight[:count, :channels, :2, :2] = components
