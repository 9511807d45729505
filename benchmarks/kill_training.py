"""Kill a training run at random moments, let it go on, and compare what it ends with: the same to the last bit?

    python benchmarks/kill_training.py [--moments 20] [--steps 12] [--seed 0]

A tiny run on clips of footage (rendered on the spot; one reading process beside it) trains undisturbed once. Then, for
each moment, the same run is killed by SIGKILL, resumed from its latest checkpoint, and its export and last checkpoint are
compared with the undisturbed run's. Moments alternate between a random time, and a random file operation of a saving
(before it is carried out), so that no part of saving is left out. Prints one line a moment; exit code 1 if any differs.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import realis  # noqa: F401

import numpy as np  # isort: skip
import torch

from realis.commands.__main__ import run_train_cpc
from realis.training.run_folder import checkpoints
from realis.video.photographs import training_clip
from realis.video.write import SegmentWriter

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
COMPARED = ("checkpoint-{steps:06d}/trained.safetensors", "checkpoint-{steps:06d}/optimizer.safetensors",
            "checkpoint-{steps:06d}/average.safetensors", "export/diffusion_pytorch_model.safetensors")  # fmt: skip


def make_footage(folder: Path, count: int = 3) -> Path:
    """A manifest of short clips."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        frames = (training_clip(rng, 9, 128) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        with SegmentWriter(folder / f"{i}.mp4", (128, 128), Fraction(25)) as writer:
            writer.write(0, frames)
        rows.append(json.dumps({"file_name": f"{i}.mp4"}))
    (folder / "train.jsonl").write_text("\n".join(rows))
    return folder / "train.jsonl"


def flags(manifest: Path, output: Path, steps: int) -> list[str]:
    """A run that saves at every second step and keeps an average of its weights."""
    return [
        "--clips.manifest", str(manifest), "--clips.frames", "5", "--clips.buckets", "64x64", "96x64",
        "--clips.workers", "1", "--controlnet.layers", "2", "--optimizer.lr", "1e-3", "--optimizer.ema", "0.9",
        "--optimizer.warmup", "4", "--run.accumulation", "2", "--run.steps", str(steps), "--run.save-every", "2",
        "--run.sample-every", "0", "--run.tracker", "none", "--run.threads", "1", "--run.precision", "no",
        "--run.output", str(output), "--run.resume", "latest",
    ]  # fmt: skip


def in_child(work: Callable[[], None]) -> multiprocessing.Process:
    """Start ``work`` in a forked process, in which everything is imported already."""
    process = multiprocessing.get_context("fork").Process(target=_quietly, args=(work,))
    process.start()
    return process


def _quietly(work: Callable[[], None]) -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    torch.set_num_threads(1)
    work()


def on_operation(then: Callable[[], None]) -> None:
    """In this process, call ``then`` right before every file operation that has to do with a checkpoint or an export."""

    def watch(event: str, arguments: tuple) -> None:
        if event in OPERATIONS and any(part in str(arguments[0]) for part in ("checkpoint-", "/.export", "/export")):
            then()

    sys.addaudithook(watch)


def count_operations(manifest: Path, output: Path, steps: int) -> int:
    """Run to the end; returns how many such operations that took."""
    counter = multiprocessing.get_context("fork").Value("q", 0)

    def count() -> None:
        counter.value += 1

    def watched() -> None:
        on_operation(count)
        run_train_cpc(flags(manifest, output, steps))

    child = in_child(watched)
    child.join()
    assert child.exitcode == 0, f"the undisturbed run ended with {child.exitcode}"
    return counter.value


def killed_at_operation(manifest: Path, output: Path, steps: int, operation: int) -> None:
    """Run until right before the given operation, counted from 0."""
    left = itertools.count(operation, -1)

    def die_when_due() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        on_operation(die_when_due)
        run_train_cpc(flags(manifest, output, steps))

    child = in_child(doomed)
    child.join()
    assert child.exitcode == -signal.SIGKILL, f"ended with {child.exitcode} instead of being killed"


def killed_after(manifest: Path, output: Path, steps: int, seconds: float) -> None:
    """Run for a time, then kill it; it may have ended before."""
    child = in_child(lambda: run_train_cpc(flags(manifest, output, steps)))
    child.join(seconds)
    child.kill()
    child.join()


def finish(manifest: Path, output: Path, steps: int) -> None:
    """Let the run go on to its end."""
    child = in_child(lambda: run_train_cpc(flags(manifest, output, steps)))
    child.join()
    assert child.exitcode == 0, f"the resumed run ended with {child.exitcode}"


def differences(whole: Path, resumed: Path, steps: int) -> list[str]:
    """Files that are not the same, byte by byte."""
    names = [name.format(steps=steps) for name in COMPARED]
    return [name for name in names if (whole / name).read_bytes() != (resumed / name).read_bytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng, failed = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest, whole = make_footage(folder), folder / "whole"
        began = time.perf_counter()
        operations = count_operations(manifest, whole, args.steps)
        seconds = time.perf_counter() - began
        for i in range(args.moments):
            run = folder / f"run{i}"
            if i % 2:
                moment = rng.uniform(0.1, 1) * seconds
                killed_after(manifest, run, args.steps, moment)
                what = f"after {moment / seconds:4.0%} of its time"
            else:
                operation = rng.randrange(operations)
                killed_at_operation(manifest, run, args.steps, operation)
                what = f"before file operation {operation} of {operations}"
            left = [c.name for c in checkpoints(run)]
            finish(manifest, run, args.steps)
            different = differences(whole, run, args.steps)
            failed += bool(different)
            print(f"killed {what:36s} left {left[-1] if left else 'no checkpoint':18s} "
                  f"resumed: {'DIFFERS in ' + ', '.join(different) if different else 'the same bytes'}", flush=True)  # fmt: skip
    print(f"{args.moments - failed} of {args.moments} ended with the same bytes as the undisturbed run")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
