"""HR-Loss: what it costs, and what its terms weigh.

    python benchmarks/hr_loss.py [--latents FILE] [--size 16 13 60 104] [--runs 7] [--threads 1]

1. Milliseconds of forward + backward on a latent of --size, beside plain MSE (forward + backward) and beside loops over
   its planes with skimage.feature.hog and pywt.dwt2 (forward alone: they have no backward), in one run, in turn.
2. With --latents (safetensors, "latents" (B, C, f, h, w), normalised Wan latents): the norm of each term's gradient
   with respect to the velocity, over that of the plain rectified-flow term, at weight 1. The predicted velocity is off
   by an error that has 10 % of the energy of the true one: either the fine detail of x0 (what a blurring model misses:
   x0 minus its Gaussian blur), or white noise.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pywt
import torch
from command_line import count, parser_of
from safetensors.torch import load_file
from skimage.feature import hog as skimage_hog
from timing import medians_in_turn

from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss
from realis.ops.filters import gaussian_blur

SIGMAS = (0.1, 0.3, 0.5, 0.7, 0.9)
ERROR = 0.1  # energy of the velocity's error, as a share of the velocity's
WAVELET = HrLossConfig(rec=0, hog=0)
HOG = HrLossConfig(rec=0, wavelet=0)


def loops(velocity: np.ndarray, target: np.ndarray) -> float:
    """HR-Loss with its defaults and hard bins, plane by plane."""
    c = HrLossConfig()
    wavelet = hog = 0.0
    planes = list(zip(velocity.reshape(-1, *velocity.shape[-2:]), target.reshape(-1, *target.shape[-2:]), strict=True))
    for v, t in planes:
        bands = [(a, *rest) for a, rest in (pywt.dwt2(x, c.filters, mode="zero") for x in (v, t))]
        wavelet += sum(w * np.square(a - b).sum() for w, a, b in zip(c.band_weights, *bands, strict=True))
        features = [skimage_hog(x, c.bins, (c.cell, c.cell), (c.block, c.block), "L2-Hys") for x in (v, t)]
        hog += np.square(features[0] - features[1]).mean() / len(planes)
    return float(np.square(velocity - target).mean() + wavelet / velocity.size + hog)


def cost(size: tuple[int, ...], runs: int) -> None:
    """Part 1."""
    torch.manual_seed(0)
    velocity, target, noisy = torch.randn(1, *size, requires_grad=True), torch.randn(1, *size), torch.randn(1, *size)
    sigma = torch.tensor([0.5])

    def backward_of(loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def step() -> None:
            velocity.grad = None
            loss().backward()

        return step

    def hr_loss(config: HrLossConfig) -> Callable[[], None]:
        loss = HrLoss(config)
        return backward_of(lambda: loss(velocity, target, noisy, sigma)["loss"])

    took = medians_in_turn(
        {
            "MSE": backward_of(lambda: (velocity - target).square().mean()),
            "HR-Loss": hr_loss(HrLossConfig()),
            "HR-Loss, hard bins": hr_loss(HrLossConfig(binning="hard")),
            "HR-Loss without HOG": hr_loss(HrLossConfig(hog=0)),
            "skimage + pywt loops, forward alone": lambda: loops(velocity.detach().numpy(), target.numpy()),
        },
        runs,
    )
    print(f"latent {'x'.join(map(str, size))}, {torch.get_num_threads()} thread(s), median of {runs}")
    for name, seconds in took.items():
        print(f"{name:36s} {1e3 * seconds:9.1f} ms, {seconds / took['MSE']:7.1f} x MSE")
    print(
        f"the loops take {took['skimage + pywt loops, forward alone'] / took['HR-Loss']:.1f} times as long as HR-Loss"
    )


def gradient_norms(x0: torch.Tensor, error: torch.Tensor, sigma: float, configs: list[HrLossConfig]) -> list[float]:
    """Norm of the gradient of each configuration's loss over that of the plain term."""
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    target, noisy = noise - x0, (1 - sigma) * x0 + sigma * noise
    error = error * (ERROR * target.square().sum() / error.square().sum()).sqrt()
    norms = []
    for config in [HrLossConfig(wavelet=0, hog=0), *configs]:
        velocity = (target + error).requires_grad_()
        loss = HrLoss(config)(velocity, target, noisy, torch.tensor([sigma]))["loss"]
        (gradient,) = torch.autograd.grad(loss, velocity)
        norms.append(gradient.norm().item())
    return [norm / norms[0] for norm in norms[1:]]


def weights(x0: torch.Tensor) -> None:
    """Part 2."""
    flat = x0.reshape(-1, *x0.shape[-2:]).permute(1, 2, 0).contiguous().numpy()
    blurred = np.stack([gaussian_blur(plane, 1.0) for plane in np.split(flat, flat.shape[2], axis=2)])
    errors = {
        "fine detail": x0 - torch.from_numpy(blurred[..., 0]).reshape(x0.shape),
        "white noise": torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)),
    }
    rows = {"wavelet, (1, 2, 2, 2)": WAVELET, "wavelet, clean estimate": replace(WAVELET, domain="clean")}
    for domain in ("velocity", "clean"):
        for cell in (2, 4, 8):
            for binning in ("hard", "soft"):
                name = f"HOG, cell {cell}, {binning}" + (", clean estimate" if domain == "clean" else "")
                rows[name] = replace(HOG, domain=domain, cell=cell, binning=binning)
    for name, error in errors.items():
        table = [gradient_norms(x0, error, sigma, list(rows.values())) for sigma in SIGMAS]
        print(f"\ngradient norm over that of the plain term; the velocity's error is {name}\n")
        print("| term | " + " | ".join(f"sigma {s}" for s in SIGMAS) + " |\n|---" * 1 + "|---" * len(SIGMAS) + "|")
        for row, values in zip(rows, zip(*table, strict=True), strict=True):
            print(f"| {row} | " + " | ".join(f"{value:.3f}" for value in values) + " |")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--latents", type=Path)
    parser.add_argument("--size", type=count, nargs=4, default=(16, 13, 60, 104))
    parser.add_argument("--runs", type=count, default=7)
    parser.add_argument("--threads", type=count, default=1)
    a = parser.parse_args()
    if a.latents and not a.latents.is_file():
        parser.error(f"--latents {a.latents}: nothing there")
    torch.set_num_threads(a.threads)
    cost(tuple(a.size), a.runs)
    if a.latents:
        weights(load_file(a.latents)["latents"].float())


if __name__ == "__main__":
    main()
