"""``degradation_sheets``: pictures of every operation from weak to strong, and of a clip on its way through the
chain."""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from realis.core.errors import require
from realis.core.log import logger
from realis.degradation.config import DegradationConfig
from realis.degradation.parameters import Blur, Jpeg, Kernel, Noise, Operation, Resize, Video
from realis.degradation.presets import load_degradation
from realis.pictures.sheet import grid_sheet, save_sheet
from realis.video.read import VideoReader

FRAMES = 5  # of the rendered clip
SIDE = 200


@dataclass(frozen=True)
class SheetsConfig:
    """Draw what the degradation does: two pictures."""

    output: str = "out/degradation"  # folder that receives operations.png and chain.png
    input: str = ""  # a video for chain.png, of which 17 frames are used; empty: a moving photograph
    preset: str = "realbasicvsr"  # of chain.png: a preset, or a YAML file of ranges
    seed: int = 0  # of the chain's parameters

    def __post_init__(self) -> None:
        require(self.seed >= 0, "--seed", self.seed, "0 or more")
        load_degradation(self.preset)


def degradation_sheets(config: SheetsConfig) -> None:
    """Write both pictures."""
    output = Path(config.output)
    clip = frames_of(config.input) if config.input else moving_photograph((384, 576), 17)
    save_sheet(operations_sheet(), output / "operations.png")
    save_sheet(chain_sheet(clip, load_degradation(config.preset), config.seed), output / "chain.png")
    logger.info("wrote %s and %s", output / "operations.png", output / "chain.png")


def frames_of(path: str) -> list[np.ndarray]:
    """Return the first frames of a video."""
    with VideoReader(path) as video:
        return list(itertools.islice(video, 17))


def moving_photograph(size: tuple[int, int], frames: int) -> list[np.ndarray]:
    """Film a pan over a photograph that scikit-image carries, (H, W, 3) uint8."""
    from realis.data.photographs import CameraMove, film, photograph
    from realis.ops.pixels import planes_to_image, to_bytes

    move = CameraMove((200.0, 292.0), (206.0, 308.0))
    return [to_bytes(planes_to_image(x)) for x in film(photograph("coffee.png"), move, frames, size)]


def steps() -> dict[str, list[tuple[str, Operation]]]:
    """Each operation, weak, middle and strong, over the ranges of RealBasicVSR's first order."""
    first, still = DegradationConfig().first, (0.0,) * FRAMES

    def span(bounds: tuple[float, float]) -> tuple[float, float, float]:
        return bounds[0], (bounds[0] + bounds[1]) / 2, bounds[1]

    def blur(kernel: Kernel, sigma: tuple[float, float], rotation: float = 0.0, beta: float = 1.0) -> Blur:
        return Blur(kernel, 21, (sigma,) * FRAMES, (rotation,) * FRAMES, (beta,) * FRAMES)

    b, rates = first.blur, span(first.video.bits_per_pixel)[::-1]
    rows: dict[str, list[tuple[str, Operation]]] = {
        "Gaussian": [(f"sigma {s:.1f}", blur("iso", (s, s))) for s in span(b.sigma)],
        "anisotropic": [(f"sigma {s:.1f}, 0.5", blur("aniso", (s, 0.5), 0.8)) for s in span(b.sigma)],
        "generalised": [(f"beta {x:.1f}", blur("generalized_iso", (2, 2), 0, x)) for x in span(b.beta_gaussian)],
        "plateau": [(f"beta {x:.1f}", blur("plateau_iso", (2, 2), 0, x)) for x in span(b.beta_plateau)],
        "sinc": [(f"cutoff {c / math.pi:.1f} pi", Blur("sinc", 21, cutoff=(c,) * FRAMES)) for c in span(b.cutoff_large)[::-1]],
    }  # fmt: skip
    for filter in first.resize.filters:
        rows[filter] = [
            (f"x {s}", Resize(filter, ((round(192 * s), round(192 * s)),) * FRAMES)) for s in (0.7, 0.4, 0.15)
        ]
    for grey in (False, True):
        colour = "grey" if grey else "colour"
        rows[f"Gaussian noise, {colour}"] = [
            (f"{s:.0f} of 255", Noise("gaussian", tuple(s / 255 + x for x in still), grey, 0)) for s in span(first.noise.sigma)
        ]  # fmt: skip
        rows[f"Poisson noise, {colour}"] = [
            (f"scale {s:.2f}", Noise("poisson", tuple(s + x for x in still), grey, 0)) for s in span(first.noise.poisson_scale)
        ]  # fmt: skip
    rows["JPEG"] = [(f"quality {q:.0f}", Jpeg((round(q),) * FRAMES)) for q in span(first.jpeg.quality)[::-1]]
    for codec in first.video.codecs:
        rows[codec] = [(f"{rate:.2f} bit a pixel", Video(codec, rate)) for rate in rates]
    return rows


def operations_sheet() -> Image.Image:
    """Every operation: the frame before it, then weak, middle, strong; two operations a row."""
    from realis.degradation.second_order import apply
    from realis.ops.pixels import to_bytes

    clip = moving_photograph((192, 192), FRAMES)
    images = []
    for name, row in steps().items():
        images.append((f"before {name}", clip[-1]))
        images += [(label, to_bytes(list(apply(operation, iter(clip)))[-1])) for label, operation in row]
    return grid_sheet(images, 8, SIDE)


def chain_sheet(clip: list[np.ndarray], config: DegradationConfig, seed: int) -> Image.Image:
    """Draw the middle frame, whole and its centre, before the chain and after every operation of it."""
    from realis.degradation.second_order import apply
    from realis.ops.pixels import to_bytes

    height, width = (n // 4 * 4 for n in clip[0].shape[:2])
    clip = [image[:height, :width] for image in clip]
    parameters = config.sample(np.random.default_rng(seed), len(clip), (height, width))
    images = views("before", clip)
    for operation in parameters.operations:
        clip = list(apply(operation, iter(clip)))
        images += views(describe(operation, len(clip) // 2), [to_bytes(image) for image in clip])
    return grid_sheet(images, 8, SIDE)


def views(label: str, clip: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Return the middle frame, and the middle quarter of its width and height."""
    image = clip[len(clip) // 2]
    h, w = image.shape[:2]
    return [
        (label, image),
        (f"{w}x{h}, centre", image[3 * h // 8 : -(3 * h // 8) or h, 3 * w // 8 : -(3 * w // 8) or w]),
    ]


def describe(operation: Operation, i: int) -> str:
    """Describe an operation on frame ``i`` in a few words."""
    match operation:
        case Blur(kernel="sinc"):
            return f"sinc {operation.size}, cutoff {operation.cutoff[i] / math.pi:.2f} pi"
        case Blur():
            x, y = operation.sigma[i]
            return f"{operation.kernel} {operation.size}, sigma {x:.1f}, {y:.1f}"
        case Resize():
            height, width = operation.sizes[i]
            return f"{operation.filter} to {width}x{height}"
        case Noise():
            strength = operation.strength[i] * (255 if operation.kind == "gaussian" else 1)
            return f"{operation.kind} noise {strength:.1f}{', grey' if operation.grey else ''}"
        case Jpeg():
            return f"JPEG quality {operation.quality[i]}"
        case Video():
            return f"{operation.codec}, {operation.bits_per_pixel:.2f} bit a pixel"
