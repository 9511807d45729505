"""What can be watched of a run: a bar with the time left, curves, throughput, pictures."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from realis.core.log import progress
from realis.data.batch import Batch
from realis.training.run import Run
from realis.training.state import Tensors


class Tracker:
    """Progress of a run from step ``start`` on."""

    def __init__(self, run: Run, start: int) -> None:
        self.run, self.steps_before = run, start
        self.began, self.waited = time.perf_counter(), 0.0
        self.sums: Tensors = {}
        self.bar = progress(range(start, run.config.steps), total=run.config.steps, unit="step", initial=start)
        if run.config.tracker != "none":
            name = "realis" if run.config.tracker == "wandb" else "tensorboard"
            run.accelerator.init_trackers(name, init_kwargs={"tensorboard": {"purge_step": start + 1}})

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; the time until each came counts as waiting for data."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def note(self, losses: Tensors) -> None:
        """Take the losses of one more step into the mean that is logged next."""
        self.sums = {name: self.sums.get(name, 0) + value for name, value in losses.items()}

    def log(self, done: int, norm: float, rate: float) -> None:
        """Curves at optimizer step ``done``: since the last time the mean of each term over steps and processes, samples
        a second and the share of time spent waiting for data; gradient norm and learning rate of this step."""
        steps, seconds = done - self.steps_before, time.perf_counter() - self.began
        stacked = self.run.accelerator.reduce(torch.stack(list(self.sums.values())) / steps, "mean")
        terms = dict(zip(self.sums, stacked.tolist(), strict=True))
        samples = steps * self.run.samples_per_step
        rates = {"samples a second": samples / seconds, "share of time waiting for data": self.waited / seconds}
        self.run.accelerator.log(terms | {"gradient norm": norm, "learning rate": rate} | rates, step=done)
        self.bar.set_postfix(loss=f"{terms['loss']:.3g}", refresh=False)
        self.steps_before, self.began, self.waited, self.sums = done, time.perf_counter(), 0.0, {}

    def show(self, done: int, clips: Tensors) -> None:
        """First frames of up to four clips of each kind, side by side: to the tracker, and as a PNG in ``samples/``.

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
    """``sheet`` of equally wide columns under a strip that names them."""
    whole = Image.new("RGB", (sheet.width, sheet.height + height))
    whole.paste(sheet, (0, height))
    for i, name in enumerate(names):
        ImageDraw.Draw(whole).text((i * sheet.width // len(names) + 3, 1), name, fill="white")
    return whole
