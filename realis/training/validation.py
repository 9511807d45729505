"""Validation: what a run makes of samples that it does not train on."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from realis.core.files import whole_file
from realis.core.records import load_json, to_line, whole_lines
from realis.data.batch import Batch
from realis.pictures.curves import plot_curves
from realis.training.feed import Encode, Source, encoded
from realis.training.run import Run


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
    measure: Callable[[nn.Module, Batch], dict[str, torch.Tensor]]


@torch.no_grad()
def validate(run: Run, module: nn.Module, validator: Validator, encode: Encode) -> dict[str, float]:
    """Return the mean of each figure over the held-out samples. All processes call it, and each row measures its share;
    where the samples do not divide, some are computed once more and not counted."""
    rows, row = run.processes.rows, run.processes.row
    numbers = list(range(row, -(-validator.samples // rows) * rows, rows))
    sums: dict[str, torch.Tensor] = {}
    with closing(validator.source.batches(range(n, n + 1) for n in (n % validator.samples for n in numbers))) as loaded:
        for number, batch in zip(numbers, loaded, strict=True):
            figures = validator.measure(module, encoded(run, batch, encode))
            counts = float(number < validator.samples)
            sums = {name: sums.get(name, 0) + counts * value.float() for name, value in figures.items()}
    stacked = torch.stack([value.to(run.accelerator.device) for value in sums.values()])
    total = run.accelerator.reduce(stacked, "sum") / (run.processes.columns * validator.samples)
    return dict(zip(sums, total.tolist(), strict=True))


class ValidationCurve:
    """The figures of a run so far: ``validation.jsonl``, a line a validation, and ``validation.png``.

    Args:
        folder: of the run.
        start: the step that the run goes on from; what was measured after it is measured again.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.file, self.picture = folder / "validation.jsonl", folder / "validation.png"
        rows = map(load_json, whole_lines(self.file.read_bytes())) if start and self.file.is_file() else ()
        self.rows = [row for row in rows if row["step"] <= start]

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Write the figures of one more validation, and draw all of them."""
        self.rows.append({"step": step} | figures)
        with whole_file(self.file) as temporary:
            temporary.write_bytes(b"".join(map(to_line, self.rows)))
        with whole_file(self.picture) as temporary:
            plot_curves({name: [(row["step"], row[name]) for row in self.rows] for name in figures}, "step", temporary)
