"""A small StableVSR: a Temporal Conditioning Module for the small x4 upscaler."""

import shutil

import torch
from diffusers import UNet2DConditionModel

from realis.comparators.stablevsr.tcm import new_tcm
from realis.models.sd_x4.files import SCALE
from small_sd_x4 import louder

WIDTHS = (4, 6, 8)  # of the layers that shrink the guidance


def small_tcm(unet, gain=0.5):
    """A module for ``unet`` whose convolutions of zeros are made random, so that guidance matters; 0: a new one."""
    torch.manual_seed(0)
    tcm = new_tcm(unet, WIDTHS)
    louder(tcm.controlnet_cond_embedding, 4)
    zeros = [tcm.controlnet_cond_embedding.conv_out, *tcm.controlnet_down_blocks, tcm.controlnet_mid_block]
    with torch.no_grad():
        for weight in (weight for conv in zeros for weight in conv.parameters()):
            weight.copy_(torch.randn(weight.shape) * gain)
    return tcm.eval()


def save_small_stablevsr(sd_x4, folder, gain=0.5):
    """Copy the small x4 upscaler in ``sd_x4`` into ``folder``, with a module beside it; returns ``folder``."""
    shutil.copytree(sd_x4, folder)
    small_tcm(UNet2DConditionModel.from_pretrained(folder / "unet"), gain).save_pretrained(folder / "controlnet")
    return folder


def enlarged_cells(latents):
    """In place of a decoder: the first three channels of latents, every cell a square of pixels."""
    return latents[:, :3].repeat_interleave(SCALE, -1).repeat_interleave(SCALE, -2)
