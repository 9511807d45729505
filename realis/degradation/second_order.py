"""Degrade a high-resolution clip to a low-resolution one, by parameters that were drawn before.

They come from :class:`realis.degradation.config.DegradationConfig`; the same parameters give the same result.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from realis.core.errors import InputError, require
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Operation, Resize, Video
from realis.ops.codec import decode, encode
from realis.ops.filters import filter2d, unsharp_mask
from realis.ops.jpeg import jpeg
from realis.ops.kernels import gaussian_kernel, plateau_kernel, sinc_kernel
from realis.ops.noise import gaussian_noise, poisson_noise
from realis.ops.pixels import image_to_planes, planes_to_image, to_bytes, to_float
from realis.ops.resample import resample

Images = Iterator[np.ndarray]  # (H, W, 3): float32 in [0, 1] and a little beyond, or uint8 between compressions


def degrade(hr: torch.Tensor, parameters: DegradationParameters) -> torch.Tensor:
    """Degrade ``hr`` (F, 3, H, W) floating point in [0, 1] to (F, 3, h, w) float32 in [0, 1], on 8-bit levels.

    Raises:
        InputError: the parameters were drawn for another number or size of frames.
    """
    drawn, got = (parameters.frames, *parameters.size), (len(hr), *hr.shape[2:])
    require(drawn == got, "frames, height, width of a clip to degrade", got, f"{drawn}, which was drawn for")
    lr = degrade_stream(map(planes_to_image, hr.float()), parameters)
    return torch.stack([image_to_planes(image) for image in lr])


def degrade_stream(images: Iterable[np.ndarray], parameters: DegradationParameters) -> Images:
    """Degrade images (H, W, 3), float32 in [0, 1] or uint8, one after the other, to uint8.

    Frames are not gathered: where a video codec needs all of them, it is their compressed form that is kept.

    Raises:
        InputError: a pixel is not a finite number.
    """
    images = iter(images)
    if parameters.sharpen:
        images = (unsharp_mask(to_float(image)) for image in images)
    for operation in parameters.operations:
        images = apply(operation, images)
    return map(to_finite_bytes, images)


def apply(operation: Operation, images: Images) -> Images:
    """Apply one operation to images (H, W, 3), float32 or uint8."""
    match operation:
        case Blur():
            return _blur(images, operation)
        case Resize():
            return _resize(images, operation)
        case Noise():
            return _noise(images, operation)
        case Jpeg():
            return _jpeg(images, operation)
        case Video(codec, bits_per_pixel):
            return decode(encode(map(to_finite_bytes, images), codec, bits_per_pixel))


class Margin(NamedTuple):
    """What is rendered around a clip: frames before and after, pixels of the HR clip on all four sides."""

    frames: int
    pixels: int


MARGIN = Margin(frames=4, pixels=48)  # rendered around a clip, degraded with it, and cut off


def whole_margin(scale: float) -> Margin:
    """Return the least margin from :data:`MARGIN` up that is a whole number of HR and of LR pixels."""
    lr_pixels = itertools.count(math.ceil(MARGIN.pixels / scale))
    return MARGIN._replace(pixels=next(round(n * scale) for n in lr_pixels if n * scale % 1 == 0))


def degraded_pair(
    hr: torch.Tensor, parameters: DegradationParameters, margin: Margin
) -> tuple[torch.Tensor, torch.Tensor]:
    """Degrade ``hr`` (F, 3, H, W) and cut ``margin`` off; return the HR clip and the LR clip.

    Pixels at a border, and the first frames of a compressed video, have artefacts of their own. A margin of 48 pixels
    keeps the effect of the border below one 8-bit level; a few frames keep out the first, coarsest ones, though an
    encoder at a low rate takes 20 and more to settle. If the parameters say so, the HR clip is sharpened first.

    Raises:
        InputError: the margin is no whole number of LR pixels, or leaves nothing.
    """
    (H, W), (h, w), m = parameters.size, parameters.target, margin.pixels
    cut = (m * h // H, m * w // W)
    whole = cut[0] * H == m * h and cut[1] * W == m * w
    require(whole and min(H, W) > 2 * m and len(hr) > 2 * margin.frames, "margin", tuple(margin),
            f"whole LR pixels of a clip of {len(hr)} frames, {H}x{W} to {h}x{w}, that leave some of it")  # fmt: skip
    if parameters.sharpen:
        hr = torch.stack([image_to_planes(unsharp_mask(planes_to_image(frame))) for frame in hr])
    lr = degrade(hr, replace(parameters, sharpen=False))
    times = slice(margin.frames, len(hr) - margin.frames)
    return hr[times, :, m : H - m, m : W - m], lr[times, :, cut[0] : h - cut[0], cut[1] : w - cut[1]]


def _blur(images: Images, blur: Blur) -> Images:
    for i, image in enumerate(images):
        yield filter2d(to_float(image), kernel_of(blur, i))


def kernel_of(blur: Blur, i: int) -> np.ndarray:
    """Return the kernel (size, size) that frame ``i`` is blurred with."""
    if blur.kernel == "sinc":
        return sinc_kernel(blur.size, blur.cutoff[i])
    if blur.kernel.startswith("plateau"):
        return plateau_kernel(blur.size, blur.sigma[i], blur.rotation[i], blur.beta[i])
    return gaussian_kernel(blur.size, blur.sigma[i], blur.rotation[i], blur.beta[i] if blur.beta else 1.0)


def _resize(images: Images, resize: Resize) -> Images:
    for image, size in zip(images, resize.sizes, strict=True):
        yield resample(to_float(image), size, resize.filter)


def _noise(images: Images, noise: Noise) -> Images:
    rng = np.random.default_rng(noise.seed)
    add = gaussian_noise if noise.kind == "gaussian" else poisson_noise
    for image, strength in zip(images, noise.strength, strict=True):
        yield add(to_float(image), strength, rng, noise.grey)


def _jpeg(images: Images, compression: Jpeg) -> Images:
    for image, quality in zip(images, compression.quality, strict=True):
        yield jpeg(to_finite_bytes(image), quality)


def to_finite_bytes(image: np.ndarray) -> np.ndarray:
    """Convert ``image`` to 8 bits as :func:`to_bytes`, which would turn NaN into black silently.

    Raises:
        InputError: a pixel is not a finite number.
    """
    if image.dtype != np.uint8 and not np.isfinite(image).all():
        raise InputError(
            "degradation: a pixel is not a finite number; wanted other ranges, or frames without such pixels"
        )
    return to_bytes(image)
