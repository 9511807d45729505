"""Frames a second of the second-order degradation, beside the same chain written the usual way.

    python benchmarks/degradation.py [--clips 8] [--frames 49] [--size 480 832] [--preset realbasicvsr]

Both sides run in one process on one thread, clip by clip in turn, with the same drawn parameters, and do this:

op      realis                                                    usual (as in BasicSR and MMagic)
blur    filter2d: in two passes if separable, small kernels       cv2.filter2D
        by OpenCV, large ones by Fourier transform
resize  cv2.resize                                                cv2.resize
noise   Gaussian: torch's normals; Poisson: alias tables of the   Gaussian: NumPy's Generator, float32 (faster than the
        256 grey levels                                           usual np.random.randn); Poisson: np.unique and
                                                                  Generator.poisson, pixel by pixel
JPEG    cv2.imencode and imdecode                                 the same
video   PyAV, one thread, libx264's preset veryfast; frames stay  the same encoder and preset; every op takes and gives
        8-bit between JPEG and it                                 float32

Blurs and resizes alone are compared on two frames of each clip, and the largest difference of 8-bit levels is printed.
"""

import statistics
from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
import torch
from command_line import count, parser_of
from timing import seconds

from realis.data.photographs import training_clip
from realis.degradation.config import DegradationConfig
from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Operation, Resize, Video
from realis.degradation.presets import load_degradation
from realis.degradation.second_order import apply, degrade_stream, kernel_of
from realis.ops.codec import decode, encode
from realis.ops.pixels import planes_to_image
from realis.ops.resample import OPENCV_FILTERS


def usual(operation: Operation, images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """``operation`` on float32 images, the usual way."""
    images = list(images)
    if isinstance(operation, Blur):
        return [cv2.filter2D(x, -1, kernel_of(operation, i)) for i, x in enumerate(images)]
    if isinstance(operation, Resize):
        interpolation = OPENCV_FILTERS[operation.filter]
        return [
            cv2.resize(x, size[::-1], interpolation=interpolation)
            for x, size in zip(images, operation.sizes, strict=True)
        ]
    if isinstance(operation, Noise):
        rng = np.random.default_rng(operation.seed)
        add = usual_gaussian if operation.kind == "gaussian" else usual_poisson
        return [add(x, s, rng, operation.grey) for x, s in zip(images, operation.strength, strict=True)]
    if isinstance(operation, Jpeg):
        return [usual_jpeg(x, q) for x, q in zip(images, operation.quality, strict=True)]
    encoded = encode([usual_bytes(x) for x in images], operation.codec, operation.bits_per_pixel)
    return [x.astype(np.float32) / 255 for x in decode(encoded)]


def usual_gaussian(image: np.ndarray, sigma: float, rng: np.random.Generator, grey: bool) -> np.ndarray:
    shape = (*image.shape[:2], 1 if grey else 3)
    return image + rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)


def usual_poisson(image: np.ndarray, scale: float, rng: np.random.Generator, grey: bool) -> np.ndarray:
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if grey else image
    light = np.clip((light * 255).round(), 0, 255) / 255
    peak = 2 ** np.ceil(np.log2(len(np.unique(light))))
    return image + ((rng.poisson(light * peak) / peak - light) * scale).astype(np.float32)


def usual_bytes(image: np.ndarray) -> np.ndarray:
    return np.clip((image * 255).round(), 0, 255).astype(np.uint8)


def usual_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    bgr = cv2.cvtColor(usual_bytes(image), cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.float32) / 255


def usual_chain(images: list[np.ndarray], parameters: DegradationParameters) -> list[np.ndarray]:
    for operation in parameters.operations:
        images = usual(operation, images)
    return [usual_bytes(x) for x in images]


def draw(config: DegradationConfig, seed: int, frames: int, size: tuple[int, int]) -> DegradationParameters:
    return config.sample(np.random.default_rng(seed), frames, size)


def clip_of(seed: int, frames: int, size: tuple[int, int]) -> list[np.ndarray]:
    """A moving photograph, enlarged to ``size`` by cropping a square one of its larger side."""
    planes = training_clip(np.random.default_rng(seed), frames, max(size))
    return [planes_to_image(x)[: size[0], : size[1]].copy() for x in planes]


def name_of(operation: Operation) -> str:
    kind = type(operation).__name__.lower()
    return f"{operation.kind} noise" if isinstance(operation, Noise) else kind


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=count, default=8)
    parser.add_argument("--frames", type=count, default=49)
    parser.add_argument("--size", type=count, nargs=2, default=(480, 832))
    parser.add_argument("--preset", default="realbasicvsr", choices=("realbasicvsr", "real_esrgan"))
    a = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config, size = load_degradation(a.preset), tuple(a.size)
    table: dict[str, list[tuple[float, float]]] = {}
    rates, worst = [], 0
    for seed in range(a.clips):
        images, p = clip_of(seed, a.frames, size), draw(config, seed, a.frames, size)
        silent = replace(p, operations=tuple(op for op in p.operations if not isinstance(op, (Noise, Jpeg, Video))))
        pairs = zip(
            degrade_stream(images[:2], replace_frames(silent, 2)),
            usual_chain(images[:2], replace_frames(silent, 2)),
            strict=True,
        )
        worst = max(worst, *(int(np.abs(x.astype(int) - y).max()) for x, y in pairs))
        ours = seconds(lambda images=images, p=p: list(degrade_stream(images, p)))
        theirs = seconds(lambda images=images, p=p: usual_chain(images, p))
        rates.append((a.frames / ours, a.frames / theirs))
        print(
            f"clip {seed}: realis {rates[-1][0]:6.1f} frames/s, usual {rates[-1][1]:6.1f}, ratio {theirs / ours:.2f}",
            flush=True,
        )
        for operation in p.operations:
            pair = [seconds(lambda f=f, op=operation, x=images: list(f(op, iter(x)))) for f in (apply, usual)]
            table.setdefault(name_of(operation), []).append(tuple(1e3 * t / a.frames for t in pair))
            images = usual(operation, images)
    print(
        f"\nms a frame of {size[0]}x{size[1]}, mean over the operations drawn\n"
        f"{'op':16s} {'realis':>8s} {'usual':>8s} {'ratio':>6s}"
    )
    for name, times in sorted(table.items()):
        ours, theirs = (statistics.mean(t) for t in zip(*times, strict=True))
        print(f"{name:16s} {ours:8.2f} {theirs:8.2f} {theirs / ours:6.2f}   ({len(times)} drawn)")
    ours, theirs = (len(rates) / sum(1 / r for r in side) for side in zip(*rates, strict=True))
    median = statistics.median(r / u for r, u in rates)
    print(
        f"\nall clips: realis {ours:.1f} frames/s, usual {theirs:.1f}, "
        f"ratio {ours / theirs:.2f} (median of clips {median:.2f})"
    )
    print(f"blur and resize alone: largest difference of the results {worst} of 255")


def replace_frames(p: DegradationParameters, frames: int) -> DegradationParameters:
    """The first ``frames`` frames of blurs and resizes."""

    def shortened(operation: Operation) -> Operation:
        values = {k: v[:frames] if isinstance(v, tuple) else v for k, v in vars(operation).items()}
        return type(operation)(**values)

    return replace(p, frames=frames, operations=tuple(shortened(op) for op in p.operations))


if __name__ == "__main__":
    main()
