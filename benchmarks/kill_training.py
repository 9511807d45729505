"""Kill a training run at random moments, let it go on, and compare what it ends with: the same to the last bit?

    python benchmarks/kill_training.py [--moments 20] [--steps 12] [--seed 0]

A tiny run on clips of footage (rendered on the spot; one reading process beside it) trains undisturbed once. Then, for
each moment, the same run is killed by SIGKILL, resumed from its latest checkpoint, and its export and last checkpoint
are compared with the undisturbed run's. Moments alternate between a random time, and a random file operation of a
saving (before it is carried out), so that no part of saving is left out. Prints one line a moment; exit code 1 if any
differs.
"""

import json
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

import kills
import numpy as np
import torch
from command_line import count, parser_of

from realis.commands.__main__ import run_train_cpc
from realis.data.photographs import training_clip
from realis.ops.pixels import planes_to_image, to_uint8
from realis.training.run_folder import checkpoints
from realis.video.write import SegmentWriter

WATCHED = ("checkpoint-", "/.export", "/export")
COMPARED = ("checkpoint-{steps:06d}/trained.safetensors", "checkpoint-{steps:06d}/optimizer.safetensors",
            "checkpoint-{steps:06d}/average.safetensors", "export/diffusion_pytorch_model.safetensors")  # fmt: skip


def make_footage(folder: Path, count: int = 3) -> Path:
    """A manifest of short clips."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        with SegmentWriter(folder / f"{i}.mp4", (128, 128), Fraction(25)) as writer:
            writer.write(0, (planes_to_image(to_uint8(frame)) for frame in training_clip(rng, 9, 128)))
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


def differences(whole: Path, resumed: Path, steps: int) -> list[str]:
    """Files that are not the same, byte by byte."""
    names = [name.format(steps=steps) for name in COMPARED]
    return [name for name in names if (whole / name).read_bytes() != (resumed / name).read_bytes()]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--moments", type=count, default=20)
    parser.add_argument("--steps", type=count, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        manifest = make_footage(Path(name))
        failed = kills.try_moments(
            lambda output: run_train_cpc(flags(manifest, output, args.steps)), Path(name), WATCHED, args.moments,
            args.seed, partial(differences, steps=args.steps), last_checkpoint,
        )  # fmt: skip
    raise SystemExit(bool(failed))


def last_checkpoint(run: Path) -> str:
    """What there is to go on from."""
    left = checkpoints(run)
    return left[-1].name if left else "no checkpoint"


if __name__ == "__main__":
    main()
