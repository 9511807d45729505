"""How the benchmarks measure: seconds, by turns where works are compared; FLOPs over a measured rate; and memory."""

import ctypes
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """Seconds of ``work``, once, until the GPU is done too where one is used."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def medians_in_turn(works: dict[str, Work], runs: int) -> dict[str, float]:
    """Median seconds of each work, by name. They take turns, so that what slows the machine down slows them all alike;
    a first round is not counted."""
    rounds = [{name: seconds(work) for name, work in works.items()} for _ in range(runs + 1)]
    return {name: statistics.median(times[name] for times in rounds[1:]) for name in works}


def median_seconds(work: Work, runs: int) -> float:
    """Median seconds of ``work`` after a first run that is not counted."""
    return medians_in_turn({"work": work}, runs)["work"]


def flops(work: Work) -> int:
    """FLOPs of matrix products, convolutions and attention, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def peak_memory(work: Work, device: torch.device) -> float:
    """GiB that ``work`` takes at most beside what is in use before it; on a CPU that of the process, on Linux only."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**30
    ctypes.CDLL(None).malloc_trim(0)  # what earlier works freed would be taken again without a trace
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is resident now
    before = _peak_resident()
    work()
    return (_peak_resident() - before) / 2**30


def _peak_resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def matmul_rate(device: torch.device, runs: int) -> float:
    """FLOP/s of a large bfloat16 matrix product: the rate of the floor."""
    n = 8192 if device.type == "cuda" else 2048
    x, y = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / median_seconds(lambda: x @ y, runs)
