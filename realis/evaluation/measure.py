"""Measure restored clips: several at a time, each frame by frame, and only what the ledger does not hold yet."""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realis.core.errors import InputError, RunError
from realis.core.log import logger, progress
from realis.core.records import digest
from realis.core.system import main_memory
from realis.evaluation.footage import Footage
from realis.evaluation.instruments import Instruments, versions
from realis.evaluation.ledger import Ledger
from realis.evaluation.networks import Weights
from realis.evaluation.protocols import Protocol
from realis.evaluation.results import CLIP_ERRORS, Restored
from realis.metrics.base import Metric, Network, Tools, measure_pairs
from realis.metrics.registry import METRICS
from realis.parallel.progress import SharedProgress, count_one, share
from realis.parallel.workers import Workers
from realis.upscaling.app.loading import is_out_of_memory

if TYPE_CHECKING:
    import torch

    from realis.evaluation.alignment.check import AlignmentCheck

# Bytes that measuring takes: at 4K 2.5 GiB, and 1.7 GiB of ffmpeg, by all metrics without networks
MEMORY_PER_PIXEL = 600
MEMORY_SHARE = 0.7  # of main memory
MODULES = ("realis.metrics.full_reference", "realis.evaluation.alignment.check", "realis.models.optical_flow.farneback")
_opened: dict[tuple[str, Path | None, str], Network] = {}
FramePair = tuple["torch.Tensor", "torch.Tensor | None"]


@dataclass(frozen=True)
class Task:
    """A clip to measure.

    Args:
        number: that tells it from other tasks.
        restored: its frames.
        truth: those of the ground truth; ``None``: there is none.
    """

    number: int
    restored: Footage
    truth: Footage | None


@dataclass(frozen=True)
class Measured:
    """What was measured of a clip.

    Args:
        frames: of the restored clip.
        size: their height and width.
        values: of each metric, one a frame, a pair of frames, or a clip; ``None``: it cannot be laid over the truth.
        alignment: the quantities of the alignment check, by name; empty where there is no truth.
        faults: what keeps it from being compared with the truth.
    """

    frames: int
    size: tuple[int, int]
    values: Mapping[str, Sequence[float]] | None
    alignment: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


# 1. One clip, in a worker


def measure(instruments: Instruments, task: Task) -> Measured:
    """Measure one clip in one pass. A restored clip that cannot be laid over the truth has no values.

    Raises:
        InputError: a file cannot be read or is damaged, a network cannot be opened, frames are too small for a metric.
    """
    import torch

    from realis.evaluation.alignment.check import AlignmentCheck
    from realis.evaluation.alignment.faults import size_fault

    size = task.restored.size()
    if task.truth and size != task.truth.size():
        fault = size_fault(next(task.restored.read()), next(task.truth.read()))
        return Measured(task.restored.announced_frames(), size, None, faults=(fault or "has another size",))
    metrics = [METRICS[name] for name in instruments.metrics]
    _check_sizes(metrics, size, instruments.protocol)
    frames = task.restored.announced_frames()
    check, seen, tools = AlignmentCheck(), [0, 0], _tools(instruments)
    pairs, total = _prepared(_pairs(task, check, seen), instruments), frames - 2 * instruments.protocol.drop_ends
    with torch.no_grad():
        values = {name: found.tolist() for name, found in measure_pairs(pairs, metrics, tools, total).items()}
    if seen[0] <= 2 * instruments.protocol.drop_ends:
        raise InputError(f"{seen[0]} frames are too few for the protocol {instruments.protocol.name}, which leaves out "
                         f"{instruments.protocol.drop_ends} at both ends")  # fmt: skip
    if wrong := [name for name, found in values.items() if not np.isfinite(found).all()]:
        raise FloatingPointError(f"{', '.join(wrong)} is not finite")
    if not task.truth:
        return Measured(seen[0], size, values)
    if seen[0] != seen[1]:
        return Measured(seen[0], size, None, faults=(f"has {seen[0]} frames, the truth {seen[1]}",))
    alignment = check.result()
    quantities = {name: value for name, value in asdict(alignment).items() if name != "faults"}
    return Measured(seen[0], size, values, quantities, alignment.faults)


def _pairs(task: Task, check: "AlignmentCheck", seen: list[int]) -> Iterator[FramePair]:
    """Yield the frames of both clips as long as both have some; count the frames of each in ``seen``, and show the pairs to
    the alignment check."""
    for restored, truth in zip_longest(task.restored.read(), task.truth.read() if task.truth else ()):
        seen[0] += restored is not None
        seen[1] += truth is not None
        if restored is not None and truth is not None:
            check.add(restored, truth)
        if restored is not None and (truth is not None or not task.truth):
            yield restored, truth


def _prepared(pairs: Iterable[FramePair], instruments: Instruments) -> Iterator[FramePair]:
    """Leave out the frames at both ends that the protocol does not count, and cut the others as it asks."""
    protocol, held = instruments.protocol, deque[FramePair]()
    for pair in islice(pairs, protocol.drop_ends, None):
        held.append(pair)
        if len(held) > protocol.drop_ends:
            restored, truth = (x if x is None else trimmed(x, protocol).to(instruments.device) for x in held.popleft())
            assert restored is not None
            yield restored, truth
            count_one()


def trimmed(frame: "torch.Tensor", protocol: Protocol) -> "torch.Tensor":
    """Cut a frame (3, H, W) as a protocol asks: its border, then to a multiple around the centre."""
    height, width = _trimmed_size(frame.shape[-2:], protocol)
    top, left = (frame.shape[-2] - height) // 2, (frame.shape[-1] - width) // 2
    return frame[:, top : top + height, left : left + width].contiguous()


