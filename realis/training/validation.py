"""Validation: what a run makes of samples that it does not train on."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from realis.core.errors import InputError
from realis.core.files import whole_file
from realis.core.log import logger
from realis.core.records import load_json, to_line, whole_lines
from realis.core.units import count
from realis.data.batch import Batch
from realis.pictures.curves import plot_curves
from realis.training.feed import Encode, Source, encoded
from realis.training.run import Run
from realis.training.state import Tensors


@dataclass(frozen=True)
class Validator:
    """How a run is measured.

    Args:
        every: optimizer steps, also at the last one.
        samples: that are measured, numbers 0 to ``samples`` - 1 of the source; the same whatever the number of processes.
        source: held-out samples.
        measure: the prepared step and a batch of one sample -> scalars by name.
    """

    every: int
    samples: int
    source: Source
    measure: Callable[[nn.Module, Batch], Tensors]


class Validation:
    """The validations of a run: figures in ``validation.jsonl``, a line each, and ``validation.png``.

    Each row of processes measures its share of the samples, which it reads once and keeps in memory, in 8 bits. Where
    they do not divide, some are computed once more and not counted.

    Args:
        start: the step that the run goes on from; what was measured after it is measured again.

    Raises:
        InputError: a sample cannot be read, or the figures of before cannot.
    """

    def __init__(self, run: Run, validator: Validator, encode: Encode, start: int) -> None:
        self.run, self.validator, self.encode = run, validator, encode
        rows, row, samples = run.processes.rows, run.processes.row, validator.samples
        self.numbers = range(row, -(-samples // rows) * rows, rows)
        with closing(validator.source.batches(range(n % samples, n % samples + 1) for n in self.numbers)) as loaded:
            self.batches = list(loaded)
        self.file, self.picture = (Path(run.config.output) / f"validation.{end}" for end in ("jsonl", "png"))
        self.rows = [row for row in read_rows(self.file) if row["step"] <= start] if start else []

    def is_due(self, step: int) -> bool:
        """Whether the run is to be measured after ``step`` optimizer steps and was not yet, in the eyes of the main process."""
        wanted = step > 0 and (step % self.validator.every == 0 or step == self.run.config.steps)
        missing = wanted and not any(row["step"] == step for row in self.rows)
        accelerator = self.run.accelerator
        told = torch.tensor(float(missing and accelerator.is_main_process), device=accelerator.device)
        return bool(accelerator.reduce(told, "sum"))

    @torch.no_grad()
    def measure(self, module: nn.Module, step: int, is_stopped: Callable[[], bool]) -> dict[str, float]:
        """Measure the run after ``step`` optimizer steps; write and draw the mean of each figure that is finite.

        Args:
            module: the step, prepared.
            is_stopped: asked between samples; all processes get the same answer.

        Returns:
            the means, empty if it was stopped.
        """
        sums: Tensors = {}
        for number, batch in zip(self.numbers, self.batches, strict=True):
            if is_stopped():
                return {}
            figures = self.validator.measure(module, encoded(self.run, batch, self.encode))
            weight = float(number < self.validator.samples)
            sums = {name: sums.get(name, 0) + weight * value.float() for name, value in figures.items()}
        stacked = torch.stack([value.to(self.run.accelerator.device) for value in sums.values()])
        mean = self.run.accelerator.reduce(stacked, "sum") / (self.run.processes.columns * self.validator.samples)
        figures = {name: x for name, x in zip(sums, mean.tolist(), strict=True) if math.isfinite(x)}
        said, of = ", ".join(f"{name}: {x:.4g}" for name, x in figures.items()), count(self.validator.samples, "sample")
        logger.info("validation after step %d, on %s: %s", step, of, said)
        self.rows.append({"step": step} | figures)
        if self.run.accelerator.is_main_process:
            self.write()
        return figures

    def write(self) -> None:
        """Write the figures so far, and draw them."""
        with whole_file(self.file) as temporary:
            temporary.write_bytes(b"".join(map(to_line, self.rows)))
        names = dict.fromkeys(name for row in self.rows for name in row if name != "step")
        with whole_file(self.picture) as temporary:
            plot_curves(
                {name: [(row["step"], row[name]) for row in self.rows if name in row] for name in names},
                "step",
                temporary,
            )


def read_rows(file: Path) -> list[dict[str, float]]:
    """Read the figures of the validations so far; none if there is no such file.

    Raises:
        InputError: a line is none of figures.
    """
    rows = []
    for line in whole_lines(file.read_bytes()) if file.is_file() else ():
        try:
            row = load_json(line)
            rows.append({name: float(value) for name, value in row.items()} | {"step": int(row["step"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{file}: cannot be read ({error!r}); move it away to go on without its curve") from error
    return rows
