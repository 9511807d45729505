"""The ranges from which the parameters of a degradation are drawn.

The defaults are those of RealBasicVSR's training recipe (arXiv 2111.12704).

A range that has a step is drawn from for the first frame; from there the value takes a random walk along time, by up to
that step per frame, within the range. Bit rates are per pixel: RealBasicVSR's 10 to 100 kbit a frame were meant for
frames of 256x256.
"""

import math
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from realis.core.errors import require
from realis.degradation.draws import (
    Range,
    check_draw_weights,
    check_probability,
    check_range,
    check_step,
    split_draw,
    walk,
    weighted_choice,
    wrapping_walk,
)
from realis.degradation.parameters import (
    Blur,
    DegradationParameters,
    Jpeg,
    Kernel,
    Noise,
    Operation,
    Resize,
    Size,
    Video,
    sizes_after,
)
from realis.ops.codec import Codec
from realis.ops.kernels import Filter

KERNELS: tuple[Kernel, ...] = get_args(Kernel)
LARGE_KERNEL = 13  # from here on a sinc kernel may cut off lower


@dataclass(frozen=True)
class BlurConfig:
    """Blur with a random kernel; lengths are in pixels of the frame at that point of the pipeline."""

    probability: float = 1.0
    kernels: tuple[float, ...] = (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1)  # weights of KERNELS
    size: tuple[int, int] = (7, 21)  # odd
    sigma: Range = (0.2, 3.0)
    sigma_step: float = 0.02
    rotation_step: float = 0.1 * math.pi
    beta_gaussian: Range = (0.5, 4.0)
    beta_gaussian_step: float = 0.05
    beta_plateau: Range = (1.0, 2.0)
    beta_plateau_step: float = 0.1
    beta_split: bool = False  # draw half of the betas below 1 and half above, as Real-ESRGAN; else uniformly
    cutoff: Range = (math.pi / 3, math.pi)  # of sinc kernels below 13 pixels
    cutoff_large: Range = (math.pi / 5, math.pi)  # of the others
    cutoff_step: float = 0.02 * math.pi

    def __post_init__(self) -> None:
        check_probability(self.probability, "blur.probability")
        check_draw_weights(self.kernels, len(KERNELS), "blur.kernels")
        require(all(n % 2 for n in self.size), "blur.size", self.size, "odd numbers")
        for name in ("size", "sigma", "beta_gaussian", "beta_plateau", "cutoff", "cutoff_large"):
            check_range(getattr(self, name), f"blur.{name}", 0.01, 1000)
        for name in ("sigma_step", "rotation_step", "beta_gaussian_step", "beta_plateau_step", "cutoff_step"):
            check_step(getattr(self, name), f"blur.{name}")
        for name in ("beta_gaussian", "beta_plateau") if self.beta_split else ():
            low, high = getattr(self, name)
            require(low <= 1 <= high, f"blur.{name} with blur.beta_split", (low, high), "a range with 1 in it")

    def sample(self, rng: np.random.Generator, frames: int) -> list[Operation]:
        """Draw a blur, or none."""
        if rng.random() >= self.probability:
            return []
        kernel = KERNELS[weighted_choice(rng, self.kernels)]
        size = int(rng.choice(np.arange(self.size[0], self.size[1] + 1, 2)))
        if kernel == "sinc":
            cutoff = self.cutoff if size < LARGE_KERNEL else self.cutoff_large
            return [Blur(kernel, size, cutoff=walk(rng, cutoff, self.cutoff_step, frames))]
        x = walk(rng, self.sigma, self.sigma_step, frames)
        y = walk(rng, self.sigma, self.sigma_step, frames)
        rotation = wrapping_walk(rng, self.rotation_step, frames)
        if "aniso" not in kernel:
            y, rotation = x, (0.0,) * frames
        beta = ()
        if kernel.startswith("generalized"):
            beta = self._sample_beta(rng, self.beta_gaussian, self.beta_gaussian_step, frames)
        elif kernel.startswith("plateau"):
            beta = self._sample_beta(rng, self.beta_plateau, self.beta_plateau_step, frames)
        return [Blur(kernel, size, tuple(zip(x, y, strict=True)), rotation, beta)]

    def _sample_beta(self, rng: np.random.Generator, bounds: Range, step: float, frames: int) -> tuple[float, ...]:
        # Only the first frame's beta is split: held to its side of 1, a plateau that starts at 1 could never move.
        start = split_draw(rng, bounds, 1.0) if self.beta_split else None
        return walk(rng, bounds, step, frames, start)


