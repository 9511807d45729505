"""From a source of batches to the device: what the processes of a row load, encode and share."""

from collections.abc import Callable, Generator, Iterator
from typing import Protocol, cast

import torch

from realis.data.batch import PIXELS, Batch
from realis.ops.pixels import signed
from realis.training.run import Run


class Source(Protocol):
    """Where batches come from."""

    def batches(self, plan: Iterator[range]) -> Generator[Batch, None, None]:
        """Yield a batch for each range of global sample numbers, in that order; pixels may be uint8."""
        ...


Encode = Callable[[Batch], Batch]  # of a batch of 8-bit pixels on the device, without gradients


def planned(run: Run, start: int) -> Iterator[range]:
    """Yield the sample numbers that this process loads from optimizer step ``start`` on."""
    return (numbers for numbers, sharing in passes(run, start) if run.processes.column < sharing)


def device_batches(run: Run, loaded: Iterator[Batch], start: int, encode: Encode) -> Iterator[Batch]:
    """Yield the encoded batches of this process' row, from optimizer step ``start`` on.

    The processes of a row load and encode a batch each, at the same time, and then share them one after the other:
    everything but the pixels.
    """
    column = run.processes.column
    for _, sharing in passes(run, start):
        pixels, lean = Batch(), {}
        if column < sharing:
            for name, x in encoded(run, next(loaded), encode).items():
                (pixels if name in PIXELS else lean)[name] = x
        for source in range(sharing):
            shared = cast("Batch", run.processes.share(lean if source == column else None, source))
            yield cast("Batch", pixels | shared) if source == column else shared
            del shared
            if source == column:
                del pixels  # nobody else holds them for longer than their pass


def passes(run: Run, start: int) -> Iterator[tuple[range, int]]:
    """Yield, for each time that the row loads from step ``start`` on, what this process loads (nothing if there are
    fewer passes left in the step than processes in its row), and how many processes load and share."""
    columns, count = run.processes.columns, run.config.accumulation
    for step in range(start, run.config.steps):
        for first in range(0, count, columns):
            yield run.sample_numbers(step, first + run.processes.column), min(columns, count - first)


@torch.no_grad()
def encoded(run: Run, batch: Batch, encode: Encode) -> Batch:
    """Put a batch on the device, encode it there, and give its pixels in [-1, 1]; ``number`` stays on the CPU, where
    random draws are made."""
    device = run.accelerator.device
    moved = {name: x if name == "number" else x.to(device) for name, x in batch.items()}
    there = encode(cast("Batch", moved))
    return cast("Batch", {name: signed(x) if x.dtype == torch.uint8 else x for name, x in there.items()})
