"""What training is given at a time, and how its LR becomes as large as its HR: as at inference."""

from typing import TypedDict

import torch

from realis.ops.pixels import signed
from realis.ops.resize import enlarge_window


class Batch(TypedDict, total=False):
    """B samples of one size: F frames, H and W pixels of the HR clip, h and w of the LR clip as a file would hold it.

    A source gives 8-bit pixels, which are a quarter of the bytes to hand on; they are float32 in [-1, 1] once the batch
    is on the device and encoded. A source that knows latents gives them too; those that it lacks are made on the device.
    """

    number: torch.Tensor  # (B,) int64, global numbers of the samples, by which all is drawn; always on the CPU
    hr: torch.Tensor  # (B, 3, F, H, W)
    lr: torch.Tensor  # (B, 3, F, h, w)
    lr_resized: torch.Tensor  # (B, 3, F, H, W) float32 in [-1, 1]: the LR enlarged to the HR's size
    to_next: torch.Tensor  # (B, 2, F, h, w) float32, optical flow from each frame of the LR to the next, in pixels
    to_previous: torch.Tensor  # the same to the one before
    prompt: torch.Tensor  # (B, text tokens, text_dim), embeddings of the captions
    hr_latents: torch.Tensor  # (B, C, latent frames, rows, columns) float32, normalised
    lr_latents: torch.Tensor  # the same of lr_resized


PIXELS = ("hr", "lr", "lr_resized")  # large, and read by the process alone that loaded them


def enlarge(lr: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Enlarge LR clips to ``size`` = (height, width), to the last bit as inference does where it computes.

    Args:
        lr: (B, 3, F, h, w) uint8, or float32 in [-1, 1].

    Returns:
        (B, 3, F, *size) float32 in [-1, 1], never rounded to 8 bits.
    """
    frames = lr.transpose(1, 2)
    frames = frames.float() / 255 if lr.dtype == torch.uint8 else (frames + 1) / 2
    return enlarge_window(frames, size, (0, size[0]), (0, size[1])).transpose(1, 2)


def signed_clips(batch: Batch) -> Batch:
    """Return a batch whose 8-bit ``hr`` and ``lr`` are float32 in [-1, 1]."""
    assert "hr" in batch and "lr" in batch
    return {**batch, "hr": signed(batch["hr"]), "lr": signed(batch["lr"])}


def images_of(clips: torch.Tensor) -> torch.Tensor:
    """Return the frames of clips (B, C, F, H, W), one after the other, (B F, C, H, W)."""
    return clips.transpose(1, 2).flatten(0, 1)


def clips_of(images: torch.Tensor, count: int) -> torch.Tensor:
    """Return ``count`` clips (B, C, F, H, W) whose frames ``images`` (B F, C, H, W) are, as :func:`images_of` gives them."""
    return images.view(count, -1, *images.shape[1:]).transpose(1, 2)
