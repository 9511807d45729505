"""What upscaling methods make of real clips, beside bicubic: PSNR, SSIM, VMAF, and seconds a frame.

    python benchmarks/methods_quality.py --clips DIR [--frames 9] [--cases clean mild mid strong]
        --method "bicubic=--method bicubic" "BasicVSR-REDS4=--method basicvsr --basicvsr.weights FILE" ...

Each ``--method`` names a row and gives flags of ``realis upscale``. Ground truth is every video of 360 lines or more in
DIR (first frames, shrunk to at most 1280x720), degraded to a quarter of its size in pinned ways and upscaled as
``realis upscale`` does, at the strength that is its default. Figures are means over frames, then over clips; PSNR and
SSIM of RGB in float32, VMAF by ffmpeg. Seconds a frame are of the whole of the work on a frame but decoding and encoding,
weights loaded; the size of the largest clip's result stands in the head. Prints tables in Markdown, one a case; sheets
of a crop with all rows go to ``out/methods_quality``.

Needs the ``metrics`` extra.
"""

import shlex
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import quality
import torch
from command_line import count, parser_of

from realis.core.errors import run_command
from realis.methods.flags import parse_upscale
from realis.methods.registry import find_method
from realis.metrics.base import Moment, Tools
from realis.metrics.vmaf import Vmaf
from realis.ops.pixels import planes_to_image, to_uint8
from realis.pictures.sheet import detailed_places, grid_sheet, save_sheet
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.stream import Frame, upscale_stream
from realis.upscaling.strength import blend_with_input

OUTPUT = Path("out/methods_quality")
CROP = 128
CASES = ("clean", "mild", "mid", "strong")


@dataclass(frozen=True)
class Figures:
    """Of one row on one clip in one case."""

    psnr: float
    ssim: float
    vmaf: float
    seconds: float  # a frame


class Row:
    """A method with its weights, opened once."""

    def __init__(self, text: str) -> None:
        self.name, _, words = text.partition("=")
        self.config: UpscaleConfig = parse_upscale(shlex.split(words))
        method = find_method(self.config.method)
        self.needs = method.needs(self.config.options, prompted=False)
        self.upscaler = method.load(self.config.options, Placement("cpu", self.config.dtype), [""])

    def restore(self, lr: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Upscale (F, 3, h, w) to (F, 3, *size), on 8-bit levels as a result is."""
        native = self.needs.native_size((lr.shape[2], lr.shape[3]), size)
        tiles = plan_tiles(native, self.needs.tile, self.needs.tile_overlap, self.needs.multiple)
        segments = upscale_stream(self.upscaler, map(Frame, lr), size, tiles, self.config.seed, lambda share: None)
        strength = self.config.strength_for(self.needs)
        frames = [
            blend_with_input(frame, source.pixels, strength)
            for segment in segments
            for frame, source in zip(segment.frames, segment.source, strict=True)
        ]
        return (torch.stack(frames) * 255).round() / 255


def measure(row: Row, lr: torch.Tensor, hr: torch.Tensor) -> tuple[torch.Tensor, Figures]:
    """Upscale ``lr`` and compare it with ``hr``; returns the result too."""
    began = time.perf_counter()
    restored = row.restore(lr, (hr.shape[2], hr.shape[3]))
    seconds = (time.perf_counter() - began) / len(hr)
    scores = quality.scores(restored, hr)
    with closing(Vmaf()) as meter:
        for frames in zip(restored, hr, strict=True):
            meter.add(Moment(*frames, None, Tools()))
        vmaf = float(meter.values().mean())
    return restored, Figures(scores["PSNR"], scores["SSIM"], vmaf, seconds)


def crops(video: torch.Tensor, top: int, left: int) -> np.ndarray:
    """The same part of the middle frame, (CROP, CROP, 3) uint8."""
    return planes_to_image(to_uint8(video[len(video) // 2]))[top : top + CROP, left : left + CROP]


def print_table(case: str, figures: dict[str, list[Figures]]) -> None:
    """One line a row: means over clips, PSNR also as what it is above bicubic or below on the worst clip."""
    base = [one.psnr for one in next(iter(figures.values()))]
    print(f"\n| {case} | PSNR, dB | over {next(iter(figures))} | worst clip | SSIM | VMAF |\n|{' --- |' * 6}")
    for name, clips in figures.items():
        gains = [one.psnr - other for one, other in zip(clips, base, strict=True)]
        means = [np.mean([getattr(one, metric) for one in clips]) for metric in ("psnr", "ssim", "vmaf")]
        print(
            f"| {name} | {means[0]:.2f} | {np.mean(gains):+.2f} | {min(gains):+.2f} | {means[1]:.4f} | {means[2]:.1f} |"
        )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--method", nargs="+", required=True, help="NAME=FLAGS; gains are over the first")
    parser.add_argument("--frames", type=count, default=9)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--threads", type=count, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    sources = quality.videos(a.clips, a.frames)
    if not sources:
        parser.error(f"--clips {a.clips}: no video of {quality.LEAST_LINES} lines in it")
    rows = [Row(text) for text in a.method]
    found: dict[str, dict[str, list[Figures]]] = {case: {row.name: [] for row in rows} for case in a.cases}
    largest = (0, 0)
    for title, load in sources:
        hr = load()
        largest = max(largest, (hr.shape[2], hr.shape[3]))
        ((top, left),) = detailed_places(planes_to_image(to_uint8(hr[len(hr) // 2])), CROP, 1)
        for case in a.cases:
            lr, pictures = quality.CASES[case](hr), [("truth", crops(hr, top, left))]
            for row in rows:
                restored, figures = measure(row, lr, hr)
                found[case][row.name].append(figures)
                pictures.append((row.name, crops(restored, top, left)))
                print(f"{title}, {case}: {row.name}: {figures}", flush=True)
            OUTPUT.mkdir(parents=True, exist_ok=True)
            save_sheet(grid_sheet(pictures, 4, 2 * CROP), OUTPUT / f"{title}_{case}.png")
    for case, figures in found.items():
        print_table(case, figures)
    print(f"\n| | seconds a frame of {largest[1]}x{largest[0]} |\n| --- | --- |")
    for row in rows:
        every = [one.seconds for case in a.cases for one in found[case][row.name]]
        print(f"| {row.name} | {max(every):.2f} |")


if __name__ == "__main__":
    run_command(main)
