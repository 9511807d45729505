"""How fast the full-reference metrics are, beside a loop over scikit-image; and that they hold no frames.

    python benchmarks/metrics.py [--sizes 1280x720 3840x2160] [--frames 2] [--runs 3] [--lengths 100 500] [--threads N]

A photograph that moves by a pixel a frame, and a blurred copy of it. The loop computes PSNR and SSIM of RGB on NumPy
arrays, with the window and the border of ``ssim_rgb``. It and every metric, and all of them together, take turns; frames
a second are of the median run, on the CPU, with making the frames left out. Then clips of 320x180 of each of ``--lengths``
go through all metrics, each in a process of its own, whose peak memory must not grow with the length.

Needs the ``metrics`` extra.
"""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch
import torch.nn.functional as F
from command_line import count, parser_of
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from timing import medians_in_turn

from realis.core.system import peak_memory
from realis.data.photographs import photograph
from realis.metrics.base import Tools, measure_pairs
from realis.metrics.registry import FULL_REFERENCE, METRICS
from realis.ops.resize import resize

Pair = tuple[torch.Tensor, torch.Tensor]  # restored, truth: (3, H, W)
LOOP, RGB, ALL = "scikit-image loop", ("psnr_rgb", "ssim_rgb"), [metric.name for metric in FULL_REFERENCE]
SMALL = (180, 320)


def pairs(size: tuple[int, int], frames: int) -> Iterator[Pair]:
    """A photograph that moves, beside what a blur makes of it."""
    picture = resize(photograph("astronaut.png"), size).clamp(0, 1)
    for number in range(frames):
        truth = picture.roll(number, dims=2)
        yield F.avg_pool2d(truth, 3, stride=1, padding=1), truth


def measure(names: Sequence[str], clip: Iterable[Pair]) -> None:
    """Take a clip through metrics."""
    measure_pairs(clip, [METRICS[name] for name in names], Tools())


def loop(clip: Iterable[Pair]) -> None:
    """The same as :data:`RGB`, as one would write it with scikit-image."""
    for pair in clip:
        restored, truth = (frame.permute(1, 2, 0).contiguous().numpy() for frame in pair)
        peak_signal_noise_ratio(truth, restored, data_range=1)
        structural_similarity(
            truth, restored, channel_axis=2, data_range=1, gaussian_weights=True, use_sample_covariance=False
        )


def print_speeds(size: tuple[int, int], frames: int, runs: int) -> None:
    """Of each metric, and of all together, in a table."""
    clip = list(pairs(size, frames))
    sets = {name: [name] for name in ALL} | {"psnr_rgb and ssim_rgb": RGB, "all of them": ALL}
    works = {LOOP: lambda: loop(clip)} | {
        title: lambda names=names: measure(names, clip) for title, names in sets.items()
    }
    seconds = medians_in_turn(works, runs)
    print(f"\n| {size[1]}x{size[0]} | frames/s | beside the loop |\n| --- | --- | --- |")
    for title, taken in seconds.items():
        print(f"| {title} | {frames / taken:.2f} | {seconds[LOOP] / taken:.2f} |", flush=True)


def peak(frames: int) -> float:
    """Peak memory, in MiB, of a process that takes so many frames through all metrics."""
    measure(ALL, pairs(SMALL, frames))
    return (peak_memory() or 0) * 1024


def print_memory(lengths: Sequence[int]) -> None:
    """Of clips of so many frames, in a table."""
    print("\n| frames of 320x180 through all of them | peak, MiB |\n| --- | --- |")
    for frames in lengths:
        threads = (torch.get_num_threads(),)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, threads) as pool:
            print(f"| {frames} | {pool.submit(peak, frames).result():.0f} |", flush=True)


def size_of(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT as (height, width)."""
    width, _, height = text.partition("x")
    return count(height), count(width)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--sizes", type=size_of, nargs="+", default=[(720, 1280), (2160, 3840)])
    parser.add_argument("--frames", type=count, default=2, help="of a clip whose time is taken")
    parser.add_argument("--runs", type=count, default=3)
    parser.add_argument("--lengths", type=count, nargs="+", default=[100, 500], help="of the clips for the memory")
    parser.add_argument("--threads", type=count, help="of torch; left out: its own choice")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    for size in a.sizes:
        print_speeds(size, a.frames, a.runs)
    print_memory(a.lengths)


if __name__ == "__main__":
    main()
