"""Do the metrics put videos in the order that they must? More and more blur, and the warping errors of what is smooth.

    python benchmarks/metric_orderings.py [--clips DIR] [--frames 8] [--output out/metric_orderings.png]

Every photograph that scikit-image carries is filmed by a camera that moves by 2.5 and 0.5 pixels a frame; with --clips,
the first frames of each video in a folder, shrunk to fit 1280x720, take their place. Measured are

1. the truth and the same blurred by Gaussians of growing sigma. The truth must have the perfect value, and more blur
   must be worse, in every clip: exit code 1 if it is not;
2. the warping errors of the truth, and of its bicubic reduction to a quarter, enlarged by bicubic and by Lanczos;
   flow by Farneback's method. VideoGigaGAN's point is that what is smooth has a lower E_warp than the truth, but a
   higher RWE. It depends on the clip, so that it is counted only.

Prints a table of each, and draws them. Needs the ``metrics`` extra.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from command_line import count, parser_of
from PIL import Image

from realis.core.errors import run_command
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS, CameraMove, film, photograph
from realis.evaluation.test_sets import clips_of_footage
from realis.metrics.base import Tools, measure_pairs
from realis.metrics.registry import METRICS
from realis.models.optical_flow.farneback import farneback
from realis.ops.filters import gaussian_blur
from realis.ops.pixels import image_to_planes, planes_to_image
from realis.ops.resize import KERNELS, resize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (160, 224)  # height and width of a film: the lowest photograph has 172 lines
MOTION = (0.5, 2.5)  # of the camera in y and x, pixels a frame
FACTOR = 4
SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # pixels; 0: the truth itself
# Metric to the value of the truth. VMAF has none that holds for every clip: its model takes a few points off where
# little moves, as in any first frame. The truth need only be above all that is blurred.
PERFECT = {"psnr_rgb": 100.0, "ssim_rgb": 1.0, "gmsd": 0.0, "haarpsi": 1.0, "vmaf": None}
E_WARP, RWE = "e_warp_videogigagan", "rwe"

Blurred = dict[str, list[float]]  # a value for each sigma, by metric
Warped = dict[str, dict[str, float]]  # by video (the truth, or the kernel that enlarged it), then by metric


# 1. Clips


def clips(folder: str | None, frames: int, scratch: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and frames (F, 3, H, W) in [0, 1] of each clip."""
    if folder is None:
        for name in (*SAMPLE_PHOTOGRAPHS, *TRAINING_PHOTOGRAPHS):
            yield Path(name).stem, filmed(name, frames)
    else:
        for clip in clips_of_footage(folder, scratch, frames, FACTOR):
            assert clip.truth
            yield clip.name, torch.stack(list(clip.truth.read()))