@dataclass(frozen=True)
class ResizeConfig:
    """Enlarge, shrink, keep the size, or resize to the size of the result at once."""

    weights: tuple[float, float, float, float] = (0.2, 0.7, 0.1, 0.0)  # up, down, keep, target
    scale: Range = (0.15, 1.5)
    scale_step: float = 0.015
    of_target: bool = False  # scale the size of the result instead of that of the frame; keep: go to that size
    filters: tuple[Filter, ...] = ("bilinear", "area", "bicubic")

    def __post_init__(self) -> None:
        check_draw_weights(self.weights, 4, "resize.weights")
        low, high = self.scale
        require(0 < low <= 1 <= high <= 16, "resize.scale", self.scale, "a range from above 0 to 16 with 1 in it")
        check_step(self.scale_step, "resize.scale_step")
        require(len(self.filters) > 0, "resize.filters", self.filters, "at least one")

    def sample(self, rng: np.random.Generator, sizes: tuple[Size, ...], target: Size) -> list[Operation]:
        """Draw a resize of frames that have ``sizes``, or none."""
        mode = ("up", "down", "keep", "target")[weighted_choice(rng, self.weights)]
        filter = self.filters[rng.integers(len(self.filters))]
        if mode == "target" or (mode == "keep" and self.of_target):
            return to_target(sizes, target, filter)
        if mode == "keep":
            return []
        low, high = self.scale
        start = rng.uniform(1, high) if mode == "up" else rng.uniform(low, 1)
        scales = walk(rng, self.scale, self.scale_step, len(sizes), start)
        sizes = (target,) * len(sizes) if self.of_target else sizes
        return [Resize(filter, tuple((even(h * s), even(w * s)) for (h, w), s in zip(sizes, scales, strict=True)))]


@dataclass(frozen=True)
class NoiseConfig:
    """Gaussian or Poisson noise."""

    probability: float = 1.0
    gaussian: float = 0.5  # share of Gaussian noise; the rest is Poisson
    sigma: Range = (1.0, 30.0)  # of 255
    sigma_step: float = 0.1
    poisson_scale: Range = (0.05, 3.0)
    poisson_step: float = 0.005
    grey: float = 0.4  # share that is the same in all channels

    def __post_init__(self) -> None:
        for name in ("probability", "gaussian", "grey"):
            check_probability(getattr(self, name), f"noise.{name}")
        check_range(self.sigma, "noise.sigma", 0, 255)
        check_range(self.poisson_scale, "noise.poisson_scale", 0, 1000)
        check_step(self.sigma_step, "noise.sigma_step")
        check_step(self.poisson_step, "noise.poisson_step")

    def sample(self, rng: np.random.Generator, frames: int) -> list[Operation]:
        """Draw noise, or none."""
        if rng.random() >= self.probability:
            return []
        grey, seed = bool(rng.random() < self.grey), int(rng.integers(2**53))
        if rng.random() < self.gaussian:
            strength = walk(rng, self.sigma, self.sigma_step, frames)
            return [Noise("gaussian", tuple(s / 255 for s in strength), grey, seed)]
        return [Noise("poisson", walk(rng, self.poisson_scale, self.poisson_step, frames), grey, seed)]


@dataclass(frozen=True)
class JpegConfig:
    """JPEG compression of each frame."""

    probability: float = 1.0
    quality: Range = (30.0, 95.0)
    quality_step: float = 3.0

    def __post_init__(self) -> None:
        check_probability(self.probability, "jpeg.probability")
        check_range(self.quality, "jpeg.quality", 1, 100)
        check_step(self.quality_step, "jpeg.quality_step")

    def sample(self, rng: np.random.Generator, frames: int) -> list[Operation]:
        """Draw the qualities of a compression, or none."""
        if rng.random() >= self.probability:
            return []
        return [Jpeg(tuple(round(q) for q in walk(rng, self.quality, self.quality_step, frames)))]


@dataclass(frozen=True)
class VideoConfig:
    """Compression by a video codec. RealBasicVSR's "h264" is libx264 as well, hence the weights."""

    probability: float = 1.0
    codecs: tuple[Codec, ...] = ("libx264", "mpeg4")
    weights: tuple[float, ...] = (2 / 3, 1 / 3)
    bits_per_pixel: Range = (1e4 / 256**2, 1e5 / 256**2)

    def __post_init__(self) -> None:
        check_probability(self.probability, "video.probability")
        check_draw_weights(self.weights, len(self.codecs), "video.weights")
        check_range(self.bits_per_pixel, "video.bits_per_pixel", 1e-4, 1000)

    def sample(self, rng: np.random.Generator) -> list[Operation]:
        """Draw a codec and its bit rate, or none."""
        if rng.random() >= self.probability:
            return []
        return [Video(self.codecs[weighted_choice(rng, self.weights)], float(rng.uniform(*self.bits_per_pixel)))]


