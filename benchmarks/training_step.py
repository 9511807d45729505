"""One training step of the real thing: Wan2.1-T2V-1.3B shapes, a CPC of four blocks, HR-Loss, random weights.

    python benchmarks/training_step.py --device cuda
    python benchmarks/training_step.py --device cpu --layers 2 --frames 5 --height 64 --width 128 --runs 1  # a trial
    python benchmarks/training_step.py --predict    # memory a GPU for the launch files, computed on CPU

Measured: median seconds of a step (forward, backward, AdamW) with and without HR-Loss's two terms, in turn; peak
memory; the share of the FLOP floor (FLOPs of a step as PyTorch counts them, recomputation included, over the rate of a
large matrix product in the same run); seconds to encode one clip with the VAE.

Predicted: weights, gradients and moments by how each launch file shards them, plus activations: what a block saves for
its backward pass grows linearly with its tokens; its bytes a token are taken from blocks of the real width, by
autograd's own hooks, at two small sizes. What the allocator loses, communication buffers and what the VAE needs while
it encodes are not in it.
"""

import argparse
import functools
from collections.abc import Callable
from dataclasses import replace

import realis.models  # noqa: F401 - first, so that torchvision can be imported beside a CPU-only torch

import torch  # isort: skip
from command_line import clip_parser
from diffusers import AutoencoderKLWan
from random_wan import Sizes, random_transformer
from timing import flops, matmul_rate, median_seconds, medians_in_turn

from realis.core.log import setup
from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.wan.geometry import latent_size, tokens
from realis.models.wan.latents import encode_video
from realis.training.export import halve
from realis.training.settings import FlowConfig, OptimizerConfig
from realis.training.steps.cpc import CpcStep

GB = 1e9
MODELS = {"1.3B": Sizes(), "14B": Sizes(heads=40, ffn_dim=13824, layers=40)}


def build(name: str, layers: int, device: torch.device) -> CpcStep:
    """The training step over a transformer of ``layers`` blocks; frozen weights in bfloat16, the CPC in float32."""
    with torch.device(device):
        transformer = random_transformer(replace(MODELS[name], layers=layers))
    halve(transformer)
    controlnet = CpcControlNet.from_transformer(transformer, min(4, layers)).float()
    for model in (transformer, controlnet):
        model.enable_gradient_checkpointing()
    empty = torch.zeros(1, 512, 4096, dtype=torch.bfloat16, device=device)
    return CpcStep(ControlledWan(transformer, controlnet, empty), HrLoss(HrLossConfig()), FlowConfig(), 0, "bf16")


