"""Run a function in several processes that talk through gloo, forked from this one so that nothing is imported again."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from accelerate.state import AcceleratorState, GradientState


def in_processes(function: Callable, *arguments: object, count: int = 2) -> None:
    """``function(*arguments)`` in ``count`` processes; an exception in one fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        mp.start_processes(_process, args=(count, store, function, arguments), nprocs=count, start_method="fork")


def _process(rank: int, count: int, store: Path, function: Callable, arguments: tuple) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(count),
                      ACCELERATE_USE_CPU="true")  # fmt: skip
    AcceleratorState._reset_state(reset_partial_state=True)  # what the parent did is not this process' state
    GradientState._reset_state()
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    try:
        function(*arguments)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
