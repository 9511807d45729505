"""What the benchmarks of the real model share: their flags, times, FLOPs, and the floor that is measured beside them."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


def model_flags(description: str) -> argparse.ArgumentParser:
    """A parser with the size of one clip, by default the real thing."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--runs", type=int, default=5)
    return parser


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of ``work``, once."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def median_seconds(work: Callable[[], object], device: torch.device, runs: int) -> float:
    """Median seconds of ``work`` after a first run that is not counted."""
    return statistics.median([seconds(work, device) for _ in range(runs + 1)][1:])


def flops(work: Callable[[], object]) -> int:
    """FLOPs of matrix products, convolutions and attention, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def matmul_rate(device: torch.device, runs: int) -> float:
    """FLOP/s of a large bfloat16 matrix product: the rate of the floor."""
    n = 8192 if device.type == "cuda" else 2048
    x, y = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / median_seconds(lambda: x @ y, device, runs)
