"""One tile of the real thing: Wan2.1-T2V-1.3B shapes under a CPC of four blocks, random weights.

    python benchmarks/wan_tile.py --device cuda
    python benchmarks/wan_tile.py --device cpu --layers 2 --frames 5 --height 64 --width 96 --runs 1    # a trial

Prints seconds a sampling step (median), the share of the FLOP floor that it reaches, peak memory, and VAE encode and
decode seconds. The floor is measured, not looked up: the FLOPs of a step, counted by PyTorch, over the rate of a large
matrix product in the same run.
"""

import realis.models  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch

import torch  # isort: skip
from command_line import clip_parser
from diffusers import AutoencoderKLWan
from random_wan import Sizes, random_transformer
from timing import flops, matmul_rate, median_seconds

from realis.core.log import setup
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.wan.geometry import latent_size
from realis.models.wan.latents import decode_video, encode_video
from realis.training.export import halve


@torch.no_grad()
def main() -> None:
    a = clip_parser(__doc__).parse_args()
    setup()
    device, dtype = torch.device(a.device), torch.bfloat16

    torch.manual_seed(0)
    with device:
        transformer = random_transformer(Sizes(layers=a.layers))
        vae = AutoencoderKLWan()
        controlnet = CpcControlNet.from_transformer(transformer, min(4, a.layers))
    for model in (transformer, controlnet, vae):
        halve(model)
        model.eval()
    f, h, w = latent_size(a.frames, a.height, a.width)
    lr, z = (torch.randn(1, 16, f, h, w, device=device, dtype=dtype) for _ in range(2))
    timestep, prompt = torch.tensor([900.0], device=device), torch.randn(1, 512, 4096, device=device, dtype=dtype)
    model = ControlledWan(transformer, controlnet, prompt)
    video = torch.rand(1, 3, a.frames, a.height, a.width, device=device) * 2 - 1

    def control() -> tuple[torch.Tensor, ...]:
        return model.control(lr, z, timestep / 1000, prompt)

    residuals = control()
    parts = {
        "transformer, one step": lambda: transformer(z, timestep, prompt, residuals),
        "CPC (once a tile if static)": control,
        "VAE encode": lambda: encode_video(vae, video),
        "VAE decode": lambda: decode_video(vae, lr),
    }
    rate = matmul_rate(device, a.runs)
    count = sum(p.numel() for model in (transformer, controlnet) for p in model.parameters())
    print(f"{count / 1e9:.3f} B parameters, tile {a.frames}x{a.height}x{a.width}, {f * h * w // 4} tokens, {dtype}")
    print(f"matrix product: {rate / 1e12:.2f} TFLOP/s, the rate of the floor")
    for name, work in parts.items():
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        took, count = median_seconds(work, a.runs), flops(work)
        memory = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device.type == "cuda" else ""
        print(
            f"{name:30s} {took:9.3f} s, {count / 1e12:8.2f} TFLOP, "
            f"{100 * count / rate / took:5.1f} % of the floor{memory}"
        )


if __name__ == "__main__":
    main()