def batch_of(frames: int, height: int, width: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Random latents of one clip."""
    shape = (1, 16, *latent_size(frames, height, width))
    latents = {name: torch.randn(shape, device=device) for name in ("hr_latents", "lr_latents")}
    return latents | {"number": torch.tensor([0])}


# 1. Measured


def measure(a: argparse.Namespace) -> None:
    """Time a step and its parts."""
    device = torch.device(a.device)
    torch.manual_seed(0)
    step = build("1.3B", a.layers, device)
    plain = HrLoss(HrLossConfig(wavelet=0, hog=0))
    losses = {"HR-Loss": step.loss, "rectified flow alone": plain}
    c = OptimizerConfig()
    optimizer = torch.optim.AdamW(
        step.model.controlnet.parameters(), lr=c.lr, betas=c.betas, weight_decay=c.weight_decay
    )
    batch = batch_of(a.frames, a.height, a.width, device)

    def take(loss: HrLoss) -> None:
        step.loss = loss
        step(batch)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(step.model.controlnet.parameters(), c.clip)
        optimizer.step()
        optimizer.zero_grad()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    median = medians_in_turn({name: lambda loss=loss: take(loss) for name, loss in losses.items()}, a.runs)
    total = flops(lambda: take(losses["HR-Loss"]))
    floor = total / matmul_rate(device, a.runs)
    whole, share = median["HR-Loss"], 1 - median["rectified flow alone"] / median["HR-Loss"]
    print(f"one clip of {a.frames}x{a.height}x{a.width}, {a.layers} blocks, CPC of {len(step.model.controlnet.blocks)}")
    print(f"step: {whole:.3f} s, {total / 1e12:.1f} TFLOP, {floor / whole:.0%} of the FLOP floor")
    print(f"wavelet and HOG terms: {share:.1%} of it")
    if device.type == "cuda":
        print(f"peak memory: {torch.cuda.max_memory_allocated() / GB:.1f} GB")
    vae = AutoencoderKLWan().to(device).eval()
    video = torch.rand(1, 3, a.frames, a.height, a.width, device=device) * 2 - 1

    @torch.no_grad()
    def encode() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            encode_video(vae, video)

    print(f"encoding one clip: {median_seconds(encode, a.runs):.3f} s; a step encodes two for each sample")


# 2. Predicted


def saved_bytes(work: Callable[[], torch.Tensor], weights: set[int]) -> int:
    """Bytes that autograd keeps of ``work`` for its backward pass, weights left out."""
    storages: dict[int, int] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        if x.untyped_storage().data_ptr() not in weights:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x), torch.autocast("cpu", torch.bfloat16):
        kept = work()  # alive until all is counted, so that no storage is used twice
    del kept
    return sum(storages.values())


def block_bytes_a_token(name: str) -> float:
    """Bytes that one main block keeps for each token while its backward pass runs."""
    step = build(name, 1, torch.device("cpu"))
    transformer, counts = step.model.transformer, []
    weights = {p.untyped_storage().data_ptr() for p in transformer.parameters()}
    dim = transformer.config.num_attention_heads * 128
    text, modulation = torch.zeros(1, 512, dim, dtype=torch.bfloat16), torch.zeros(1, 6, dim)
    for rows in (4, 8):
        rotary = transformer.rope(torch.zeros(1, 16, 2, rows, 16))
        states = torch.randn(1, 8 * rows, dim, dtype=torch.bfloat16, requires_grad=True)
        forward = functools.partial(transformer.blocks[0], states, text, modulation, rotary)
        counts.append((states.shape[1], saved_bytes(forward, weights)))
    (n, small), (m, large) = counts
    return (large - small) / (m - n)


def predict() -> None:
    """Print the memory table."""
    print("GB a GPU, predicted; eight GPUs where sharded; one clip of 49 frames a GPU (or a pair of GPUs)")
    for name, height, width in (("1.3B", 480, 832), ("1.3B", 720, 1280), ("14B", 480, 832)):
        sizes = MODELS[name]
        with torch.device("meta"):
            transformer = random_transformer(sizes)
            controlnet = CpcControlNet.from_transformer(transformer, 4)
            vae = AutoencoderKLWan()
        frozen = 2 * sum(p.numel() for p in transformer.parameters()) / GB
        trained = 4 * sum(p.numel() for p in controlnet.parameters()) / GB  # float32
        block = 2 * sum(p.numel() for p in transformer.blocks[0].parameters()) / GB
        count, dim = tokens(49, height, width), sizes.heads * 128
        kept = (sizes.layers + 4 + 4) * 2 * dim * count / GB  # inputs of all blocks, and the residuals
        working = block_bytes_a_token(name) * count / GB
        n, activations = 8, kept + working
        pixels = 4 * 4 * 3 * 49 * height * width / GB  # HR and LR of the step's first clip and of the current one
        beside = 4 * sum(p.numel() for p in vae.parameters()) / GB + pixels
        rows = {
            "single_gpu": frozen + 4 * trained + activations,
            "ddp_8gpu": frozen + 5 * trained + activations,  # and the buckets that gradients are summed in
            "zero2_8gpu": frozen + trained + 4 * trained / n + activations,
            "zero3_8gpu": frozen / n + 4 * trained / n + 2 * block + activations,
            # FSDP2 keeps whole gradients between the passes of an accumulated step
            "fsdp_8gpu": frozen / n + 4 * trained / n + trained + 2 * block + activations,
            "fsdp_sp2_8gpu": frozen + trained + 4 * trained / n + trained + activations / 2,  # and whole weights
        }
        print(f"\n{name}, {width}x{height}: frozen {frozen:.1f}, CPC in float32 {trained:.2f}, VAE and pixels "
              f"{beside:.1f}, activations {kept:.1f} kept + {working:.1f} in one block")  # fmt: skip
        for launch, needed in rows.items():
            print(f"  {launch:24s} {beside + needed:6.1f}")


def main() -> None:
    parser = clip_parser(__doc__)
    parser.add_argument("--predict", action="store_true")
    a = parser.parse_args()
    setup()
    torch.set_flush_denormal(True)
    predict() if a.predict else measure(a)


if __name__ == "__main__":
    main()