def _trimmed_size(size: Sequence[int], protocol: Protocol) -> tuple[int, int]:
    height, width = ((side - 2 * protocol.border) // protocol.multiple * protocol.multiple for side in size)
    return height, width


def _check_sizes(metrics: Sequence[Metric], size: tuple[int, int], protocol: Protocol) -> None:
    least = max([protocol.multiple, *(metric.least_side for metric in metrics)])
    name = next((metric.title for metric in metrics if metric.least_side == least), f"the protocol {protocol.name}")
    if min(_trimmed_size(size, protocol)) < least:
        cut = f" after its border of {protocol.border} is cut off" if protocol.border else ""
        raise InputError(f"{size[1]}x{size[0]}: too small for {name}, which wants {least} pixels a side{cut}")


def _tools(instruments: Instruments) -> Tools:
    names = dict.fromkeys(name for metric in instruments.metrics for name in METRICS[metric].networks)
    opened = {name: _network(instruments.weights, name, instruments.device) for name in names}
    flow = any(METRICS[name].flow for name in instruments.metrics)
    return Tools(_network(instruments.weights, instruments.flow, instruments.device) if flow else None, opened)


def _network(weights: Weights, name: str, device: str) -> Network:
    """Open a network, once in a process."""
    key = name, weights.path(name), device
    if key not in _opened:
        _opened[key] = weights.open(name, device)
    return _opened[key]


# 2. All clips


def measure_results(
    instruments: Instruments, found: Sequence[Restored], ledger: Ledger, workers: int
) -> list[Measured]:
    """Measure results, several at a time; one that cannot be measured has the reason among its faults.

    Args:
        instruments: by what they are measured.
        found: the results.
        ledger: of earlier runs; what is measured is added to it.
        workers: processes; 0: one a core as far as memory goes, or one on a GPU.

    Returns:
        what was measured of each.

    Raises:
        RunError: a process was killed, or memory is too small.
    """
    measured = {n: Measured(0, (0, 0), None, faults=(one.fault,)) for n, one in enumerate(found) if not one.footage}
    tasks = [Task(number, one.footage, one.clip.truth) for number, one in enumerate(found) if one.footage]
    for task, what in measure_all(instruments, tasks, ledger, workers):
        if isinstance(what, RuntimeError) and is_out_of_memory(what):
            raise RunError("--device: out of memory while measuring; give --workers 1, --device cpu or other --metrics; the same "
                           "command goes on with what is left") from what  # fmt: skip
        if isinstance(what, BaseException):
            if not isinstance(what, CLIP_ERRORS):
                raise what
            logger.warning("%s: could not be measured: %s", task.restored.path, what)
            what = Measured(0, (0, 0), None, faults=(f"could not be measured: {what}",))
        measured[task.number] = what
    return [measured[number] for number in range(len(found))]


def measure_all(
    instruments: Instruments, tasks: Sequence[Task], ledger: Ledger, workers: int
) -> Iterator[tuple[Task, Measured | BaseException]]:
    """Measure what the ledger does not hold, and yield every task with what was found, in any order."""
    names = _names_in_ledger(instruments)
    todo, frames, pixels = [], 0, 1
    keys = {task.number: _key(instruments, task) for task in tasks}
    for task in tasks:
        known = _recall(ledger.facts(keys[task.number]), names)
        if known and (known.values is None or known.values.keys() == names.keys()):
            yield task, known
            continue
        todo.append(task)
        with suppress(InputError):  # whoever measures it says so
            frames += max(task.restored.announced_frames() - 2 * instruments.protocol.drop_ends, 0)
            pixels = max(pixels, math.prod(task.restored.size()))
    if not todo:
        return
    if not workers:
        room = int(MEMORY_SHARE * (main_memory() or 2**33) / (MEMORY_PER_PIXEL * pixels))
        workers = max(1, min(room, os.cpu_count() or 1)) if instruments.device == "cpu" else 1
    with progress(total=frames, unit="frame") as bar:
        done = SharedProgress(bar.update)
        with Workers(workers, share, (done.counter,), MODULES) as pool:
            for task, found in pool.tasks(partial(measure, instruments), todo, done.tick):
                if isinstance(found, Measured):
                    ledger.add(keys[task.number], _noted(found, names))
                yield task, found


def _key(instruments: Instruments, task: Task) -> str:
    """Return what the measurement of a clip depends on besides the metric."""
    protocol = instruments.protocol
    prepared = {"border": protocol.border, "multiple": protocol.multiple, "drop_ends": protocol.drop_ends}
    footage = [one and one.facts() for one in (task.restored, task.truth)]
    return digest([footage, prepared, instruments.device, versions()])


def _names_in_ledger(instruments: Instruments) -> dict[str, str]:
    """Return under what name the ledger keeps each metric: with the weights that it depends on."""
    found, digests = {}, instruments.digests()
    for name in instruments.metrics:
        networks = instruments.networks_of(METRICS[name])
        found[name] = " ".join([name, *(f"{network}:{digests.get(network, '')[:16]}" for network in networks)])
    return found


def _noted(found: Measured, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the ledger keeps."""
    facts = {"frames": found.frames, "size": found.size, "alignment": found.alignment, "faults": found.faults}
    if found.values is None:
        return facts
    return facts | {"values": True} | {names[name]: list(values) for name, values in found.values.items()}


def _recall(known: Mapping[str, Any], names: Mapping[str, str]) -> Measured | None:
    """Return what the ledger holds; of the metrics, those that it has."""
    if not known:
        return None
    values = {name: known[noted] for name, noted in names.items() if noted in known} if "values" in known else None
    height, width = known["size"]
    return Measured(known["frames"], (height, width), values, known["alignment"], tuple(known["faults"]))
