"""Clips a second of the training loader on 4K footage: decoding, degradation, resize, and how many workers it takes.

    python benchmarks/loader.py [--clips 6] [--frames 49] [--bucket 832x480] [--size 2160 3840] [--length 150]

A 4K H.264 file is made on the spot: scikit-image's photographs side by side at native scale, panned over, with grain,
and a key frame every --gop frames. Everything runs on one thread, as in a worker.

reader  realis crops the planes of a frame before they become RGB, and passes over frames that nothing refers to on the
        way from the key frame; decord (pip install decord) converts whole frames. Both read the same windows in turn:
        decord by get_batch, which holds all whole frames at once, and by seek_accurate and next, which does not.
loader  the samples of a training run, each taken apart into reading and degradation, and the bytes of one that a worker
        hands to the training process.
workers an accelerator of --tflops at a use of --mfu takes (--step-tflop + --vae-tflop) a sample: forward and backward
        of the Wan2.1 1.3B with four blocks of CPC, and two encodes of its VAE, at 49x480x832.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from command_line import count, parser_of
from timing import seconds

from realis.data import clips as training_clips
from realis.data.batch import Batch
from realis.data.clips import ClipSet
from realis.data.clips_config import ClipsConfig
from realis.data.photographs import TRAINING_PHOTOGRAPHS, photograph
from realis.degradation.second_order import whole_margin
from realis.ops.pixels import planes_to_image, to_uint8
from realis.video.excerpt import read_excerpt, read_facts

PAN, GRAIN = (3, 7), 3.0  # pixels a frame; standard deviation in 8-bit levels


def photographs_side_by_side(height: int, width: int) -> np.ndarray:
    """An image (height, width, 3) uint8 full of detail: rows of photographs at native scale."""
    pictures = [planes_to_image(to_uint8(photograph(n)))[:256] for n in TRAINING_PHOTOGRAPHS]
    rows = []
    for i in range(-(-height // 256)):
        row = np.concatenate([np.resize(p, (256, *p.shape[1:])) for p in pictures[i % 5 :] + pictures[: i % 5]], axis=1)
        rows.append(np.tile(row, (1, -(-width // row.shape[1]), 1))[:, :width])
    return np.concatenate(rows)[:height]


def make_footage(file: Path, frames: int, size: tuple[int, int], gop: int, crf: int) -> None:
    rng = np.random.default_rng(0)
    (height, width), reach = size, (PAN[0] * frames, PAN[1] * frames)
    canvas = photographs_side_by_side(height + reach[0], width + reach[1]).astype(np.int16)
    grain = rng.normal(0, GRAIN, (height + 256, width + 256, 1)).astype(np.int16)
    with av.open(str(file), "w") as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"preset": "veryfast", "crf": str(crf), "g": str(gop)}
        )
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU709, ColorRange.MPEG
        for i in range(frames):
            (top, left), (y, x) = (PAN[0] * i, PAN[1] * i), rng.integers(0, 256, 2)
            image = canvas[top : top + height, left : left + width] + grain[y : y + height, x : x + width]
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
        container.mux(stream.encode(None))


def by_decord(file: Path, start: int, count: int, window: tuple[int, int, int, int], batch: bool) -> np.ndarray:
    import decord

    top, left, height, width = window
    video = decord.VideoReader(str(file), num_threads=1)
    if batch:
        frames = video.get_batch(list(range(start, start + count))).asnumpy()
        return frames[:, top : top + height, left : left + width].copy()
    video.seek_accurate(start)
    return np.stack([video.next().asnumpy()[top : top + height, left : left + width] for _ in range(count)])


def compare_readers(file: Path, count: int, size: tuple[int, int], repeats: int) -> None:
    """Median seconds of the same excerpts by each reader, and how far their pixels are apart."""
    readers = {"realis": lambda *where: read_excerpt(file, *where)}
    try:
        import decord  # noqa: F401

        readers |= {
            f"decord {how}": lambda *where, batch=batch: by_decord(file, *where, batch=batch)
            for how, batch in (("next", False), ("get_batch", True))
        }
    except ImportError:
        print("decord is not installed: only realis is measured")
    print(f"packets of the file read for the first time: {seconds(lambda: read_facts(file)):.2f} s")
    facts, rng = read_facts(file), np.random.default_rng(1)
    taken: dict[str, list[float]] = {name: [] for name in readers}
    apart: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(repeats):
        start = int(rng.integers(facts.frames - count + 1))
        top, left = (int(rng.integers(n - m + 1)) for n, m in zip((facts.height, facts.width), size, strict=True))
        ours = read_excerpt(file, start, count, (top, left, *size)).astype(np.int16)
        for name, read in readers.items():
            began = time.perf_counter()
            images = read(start, count, (top, left, *size))
            taken[name].append(time.perf_counter() - began)
            apart[name].append(float(np.abs(images - ours).mean()))
    print(f"\n{count} frames, window {size[1]}x{size[0]}: seconds, median of {repeats} places (and all of them)")
    for name, times in taken.items():
        ratio = statistics.median(times) / statistics.median(taken["realis"])
        each = " ".join(f"{t:.2f}" for t in times)
        levels = statistics.mean(apart[name])
        print(f"{name:17s} {statistics.median(times):6.2f} {ratio:5.2f}x  ({each})  pixels {levels:.2f} levels apart")


class Stopwatch:
    """Adds up the time that a function takes, wherever it is called from."""

    def __init__(self, function: Callable) -> None:
        self.function, self.total = function, 0.0

    def __call__(self, *values, **named):
        began = time.perf_counter()
        result = self.function(*values, **named)
        self.total += time.perf_counter() - began
        return result


def measure_loader(file: Path, a: argparse.Namespace) -> float:
    """Seconds a clip on one thread, printed with the share of each stage."""
    manifest = file.with_suffix(".jsonl")
    manifest.write_text(json.dumps({"file_name": file.name}))
    config = ClipsConfig(str(manifest), a.frames, (a.bucket,), degradation=a.degradation, workers=0)
    clips = ClipSet(config, 0, 1)
    stages = ("read_excerpt", "degraded_pair")
    watches = {name: Stopwatch(getattr(training_clips, name)) for name in stages}
    for name, watch in watches.items():
        setattr(training_clips, name, watch)
    batches: list[Batch] = []
    samples = clips.batches(range(n, n + 1) for n in range(a.clips))
    times = [seconds(lambda: batches.append(next(samples))) for _ in range(a.clips)]
    whole = sum(times)
    each = " ".join(f"{t:.1f}" for t in times)
    print(
        f"\none thread, {a.frames}x{a.bucket}, {a.degradation}: {a.clips / whole:.3f} clips/s, "
        f"{whole / a.clips:.2f} s a clip ({each})"
    )
    for name, watch in watches.items():
        print(f"{name:14s} {watch.total / a.clips:6.2f} s a clip {100 * watch.total / whole:5.1f} %")
    rest = whole - sum(watch.total for watch in watches.values())
    print(f"{'rest':14s} {rest / a.clips:6.2f} s a clip {100 * rest / whole:5.1f} %")
    print(f"handed on: {sum(x.nbytes for x in batches[0].values()) / 1e6:.1f} MB a clip")
    return whole / a.clips


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=count, default=6, help="samples measured")
    parser.add_argument("--repeats", type=count, default=5, help="excerpts of the comparison of readers")
    parser.add_argument("--frames", type=count, default=49)
    parser.add_argument("--bucket", default="832x480")
    parser.add_argument("--degradation", default="realbasicvsr")
    parser.add_argument("--size", type=count, nargs=2, default=(2160, 3840), help="of the footage")
    parser.add_argument("--length", type=count, default=150, help="of the footage, in frames")
    parser.add_argument("--gop", type=count, default=60)
    parser.add_argument("--crf", type=int, default=18)
    parser.add_argument("--tflops", type=float, default=989.0, help="of the accelerator; an H100 in bf16")
    parser.add_argument("--mfu", type=float, default=0.4)
    parser.add_argument("--step-tflop", type=float, default=520.0)
    parser.add_argument("--vae-tflop", type=float, default=199.0)
    a = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        file, size = Path(folder) / "footage.mp4", tuple(a.size)
        took = seconds(lambda: make_footage(file, a.length, size, a.gop, a.crf))
        rate = file.stat().st_size * 8 / 1e6 / (a.length / 30)
        print(f"footage: {a.length} frames of {size[1]}x{size[0]}, {rate:.0f} Mbit/s, made in {took:.0f} s", flush=True)
        margin = whole_margin(ClipsConfig().scale)
        width, height = (int(n) + 2 * margin.pixels for n in a.bucket.split("x"))
        compare_readers(file, a.frames + 2 * margin.frames, (height, width), a.repeats)
        clip = measure_loader(file, a)
    sample = (a.step_tflop + a.vae_tflop) / (a.tflops * a.mfu)
    print(
        f"\none accelerator takes {sample:.2f} s a sample at {a.tflops:.0f} TFLOP/s and {a.mfu:.0%}: "
        f"{clip / sample:.1f} workers keep it busy"
    )


if __name__ == "__main__":
    main()
