"""How the benchmarks measure: seconds, by turns where works are compared; FLOPs over a measured rate; and memory."""

import ctypes
import statistics
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

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

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    # A kernel for CPUs that PyTorch's counter does not know
    known = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
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


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it and still alive; ``peak`` is the most there was."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._storages: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._note((args, kwargs), made=False)  # first, for what is returned may be a view of a weight
        result = function(*args, **(kwargs or {}))
        self._note(result, made=True)
        return result

    def _note(self, tensors: Any, made: bool) -> None:
        for x in tree_leaves(tensors):
            if isinstance(x, torch.Tensor) and (key := (storage := x.untyped_storage())._cdata) not in self._storages:
                self._storages[key] = storage.nbytes() if made else 0
                weakref.finalize(storage, self._forget, key)
                self._now += self._storages[key]
        self.peak = max(self.peak, self._now)

    def _forget(self, key: int) -> None:
        self._now -= self._storages.pop(key)


def peak_tensors(work: Work) -> float:
    """GiB of tensors that ``work`` makes and holds at most at a time. Fake tensors (``FakeTensorMode``) tell it as well.
    What kernels need while they compute, and what an allocator loses, are not in it."""
    with LiveTensors() as live:
        work()
    return live.peak / 2**30


def matmul_rate(device: torch.device, runs: int) -> float:
    """FLOP/s of a large bfloat16 matrix product: the rate of the floor."""
    n = 8192 if device.type == "cuda" else 2048
    x, y = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / median_seconds(lambda: x @ y, runs)
