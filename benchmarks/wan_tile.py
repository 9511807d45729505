"""One tile of the real thing: Wan2.1-T2V-1.3B shapes under a CPC of four blocks, random weights.

    python benchmarks/wan_tile.py --device cuda
    python benchmarks/wan_tile.py --device cpu --layers 1 --frames 5 --height 128 --width 128 --runs 3    # a trial
    python benchmarks/wan_tile.py --predict    # FLOPs and memory at the true size, computed on CPU in a minute or two

Prints seconds (medians, all parts taking turns), the share of the FLOP floor that is reached, and the memory taken on
top of the weights, of a sampling step and of the VAE in each dtype of --vae-dtype; and what the VAE gives otherwise in
bfloat16 than in float32. Random weights tell the size of the rounding, not what of it is seen in a picture. The floor is
measured, not looked up: the FLOPs of a part, counted by PyTorch, over the rate of a large bfloat16 matrix product in the
same run.

--predict runs all parts on fake tensors, which have sizes and no values: the memory is that of the tensors that are
alive at a time, without what kernels need while they compute.
"""

import argparse
from collections.abc import Callable

import realis.models  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch

import torch  # isort: skip
from command_line import clip_parser
from diffusers import AutoencoderKLWan
from random_wan import Sizes, random_transformer
from timing import Work, flops, matmul_rate, medians_in_turn, peak_memory, peak_tensors
from torch._subclasses.fake_tensor import FakeTensorMode

from realis.core.log import setup
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.wan.geometry import latent_size
from realis.models.wan.latents import decode_video, encode_video
from realis.training.export import halve
from realis.training.latents import LatentCodec

BARE, CONTROLLED = "transformer alone, one step", "transformer, one step"


def sampling_parts(layers: int, z: torch.Tensor) -> dict[str, Work]:
    """Return what samples the latents ``z`` of a tile: the transformer and its control branch, in bfloat16."""
    with z.device:
        transformer = random_transformer(Sizes(layers=layers))
        controlnet = CpcControlNet(num_layers=min(4, layers), num_main_layers=layers)
    for model in (transformer, controlnet):
        halve(model)
        model.eval()
    z, lr = z.bfloat16(), torch.randn_like(z).bfloat16()
    timestep = torch.tensor([900.0], device=z.device)
    prompt = torch.randn(1, 512, 4096, device=z.device, dtype=z.dtype)
    model = ControlledWan(transformer, controlnet, prompt)
    count = sum(p.numel() for part in (transformer, controlnet) for p in part.parameters())
    print(f"{count / 1e9:.3f} B parameters in transformer and CPC")

    def control() -> tuple[torch.Tensor, ...]:
        return model.control(lr, z, timestep / 1000, prompt)

    residuals = control()
    return {
        BARE: lambda: transformer(z, timestep, prompt),
        CONTROLLED: lambda: transformer(z, timestep, prompt, residuals),
        "CPC (once a tile if static)": control,
    }


def vae_parts(video: torch.Tensor, latents: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    """Return what encodes and decodes a tile, in both dtypes."""
    with video.device:
        vae, half = AutoencoderKLWan().eval(), AutoencoderKLWan().eval()
    half.load_state_dict(vae.state_dict())
    halve(half)
    autocast = LatentCodec(vae, "bf16")
    return {
        "VAE encode, float32": lambda: encode_video(vae, video),
        "VAE encode, bfloat16": lambda: encode_video(half, video),
        "VAE encode, training's bf16": lambda: autocast.latents_of(video),
        "VAE decode, float32": lambda: decode_video(vae, latents),
        "VAE decode, bfloat16": lambda: decode_video(half, latents),
    }


def print_errors(parts: dict[str, Callable[[], torch.Tensor]]) -> None:
    """Print how far the results of a VAE in other precisions are from those in float32."""
    for name, exact in {name: parts[name]() for name in ("VAE encode, float32", "VAE decode, float32")}.items():
        for other in (other for other in parts if other.startswith(name.split(",")[0]) and other != name):
            error = (parts[other]() - exact).std() / exact.std()
            print(f"{other}: differs from float32 by {100 * error:.2f} % of the standard deviation (random weights)")


def tile_parts(a: argparse.Namespace) -> tuple[dict[str, Work], dict[str, Callable[[], torch.Tensor]]]:
    """Return what samples a tile, and what encodes and decodes it."""
    f, h, w = latent_size(a.frames, a.height, a.width)
    print(f"tile {a.frames}x{a.height}x{a.width}, {f * h * w // 4} tokens")
    z = torch.randn(1, 16, f, h, w, device=a.device)
    video = torch.rand(1, 3, a.frames, a.height, a.width, device=a.device) * 2 - 1
    return sampling_parts(a.layers, z), {} if a.no_vae else vae_parts(video, z)


def measure(a: argparse.Namespace) -> None:
    """Time the parts, and take their memory."""
    device = torch.device(a.device)
    torch.manual_seed(0)
    rate = matmul_rate(device, a.runs)
    print(f"matrix product: {rate / 1e12:.2f} TFLOP/s, the rate of the floor")
    sampling, vae = tile_parts(a)
    if vae:
        print_errors(vae)
    parts = sampling | vae
    medians = medians_in_turn(parts, a.runs)
    for name, took in medians.items():
        count = flops(parts[name])
        print(
            f"{name:30s} {took:9.3f} s, {count / 1e12:8.2f} TFLOP, {100 * count / rate / took:5.1f} % of the floor, "
            f"{peak_memory(parts[name], device):.2f} GiB beside weights"
        )
    print(f"a step with the CPC's features at hand: {medians[CONTROLLED] / medians[BARE]:.3f} of a bare one")


def predict(a: argparse.Namespace) -> None:
    """Print FLOPs and memory of the parts, without computing anything."""
    a.device = "cpu"
    with FakeTensorMode():
        sampling, vae = tile_parts(a)
        for name, work in (sampling | vae).items():
            print(
                f"{name:30s} {flops(work) / 1e12:8.2f} TFLOP, {peak_tensors(work):6.2f} GiB of tensors beside weights"
            )


@torch.no_grad()
def main() -> None:
    parser = clip_parser(__doc__)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument(
        "--no-vae", action="store_true", help="leave the VAE out, which takes most of the time on a CPU"
    )
    a = parser.parse_args()
    setup()
    predict(a) if a.predict else measure(a)


if __name__ == "__main__":
    main()
