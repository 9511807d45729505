"""Can a CPC learn at all? The debug recipe on one clip, beside the same on 48 clips: curves and pictures.

    python benchmarks/overfit.py [--steps 500] [--output out/overfit.png]

Memorising one clip must bring the loss far down, with every term of it; on 48 clips it falls more slowly. Prints the
mean of the loss over the first and the last tenth of the steps, and draws the curves with the last sample.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from command_line import count, parser_of
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from realis.commands.__main__ import DEBUG_RECIPE, run_train_cpc

LOG_EVERY = 5  # steps
TERMS = {"loss": "loss", "rec": "L_REC", "wavelet": "L_WLF", "hog": "L_HOG"}


def train(folder: Path, clips: int, steps: int) -> dict[str, np.ndarray]:
    """Curves by name, (logged steps, 2): step and value."""
    run_train_cpc([
        str(DEBUG_RECIPE), "--data.count", str(clips), "--run.steps", str(steps), "--run.save-every", str(steps),
        "--run.sample-every", str(steps), "--run.log-every", str(LOG_EVERY), "--run.threads", "1",
        "--run.output", str(folder),
    ])  # fmt: skip
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {name: np.array([(e.step, e.value) for e in events.Scalars(name)]) for name in TERMS}


def smooth(values: np.ndarray, width: int = 9) -> np.ndarray:
    """Running median."""
    padded = np.pad(values, width // 2, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)


def draw(curves: dict[str, dict[str, np.ndarray]], sample: Image.Image, output: Path) -> None:
    """Curves on the left, the sample of one clip on the right."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1.5, 1), layout="constrained")
    one = curves["1 clip"]
    for i, (name, label) in enumerate(TERMS.items()):
        left.semilogy(*one[name].T, color=f"C{i}", alpha=0.2)
        left.semilogy(one[name][:, 0], smooth(one[name][:, 1]), color=f"C{i}", label=f"{label}, 1 clip")
    many = curves["48 clips"]["loss"]
    left.semilogy(many[:, 0], smooth(many[:, 1]), color="C0", linestyle="--", label="loss, 48 clips")
    left.set(xlabel="optimizer step", title="debug recipe on realis-tiny (running median of 9)")
    left.grid(alpha=0.3)
    left.legend(fontsize=8, ncols=2, loc=(0.42, 0.3))
    right.imshow(np.asarray(sample))
    right.set(title="LR | output | HR of the one clip, last step", xticks=[], yticks=[])
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--steps", type=count, default=500)
    parser.add_argument("--output", type=Path, default=Path("out/overfit.png"))
    args = parser.parse_args()
    if args.steps < LOG_EVERY:
        parser.error(f"--steps: got {args.steps}, wanted {LOG_EVERY} or more: the first step that is logged")
    with tempfile.TemporaryDirectory() as name:
        folders = {f"{n} clip{'s' * (n > 1)}": Path(name) / str(n) for n in (1, 48)}
        curves = {label: train(folder, int(folder.name), args.steps) for label, folder in folders.items()}
        (picture,) = (folders["1 clip"] / "samples").glob("*.png")
        sheet = Image.open(picture)
        first = sheet.height - 3 * sheet.width // 3  # of four clips, square, under the headings
        draw(curves, sheet.crop((0, 0, sheet.width, first)), args.output)
    for label, of_run in curves.items():
        values = of_run["loss"][:, 1]
        tenth = max(len(values) // 10, 1)
        print(
            f"{label}: loss {values[:tenth].mean():.3f} over the first tenth, "
            f"{values[-tenth:].mean():.3f} over the last"
        )
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