@dataclass(frozen=True)
class OrderConfig:
    """One order: blur, resize, noise, JPEG, video codec."""

    blur: BlurConfig = field(default_factory=BlurConfig)
    resize: ResizeConfig = field(default_factory=ResizeConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    jpeg: JpegConfig = field(default_factory=JpegConfig)
    video: VideoConfig = field(default_factory=VideoConfig)


SECOND = OrderConfig(
    blur=BlurConfig(probability=0.8, sigma=(0.2, 1.5)),
    resize=ResizeConfig(weights=(0.3, 0.4, 0.3, 0.0), scale=(0.3, 1.2), scale_step=0.03),
    noise=NoiseConfig(sigma=(1.0, 25.0), poisson_scale=(0.05, 2.5)),
    video=VideoConfig(probability=0.0),  # it is part of the end
)
SINC = BlurConfig(
    probability=0.8, kernels=(0, 0, 0, 0, 0, 0, 1), cutoff=(math.pi / 3, math.pi), cutoff_large=(math.pi / 3, math.pi)
)


@dataclass(frozen=True)
class EndConfig:
    """Compression on one hand, resize to the final size and sinc blur on the other; either goes first."""

    compression_first: float = 0.5  # probability
    jpeg: JpegConfig = field(default_factory=lambda: JpegConfig(probability=0.0))
    video: VideoConfig = field(default_factory=VideoConfig)
    filters: tuple[Filter, ...] = ("bilinear", "area", "bicubic")
    sinc: BlurConfig = SINC

    def __post_init__(self) -> None:
        check_probability(self.compression_first, "end.compression_first")
        require(len(self.filters) > 0, "end.filters", self.filters, "at least one")


@dataclass(frozen=True)
class DegradationConfig:
    """Second-order degradation (RealBasicVSR, section 3.2; Real-ESRGAN, section 3.3)."""

    first: OrderConfig = field(default_factory=OrderConfig)
    second: OrderConfig = SECOND
    end: EndConfig = field(default_factory=EndConfig)
    sharpen: bool = False  # sharpen the ground truth first, by an unsharp mask
    clean: float = 0.0  # share of clips that are only shrunk, by matlab_bicubic

    def __post_init__(self) -> None:
        check_probability(self.clean, "clean")

    @property
    def only_shrinks(self) -> bool:
        """Whether a clip is shrunk and nothing else is done to it, so that frames do not depend on those around them."""
        chances = [self.end.jpeg.probability, self.end.video.probability, self.end.sinc.probability]
        for order in (self.first, self.second):
            chances += [part.probability for part in (order.blur, order.noise, order.jpeg, order.video)]
            chances += order.resize.weights[:2]
        return self.clean == 1 or not any(chances)

    def sample(self, rng: np.random.Generator, frames: int, size: Size, scale: float = 4) -> DegradationParameters:
        """Draw what happens to a clip of ``frames`` frames of ``size`` (height, width), to be shrunk by ``scale``.

        Raises:
            InputError: the result would be smaller than 2 pixels.
        """
        target = (round(size[0] / scale), round(size[1] / scale))
        require(min(target) >= 2 and frames >= 1, "size of the clip", f"{frames} x {size[0]}x{size[1]}",
                f"at least one frame of {math.ceil(2 * scale)}x{math.ceil(2 * scale)}")  # fmt: skip
        if rng.random() < self.clean:
            operations = to_target((size,) * frames, target, "matlab_bicubic")
            return DegradationParameters(frames, size, target, self.sharpen, tuple(operations))
        operations: list[Operation] = []
        sizes = (size,) * frames
        for order in (self.first, self.second):
            operations += order.blur.sample(rng, frames)
            operations += order.resize.sample(rng, sizes, target)
            operations += order.noise.sample(rng, frames)
            operations += order.jpeg.sample(rng, frames)
            operations += order.video.sample(rng)
            sizes = sizes_after(operations, sizes)
        compression = self.end.jpeg.sample(rng, frames) + self.end.video.sample(rng)
        filter = self.end.filters[rng.integers(len(self.end.filters))]
        finish = self.end.sinc.sample(rng, frames)
        if rng.random() < self.end.compression_first:
            sizes = sizes_after(compression, sizes)
            operations += compression + to_target(sizes, target, filter) + finish
        else:
            operations += to_target(sizes, target, filter) + finish + compression
        return DegradationParameters(frames, size, target, self.sharpen, tuple(operations))


def to_target(sizes: tuple[Size, ...], target: Size, filter: Filter) -> list[Operation]:
    """Return the resize of all frames to ``target``; none if they have that size, unless the filter blurs."""
    return [] if set(sizes) == {target} and filter != "gaussian" else [Resize(filter, (target,) * len(sizes))]


def even(length: float) -> int:
    """Round ``length`` down to an even number, at least 2, as video codecs need it."""
    return max(2 * int(length / 2), 2)
