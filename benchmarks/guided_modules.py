"""What the modules of StableVSR and DGAF-VSR cost: parameters, seconds a frame, peak memory (DGAF-VSR's supplement, Tables 4
to 6).

    python benchmarks/guided_modules.py [--methods stablevsr dgaf_vsr] [--size 160x90] [--frames 5] [--runs 3]
        [-- --device=cuda --NAME.flag=VALUE]

Frames of a photograph in front of a moving camera, of --size, are made four times as large in one segment; what follows
``--`` is given to the method that has these flags, ``--device``, ``--dtype`` and ``--offload`` to both. A module's seconds
are its own: what is decoded for guidance counts as decoding. Prints medians over runs, after one that warms up, and what a
run takes of memory at most, beside the networks (of a GPU, or on Linux of the process).
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from command_line import count, parser_of
from metric_orderings import print_row
from timing import peak_memory

from realis.core.config import flag_types
from realis.core.errors import run_command
from realis.data.photographs import CameraMove, film, photograph
from realis.methods.flags import parse_upscale
from realis.methods.registry import find_method
from realis.tiling.plan import plan_tiles
from realis.upscaling.app.loading import Loader
from realis.upscaling.stream import segment_noise

MODULES = ("flow", "alignment", "guiding network", "denoising network", "decoder")
COMMON = {"--device", "--dtype", "--offload"}
NETWORKS = {"stablevsr": "tcm", "dgaf_vsr": "guiding"}  # attributes of the upscalers


class Stopwatch:
    """Seconds by name; of what is called inside of another, only its own count.

    Args:
        device: whose work is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds, self._began = device, defaultdict(float), list[float]()
        self._inside = [0.0]

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, whose calls are timed."""

        def call(*args: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = self.now()
            result = function(*args, **named)
            taken = self.now() - began
            self.seconds[name] += taken - self._inside.pop()
            self._inside[-1] += taken
            return result

        return call


def run(upscaler: Any, lr: torch.Tensor, watch: Stopwatch) -> float:
    """Upscale a segment (F, 3, h, w) in [0, 1]; return the seconds that it took in all."""
    size = (4 * lr.shape[-2], 4 * lr.shape[-1])
    tiles = plan_tiles(size, upscaler.needs.tile, upscaler.needs.tile_overlap, upscaler.needs.multiple)
    noise = segment_noise(upscaler.needs, 0, 0, len(lr), tiles)
    began = watch.now()
    upscaler.upscale(lr, size, tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None)
    return watch.now() - began


def measure(method: str, words: list[str], lr: torch.Tensor, runs: int) -> None:
    """Print what the modules of a method cost."""
    config = parse_upscale(["--method", method, *words])
    upscaler: Any = Loader(find_method(method), config, [""]).upscaler
    model, network, watch = upscaler.model, getattr(upscaler, NETWORKS[method]), Stopwatch(upscaler.model.device)
    networks = {"guiding network": network, "denoising network": model.unet, "decoder": model.vae.decoder}
    if isinstance(upscaler.estimate_flow, torch.nn.Module):
        networks["flow"] = upscaler.estimate_flow
    upscaler.estimate_flow = watch.timed("flow", upscaler.estimate_flow)
    upscaler.align = watch.timed("alignment", upscaler.align)
    network.forward = watch.timed("guiding network", network.forward)
    model.unet.forward = watch.timed("denoising network", model.unet.forward)
    model.vae.decode = watch.timed("decoder", model.vae.decode)

    run(upscaler, lr, watch)
    of_runs, totals = [], []
    for _ in range(runs):
        watch.seconds.clear()
        totals.append(run(upscaler, lr, watch))
        of_runs.append(dict(watch.seconds))
    memory, total = peak_memory(lambda: run(upscaler, lr, watch), model.device), median(totals) / len(lr)
    steps = upscaler.needs.settings["steps"]
    size = f"{4 * lr.shape[-1]}x{4 * lr.shape[-2]}"
    print(
        f"{method}: {len(lr)} frames to {size}, {steps} steps, on {model.device}, {config.dtype}; medians of {runs} runs"
    )
    print_row("module", "parameters, M", "s a frame", "share")
    print_row(*["---"] * 4)
    left = total
    for name in MODULES:
        taken = median(of.get(name, 0.0) for of in of_runs) / len(lr)
        left -= taken
        size_of = sum(p.numel() for p in networks[name].parameters()) / 1e6 if name in networks else 0
        print_row(name, f"{size_of:.3f}" if size_of else "", f"{taken:.4f}", f"{taken / total:.1%}")
    print_row("all else", "", f"{left:.4f}", f"{left / total:.1%}")
    print_row(
        "all", f"{sum(p.numel() for n in networks.values() for p in n.parameters()) / 1e6:.3f}", f"{total:.4f}", ""
    )
    print(f"peak memory beside the networks: {memory:.2f} GiB\n")


def main() -> None:
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    parser = parser_of(__doc__)
    parser.add_argument("--methods", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--size", default="160x90", help="of the LR, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=count, default=5)
    parser.add_argument("--runs", type=count, default=3)
    a = parser.parse_args(sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else None)
    width, height = map(count, a.size.split("x"))
    move = CameraMove((200.0, 280.0), (200.0, 280.0 + 2.5 * a.frames), zoom_start=0.5, zoom_stop=0.5)
    lr = film(photograph("coffee.png"), move, a.frames, (height, width))
    for method in a.methods:
        flags = flag_types(find_method(method).Config, f"--{method.replace('_', '-')}.").keys() | COMMON
        measure(method, [word for word in words if word.partition("=")[0] in flags], lr, a.runs)


if __name__ == "__main__":
    run_command(main)