def filmed(name: str, frames: int, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """Film the middle of a photograph."""
    image = photograph(name)
    (y, x), (dy, dx) = (side / 2 for side in image.shape[1:]), (step * (frames - 1) / 2 for step in MOTION)
    return film(image, CameraMove((y - dy, x - dx), (y + dy, x + dx)), frames, size)


# 2. Values


def measure(names: Sequence[str], restored: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Return the mean of each metric over a clip."""
    pairs = zip(restored, truth, strict=True)
    values = measure_pairs(pairs, [METRICS[name] for name in names], Tools(farneback))
    return {name: float(of_frames.mean()) for name, of_frames in values.items()}


def measure_blurred(truth: torch.Tensor) -> Blurred:
    """Measure a clip blurred by each sigma."""
    rows = []
    for sigma in SIGMAS:
        blurred = [image_to_planes(gaussian_blur(planes_to_image(frame), sigma)) for frame in truth]
        # rounding leaves a little more than 1 where the clip is white
        rows.append(measure(list(PERFECT), torch.stack(blurred).clamp(0, 1), truth))
    return {name: [row[name] for row in rows] for name in PERFECT}


def measure_warped(truth: torch.Tensor) -> Warped:
    """Measure the warping errors of a clip, and of its small frames enlarged by each kernel."""
    height, width = truth.shape[2:]
    small = resize(truth, (height // FACTOR, width // FACTOR)).clamp(0, 1)
    videos = {"truth": truth} | {kernel: resize(small, (height, width), kernel).clamp(0, 1) for kernel in KERNELS}
    return {name: measure([E_WARP, RWE], video, truth) for name, video in videos.items()}


# 3. Orderings


def truth_is_perfect(name: str, values: Sequence[float]) -> bool:
    """Whether the first of ``values``, the truth's, is the perfect one of the metric, if it has such."""
    perfect = PERFECT[name]
    return perfect is None or math.isclose(values[0], perfect, abs_tol=1e-5)


def more_blur_is_worse(name: str, values: Sequence[float]) -> bool:
    """Whether each of ``values`` is worse than the one before it."""
    higher = METRICS[name].better == "higher"
    return all(after < before if higher else after > before for before, after in pairwise(values))


def point_holds(warped: Warped, kernel: str) -> bool:
    """Whether E_warp is below the truth's, and RWE above it."""
    truth, enlarged = warped["truth"], warped[kernel]
    return enlarged[E_WARP] < truth[E_WARP] and enlarged[RWE] > truth[RWE]


def print_blurred(measured: dict[str, Blurred]) -> bool:
    """Print the means over clips and for how many each ordering holds; return whether all hold for all."""
    total, holds = len(measured), True
    print_row("sigma of the blur", *(f"{sigma:g}" for sigma in SIGMAS), "truth perfect", "more blur worse")
    print_row(*["---"] * (len(SIGMAS) + 3))
    for name, perfect in PERFECT.items():
        rows = [blurred[name] for blurred in measured.values()]
        first, worse = (sum(test(name, row) for row in rows) for test in (truth_is_perfect, more_blur_is_worse))
        holds &= first == worse == total
        means = [f"{sum(values) / total:.{METRICS[name].digits}f}" for values in zip(*rows, strict=True)]
        is_perfect = "no such value" if perfect is None else f"{first} of {total}"
        print_row(METRICS[name].title, *means, is_perfect, f"{worse} of {total}")
    return holds


def print_warped(measured: dict[str, Warped]) -> None:
    """Print the warping errors of each clip, and where VideoGigaGAN's point holds."""
    print()
    print_row("x1e-3", "truth, both", *(head for kernel in KERNELS for head in (f"{kernel}: E_warp", "RWE", "point")))
    print_row(*["---"] * (2 + 3 * len(KERNELS)))
    for clip, warped in measured.items():
        cells = [f"{warped['truth'][RWE]:.3f}"]
        for kernel in KERNELS:
            cells += [f"{warped[kernel][name]:.3f}" for name in (E_WARP, RWE)]
            cells.append("holds" if point_holds(warped, kernel) else "no")
        print_row(clip, *cells)
    for kernel in KERNELS:
        held = sum(point_holds(warped, kernel) for warped in measured.values())
        print(f"{kernel}: E_warp below the truth's and RWE above it in {held} of {len(measured)} clips")


def print_row(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


# 4. Figure


def draw(blurred: dict[str, Blurred], warped: dict[str, Warped], output: Path) -> None:
    """Write a PNG: each metric along the blur above, the warping errors of each clip over the truth's below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def ratio(clip: str) -> float:
        return warped[clip]["bicubic"][E_WARP] / warped[clip]["truth"][E_WARP]

    rows = {clip: warped[clip] for clip in sorted(warped, key=ratio, reverse=True)}  # they are drawn from below
    heights = 3.2, 1.5 + 0.24 * len(warped)  # inches
    figure = Figure(figsize=(12, sum(heights)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    above.suptitle("More blur is worse (sigma 0: the truth itself; thick: mean, thin: each clip)", fontweight="bold")
    for axes, name in zip(above.subplots(1, len(PERFECT)), PERFECT, strict=True):
        draw_blurred(axes, name, [of_clip[name] for of_clip in blurred.values()])
    below.suptitle(
        "Smooth video has a lower E_warp than the truth, but a higher RWE (filled: so in this clip)", fontweight="bold"
    )
    for axes, kernel in zip(below.subplots(1, len(KERNELS), sharex=True, sharey=True), KERNELS, strict=True):
        draw_warped(axes, kernel, rows)
    canvas.draw()
    output.parent.mkdir(parents=True, exist_ok=True)
    # a palette makes a third of the file
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(64).save(output, "PNG", optimize=True)


def draw_blurred(axes: "Axes", name: str, rows: Sequence[Sequence[float]]) -> None:
    """Plot the values of each clip along sigma, and their mean."""
    for row in rows:
        axes.plot(SIGMAS, row, color="C0", linewidth=0.7, alpha=0.4)
    means = [sum(values) / len(rows) for values in zip(*rows, strict=True)]
    axes.plot(SIGMAS, means, color="C0", linewidth=2.5, marker="o")
    metric = METRICS[name]
    unit = f", {metric.unit}" if metric.unit else ""
    axes.set(title=f"{metric.title}{unit}\n{metric.better} is better", xlabel="sigma, pixels", xticks=range(4))
    axes.grid(alpha=0.3)


def draw_warped(axes: "Axes", kernel: str, measured: dict[str, Warped]) -> None:
    """Plot a row of two dots for each clip, filled where the point holds."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    rows = range(len(measured))
    held = [point_holds(warped, kernel) for warped in measured.values()]
    e_warp, rwe = (
        [warped[kernel][name] / warped["truth"][name] for warped in measured.values()] for name in (E_WARP, RWE)
    )
    axes.hlines(rows, e_warp, rwe, color="0.75", zorder=1)
    for name, ratios, color in (("E_warp", e_warp, "C0"), ("RWE", rwe, "C1")):
        axes.scatter(ratios, rows, 50, [color if holds else "white" for holds in held], edgecolors=color)
        axes.text(ratios[-1], rows[-1] + 0.4, name, color=color, ha="center", fontweight="bold")
    axes.axvline(1, color="black", linewidth=1)
    axes.text(1, 1.01, "truth", ha="center", transform=axes.get_xaxis_transform(), fontweight="bold")
    axes.set(xscale="log", xlabel="error / that of the truth", ylim=(-0.6, len(rows) + 0.2))
    axes.set(yticks=rows, yticklabels=[name[:20] for name in measured])
    axes.xaxis.set(
        major_locator=LogLocator(2), minor_locator=NullLocator(), major_formatter=StrMethodFormatter("{x:g}")
    )
    axes.set_title(f"{kernel.capitalize()} x{FACTOR}: {sum(held)} of {len(held)} clips", pad=22)
    axes.margins(x=0.1)  # room for the names of the dots
    axes.grid(alpha=0.3, axis="x")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", metavar="DIR", help="with real footage")
    parser.add_argument("--frames", type=count, default=8, help="of a clip")
    parser.add_argument("--output", type=Path, default=Path("out/metric_orderings.png"))
    a = parser.parse_args()
    if a.frames < 2:
        parser.error(f"--frames: got {a.frames}, wanted 2 or more: warping errors are of pairs")
    blurred: dict[str, Blurred] = {}
    warped: dict[str, Warped] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, truth in clips(a.clips, a.frames, Path(scratch)):
            blurred[name], warped[name] = measure_blurred(truth), measure_warped(truth)
    holds = print_blurred(blurred)
    print_warped(warped)
    draw(blurred, warped, a.output)
    print(f"wrote {a.output}")
    raise SystemExit(not holds)


if __name__ == "__main__":
    run_command(main)
