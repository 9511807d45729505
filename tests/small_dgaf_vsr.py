"""A small DGAF-VSR: a guiding U-Net for the small x4 upscaler."""

import shutil

import torch
from diffusers import UNet2DConditionModel

from realis.comparators.dgaf_vsr.guiding_unet import new_guiding_unet


def small_guiding_unet(unet, gain=0.5, **kinds):
    """A network that guides ``unet``, whose convolutions of zeros are made random, so that it matters; 0: a new one."""
    torch.manual_seed(0)
    guiding = new_guiding_unet(unet, **kinds)
    with torch.no_grad():
        for weight in guiding.zero_convs.parameters():
            weight.copy_(torch.randn(weight.shape) * gain)
    return guiding.eval()


def save_small_dgaf_vsr(sd_x4, folder, gain=0.5, **kinds):
    """Copy the small x4 upscaler in ``sd_x4`` into ``folder``, with a network beside it; returns ``folder``."""
    shutil.copytree(sd_x4, folder)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    small_guiding_unet(unet, gain, **kinds).save_pretrained(folder / "guiding_unet")
    return folder
