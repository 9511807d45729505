"""One tile of the real thing: Wan2.1-T2V-1.3B shapes under a CPC of four blocks, random weights.

    python benchmarks/wan_tile.py --device cuda
    python benchmarks/wan_tile.py --device cpu --layers 4 --frames 5 --height 64 --width 96   # a quick trial

Prints seconds a sampling step (median), the share of the FLOP floor that it reaches, peak memory, and VAE encode and
decode seconds. The floor is measured, not looked up: the FLOPs of a step, counted by PyTorch, over the rate of a large
matrix product in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import realis  # noqa: F401

import torch  # isort: skip
from diffusers import AutoencoderKLWan
from torch.utils.flop_counter import FlopCounterMode

from realis.models.control_injection import ControlledWanTransformer3DModel, control_residuals
from realis.models.cpc_controlnet import CpcControlNet
from realis.models.wan import decode_video, encode_video
from realis.training.export import halve


def seconds(work: Callable[[], object], device: torch.device, runs: int = 5) -> float:
    """Median seconds of ``work`` after a first run that is not counted."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def flops(work: Callable[[], object]) -> int:
    """FLOPs of matrix products, convolutions and attention, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--runs", type=int, default=5)
    a = parser.parse_args()
    device, dtype = torch.device(a.device), torch.bfloat16

    torch.manual_seed(0)
    with device:
        transformer = ControlledWanTransformer3DModel(
            num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=a.layers, text_dim=4096
        )
        vae = AutoencoderKLWan().to(dtype).eval()
        controlnet = CpcControlNet.from_transformer(transformer, 4)
    for model in (transformer, controlnet):
        halve(model)
        model.eval()
    f, h, w = (a.frames + 3) // 4, a.height // 8, a.width // 8
    lr, z = (torch.randn(1, 16, f, h, w, device=device, dtype=dtype) for _ in range(2))
    timestep, prompt = torch.tensor([900.0], device=device), torch.randn(1, 512, 4096, device=device, dtype=dtype)
    video = torch.rand(1, 3, a.frames, a.height, a.width, device=device) * 2 - 1

    def control() -> tuple[torch.Tensor, ...]:
        return control_residuals(controlnet, transformer, lr, timestep, prompt, prompt)

    residuals = control()
    parts = {
        "transformer, one step": lambda: transformer(z, timestep, prompt, residuals),
        "CPC (once a tile if static)": control,
        "VAE encode": lambda: encode_video(vae, video),
        "VAE decode": lambda: decode_video(vae, lr),
    }
    n = 8192 if device.type == "cuda" else 2048
    x, y = torch.randn(n, n, device=device, dtype=dtype), torch.randn(n, n, device=device, dtype=dtype)
    rate = 2 * n**3 / seconds(lambda: x @ y, device, a.runs)
    count = sum(p.numel() for model in (transformer, controlnet) for p in model.parameters())
    print(f"{count / 1e9:.3f} B parameters, tile {a.frames}x{a.height}x{a.width}, {f * h * w // 4} tokens, {dtype}")
    print(f"matrix product of {n}: {rate / 1e12:.2f} TFLOP/s, the rate of the floor")
    for name, work in parts.items():
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        took, count = seconds(work, device, a.runs), flops(work)
        memory = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device.type == "cuda" else ""
        print(
            f"{name:30s} {took:9.3f} s, {count / 1e12:8.2f} TFLOP, {100 * count / rate / took:5.1f} % of the floor{memory}"
        )


if __name__ == "__main__":
    main()
