"""What tests of StableVSR and DGAF-VSR share: small inputs, the training step of the upscaler, and segments of the stream."""

import pytest
import torch
from diffusers import DDPMScheduler

from realis.comparators.sd_x4.step import SdX4Step
from realis.diffusion.v_prediction import NoiseSchedule
from realis.models.sd_x4.files import TOKENS
from realis.tiling.plan import plan_tiles
from realis.upscaling.stream import Frame, upscale_stream
from small_basicvsr import moving_clip
from small_sd_x4 import SCHEDULE, TEXT_DIM

SIZE = (8, 12)  # height, width of the LR


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def flow_of(x, y, size):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, *size)


def base_step(unet, levels=True):
    """The training step of the upscaler alone."""
    schedule = NoiseSchedule(SCHEDULE)
    return SdX4Step(
        unet, schedule, schedule if levels else None, random(1, TOKENS, TEXT_DIM, seed=2), most_noise=50, pure_noise=0.0,
        noise_level=20, steps=2, seed=3, precision="no",
    )  # fmt: skip


def batch_of(number=2, frames=3):
    lr = torch.stack([moving_clip(frames, *SIZE).transpose(0, 1) * scale for scale in (2.0, 1.5)[:number]]) - 1
    return {"lr": lr, "hr_latents": random(number, 4, frames, *SIZE, seed=4), "number": torch.arange(number) + 5}


def noisy(batch, draws, sample, frame, levels):
    """A frame of a sample by diffusers: clean latents, their noise, the LR, noisy latents, and the input of the UNet."""
    x0, noise, lr, lr_noise = (
        clips[sample : sample + 1, :, frame]
        for clips in (batch["hr_latents"], draws.noise, batch["lr"], draws.lr_noise)
    )
    theirs = DDPMScheduler(**SCHEDULE)
    z = theirs.add_noise(x0, noise, draws.timesteps[sample : sample + 1])
    noised = theirs.add_noise(lr, lr_noise, draws.noise_levels[sample : sample + 1]) if levels else lr
    return x0, noise, lr, z, torch.cat((z, noised), dim=1)


def segments_of(upscaler, frames, start=0, across_cuts=True, scale=4):
    """The segments that the stream makes of frames, planned as the command plans them."""
    needs, size, shares = upscaler.needs, tuple(scale * side for side in frames.shape[-2:]), []
    native = needs.native_size(frames.shape[-2:], size)
    tiles = plan_tiles(native, needs.tile, needs.tile_overlap, needs.multiple)
    segments = list(
        upscale_stream(upscaler, map(Frame, frames), size, tiles, 0, shares.append, start, across_cuts=across_cuts)
    )
    assert sum(shares) == pytest.approx(len(frames))
    return segments


def upscaled(upscaler, frames, start=0, across_cuts=True, scale=4):
    return torch.cat([segment.frames for segment in segments_of(upscaler, frames, start, across_cuts, scale)])
