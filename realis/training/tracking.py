"""What can be watched of a run: a bar with the time left, curves, throughput, pictures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from realis.core.log import progress
from realis.data.batch import Batch
from realis.training.run import Run
from realis.training.state import Tensors


class Tracker:
    """Progress of a run from step ``start`` on; a context, at whose end curves are closed."""

    def __init__(self, run: Run, start: int) -> None:
        self.run, self.steps_before = run, start
        self.began, self.waited = time.perf_counter(), 0.0
        self.terms: dict[str, tuple[torch.Tensor, int]] = {}  # sum, and of how many turns
        self.last: dict[str, torch.Tensor | float] = {}
        self.bar = progress(range(start, run.config.steps), total=run.config.steps, unit="step", initial=start)
        if run.config.tracker != "none":
            name = "realis" if run.config.tracker == "wandb" else "tensorboard"
            run.accelerator.init_trackers(name, init_kwargs={"tensorboard": {"purge_step": start + 1}})

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self.run.accelerator.trackers:
            tracker.finish()
        self.run.accelerator.trackers.clear()

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the same batches; the time until each came counts as waiting for data."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def note(self, losses: Tensors) -> None:
        """Take the losses of one more turn into the means that are logged next."""
        for name, value in losses.items():
            total, turns = self.terms.get(name, (torch.zeros_like(value), 0))
            self.terms[name] = total + value, turns + 1

    def note_last(self, values: dict[str, torch.Tensor | float]) -> None:
        """Take what is logged as it was at the last turn."""
        self.last |= values

    def log(self, done: int) -> None:
        """Log curves at optimizer step ``done``: since the last time the mean of each term over turns and processes,
        samples a second and the share of time spent waiting for data; gradient norm and learning rate of the last
        turn."""
        steps, seconds = done - self.steps_before, time.perf_counter() - self.began
        samples = steps * self.run.samples_per_step
        rates = {"samples a second": samples / seconds, "share of time waiting for data": self.waited / seconds}
        if self.terms:
            means = torch.stack([total / turns for total, turns in self.terms.values()])
            terms = dict(zip(self.terms, self.run.accelerator.reduce(means, "mean").tolist(), strict=True))
            self.run.accelerator.log(terms | {n: float(x) for n, x in self.last.items()} | rates, step=done)
            self.bar.set_postfix({n: f"{x:.3g}" for n, x in terms.items() if n.endswith("loss")}, refresh=False)
        self.steps_before, self.began, self.waited, self.terms = done, time.perf_counter(), 0.0, {}

    def log_validation(self, done: int, figures: dict[str, float]) -> None:
        """Log the figures of held-out samples after optimizer step ``done``."""
        self.run.accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step=done)

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Leave what is done meanwhile out of the time of training: the rates are those of steps alone."""
        asked = time.perf_counter()
        yield
        self.began += time.perf_counter() - asked

    def show(self, done: int, clips: Tensors) -> None:
        """Show the first frames of up to four clips of each kind, side by side: to the tracker, and as a PNG in
        ``samples/``.

        Args:
            clips: (B, 3, F, H, W) in [-1, 1] by what they are.
        """
        if not self.run.accelerator.is_main_process:
            return
        row = torch.cat([clip[:4, :, 0].float().cpu() for clip in clips.values()], dim=3)
        pixels = ((torch.cat(list(row), dim=1) + 1) / 2).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        sheet = np.asarray(with_headings(Image.fromarray(pixels), [*clips]))
        folder = Path(self.run.config.output) / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet).save(folder / f"step-{done:06d}.png")
        tracker, named = self.run.config.tracker, {" | ".join(clips): sheet[None]}
        if tracker == "tensorboard":
            self.run.accelerator.get_tracker(tracker).log_images(named, step=done, dataformats="NHWC")
        elif tracker == "wandb":
            self.run.accelerator.get_tracker(tracker).log_images(
                {name: list(x) for name, x in named.items()}, step=done
            )


def with_headings(sheet: Image.Image, names: list[str], height: int = 14) -> Image.Image:
    """Return ``sheet`` of equally wide columns under a strip that names them."""
    whole = Image.new("RGB", (sheet.width, sheet.height + height))
    whole.paste(sheet, (0, height))
    for i, name in enumerate(names):
        ImageDraw.Draw(whole).text((i * sheet.width // len(names) + 3, 1), name, fill="white")
    return whole
