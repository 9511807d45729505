"""How much faster two workers are than one at the builder's stages on CPUs: scenes, scores, hashes.

    python benchmarks/builder.py [--videos 12] [--size 720 1280] [--frames 100] [--runs 3] [--executor local|ray]

The same rendered footage goes through the three stages with one worker and with two, by turns. Prints the seconds of
each run and the median of their ratios. The start of processes counts; that of a Ray cluster, of as many CPUs, does
not.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from command_line import count, parser_of

from realis.builder.clip import Clip
from realis.builder.duplicates import hashes
from realis.builder.on_ray import Cluster, RayConfig
from realis.builder.quality import scores
from realis.builder.run_stage import in_workers
from realis.builder.scenes import ScenesConfig, scenes
from realis.parallel.workers import Workers
from realis.video.encoding import Encoding
from realis.video.write import SegmentWriter

PICTURES = ("astronaut.png", "chelsea.png", "brick.png", "gravel.png", "grass.png", "coins.png")
STAGES: tuple[tuple[Callable[..., Iterable], Any], ...] = (
    (scenes, ScenesConfig()), (scores, 5), (hashes, 0.5),
)  # fmt: skip


def render(file: Path, picture: str, frames: int, size: tuple[int, int]) -> Clip:
    """A pan over an enlarged photograph."""
    from realis.data.photographs import CameraMove, film, photograph  # with torch, which workers do without
    from realis.ops.pixels import planes_to_image, to_uint8

    image = photograph(picture)
    middle = (image.shape[1] / 2, image.shape[2] / 2)
    zoom = 0.6 * min(image.shape[1] / size[0], image.shape[2] / size[1])
    move = CameraMove((middle[0] - 20, middle[1] - 20), (middle[0] + 20, middle[1] + 20), zoom, zoom)
    images: list[np.ndarray] = [planes_to_image(to_uint8(frame)) for frame in film(image, move, frames, size)]
    with SegmentWriter(file, size, Fraction(24), Encoding(crf=12)) as sink:
        sink.write(0, images)
    return Clip(file.stem, str(file), height=size[0], width=size[1], rate=Fraction(24), frames=frames)


def seconds(clips: list[Clip], build: Path, share: Callable[..., Any]) -> float:
    """For all three stages."""
    shutil.rmtree(build / "work", ignore_errors=True)
    (build / "work").mkdir(parents=True)
    began = time.perf_counter()
    for stage, settings in STAGES:
        outcomes = [one for _, several in in_workers(stage, build, settings, share, clips) for one in several]
        clips = [one for one in outcomes if isinstance(one, Clip)]
    assert clips, "nothing was left to do for the last stage"
    return time.perf_counter() - began


def measure(clips: list[Clip], build: Path, executor: str, workers: int) -> float:
    """Seconds with so many workers."""
    if executor == "local":
        with Workers(workers) as processes:
            return seconds(clips, build, processes.tasks)
    with Cluster(RayConfig(), build, workers) as cluster:
        (build / "work").mkdir(parents=True, exist_ok=True)
        list(cluster.tasks(abs, range(4 * workers)))  # its processes are there
        return seconds(clips, build, cluster.tasks)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--videos", type=count, default=12)
    parser.add_argument("--size", type=count, nargs=2, default=(720, 1280))
    parser.add_argument("--frames", type=count, default=100)
    parser.add_argument("--runs", type=count, default=3)
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    args = parser.parse_args()
    if args.frames < ScenesConfig().least:
        parser.error(f"--frames: got {args.frames}, wanted {ScenesConfig().least} or more, as a clip has")
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [
            render(folder / f"video{i}.mp4", PICTURES[i % len(PICTURES)], args.frames, tuple(args.size))
            for i in range(args.videos)
        ]
        for _ in range(args.runs):
            one, two = (measure(clips, folder / "build", args.executor, workers) for workers in (1, 2))
            ratios.append(one / two)
            print(f"{args.executor}: 1 worker {one:6.1f} s, 2 workers {two:6.1f} s: {ratios[-1]:.2f} times", flush=True)
    print(f"median of {args.runs}: {statistics.median(ratios):.2f} times")


if __name__ == "__main__":
    main()
