"""What realis-tiny gains over bicubic, and which part of it the gain comes from.

    python benchmarks/tiny_quality.py --clips DIR [--model DIR] [--frames 17]

Ground truth is every video of 360 lines or more in DIR (centre 640x360, first frames). It is degraded to a quarter of
its size by four pinned degradations and restored; PSNR and SSIM in float32, RGB, mean over frames, no border cut.
Rows: bicubic; realis-tiny; the same decoder fed the latent of the LR video itself (no transformer); the same decoder
fed zeros (no latent at all); the Wan decoder in its place.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import realis  # noqa: F401

import numpy as np  # isort: skip
import torch
from skimage.metrics import structural_similarity

from realis.degradation.parameters import Blur, DegradationParameters, Jpeg, Noise, Resize
from realis.degradation.second_order import degrade
from realis.models.wan import encode_video
from realis.ops.noise import NoiseField
from realis.ops.resize import resize
from realis.tiling.blend import Canvas
from realis.tiling.plan import plan_tiles
from realis.upscaler import Segments
from realis.upscaling.cpc import CpcPipeline, CpcUpscaler, Sampling
from realis.video.read import VideoReader

DEGRADATIONS = {  # blur sigma in pixels of the result at x4, noise and JPEG quality; "clean" is bicubic alone
    "clean": None,
    "mild": (0.8, 4, 85),
    "mid": (1.2, 6, 75),
    "strong": (2.3, 14, 48),
}
Row = Callable[[torch.Tensor], torch.Tensor]


def ground_truth(path: Path, frames: int) -> torch.Tensor | None:
    """Centre 640x360 of the first ``4 n + 1`` frames, (F, 3, H, W) in [0, 1]; None for smaller videos."""
    with VideoReader(path) as video:
        if video.height < 360 or video.width < 640:
            return None
        top, left = (video.height - 360) // 2, (video.width - 640) // 2
        images = [image[top : top + 360, left : left + 640] for image in itertools.islice(video, frames)]
    images = images[: (len(images) - 1) // 4 * 4 + 1]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def degraded(hr: torch.Tensor, setting: tuple[float, int, int] | None) -> torch.Tensor:
    """A quarter of the size, rounded to 8 bits."""
    frames, size = len(hr), tuple(hr.shape[2:])
    small = (size[0] // 4, size[1] // 4)
    operations = [Resize("matlab_bicubic", (small,) * frames)]
    if setting:
        blur, noise, quality = setting
        kernel = Blur("iso", 15, ((blur, blur),) * frames, (0.0,) * frames)
        operations = [
            kernel,
            *operations,
            Noise("gaussian", (noise / 255,) * frames, False, 7),
            Jpeg((quality,) * frames),
        ]
    return degrade(hr, DegradationParameters(frames, size, small, False, tuple(operations)))


def rows(model: str, size: tuple[int, int]) -> dict[str, Row]:
    """The methods, each LR (F, 3, h, w) -> (F, 3, *size)."""
    pipeline = CpcPipeline.from_pretrained(model)
    dim = pipeline.transformer.config.text_dim
    prompt = torch.zeros(1, 1, dim, dtype=torch.bfloat16)
    tiles = plan_tiles(size, pipeline.controlnet.config.window[1:], 32, 16)

    def upscaled(pipeline: CpcPipeline) -> Row:
        method = CpcUpscaler(pipeline, prompt, prompt, Sampling(), Segments(17, 5, period=4))
        return lambda lr: method.upscale(
            lr, size, tiles=tiles, noise=NoiseField(0), carry={}, advance=lambda share: None
        )[0]

    @torch.no_grad()
    def decoded(lr: torch.Tensor, share: float) -> torch.Tensor:
        """The LR-conditioned decoder on ``share`` times the latent of the LR video."""
        canvas, whole = Canvas(len(lr), size, tiles), resize(lr, size).clamp(0, 1) * 2 - 1
        whole = torch.nn.functional.pad(whole, (0, tiles.size[1] - size[1], 0, tiles.size[0] - size[0]), "replicate")
        for tile in tiles:
            window = whole[..., tile.top : tile.bottom, tile.left : tile.right].transpose(0, 1)[None]
            latents = share * encode_video(pipeline.vae, window)
            canvas.add(tile, (pipeline.lr_decoder(latents, window)[0].transpose(0, 1) + 1) / 2)
        return canvas.result().clamp(0, 1)

    wan_decoded = CpcPipeline(pipeline.vae, pipeline.transformer, pipeline.controlnet)
    return {
        "bicubic": lambda lr: resize(lr, size).clamp(0, 1),
        "realis-tiny": upscaled(pipeline),
        "  its decoder, LR latent, no transformer": lambda lr: decoded(lr, 1.0),
        "  its decoder, latent zeroed": lambda lr: decoded(lr, 0.0),
        "  Wan decoder in its place": upscaled(wan_decoded),
    }


def psnr_ssim(restored: torch.Tensor, hr: torch.Tensor) -> tuple[float, float]:
    """Mean over frames of PSNR in dB and SSIM."""
    restored, hr = restored[: len(hr)], hr[: len(restored)]
    psnr = -10 * torch.log10((restored - hr).square().mean(dim=(1, 2, 3)))
    pairs = zip(restored.numpy(), hr.numpy(), strict=True)
    ssim = [structural_similarity(a, b, channel_axis=0, data_range=1.0) for a, b in pairs]
    return psnr.mean().item(), float(np.mean(ssim))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", default="realis-tiny")
    parser.add_argument("--frames", type=int, default=17)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)

    methods = rows(arguments.model, (360, 640))
    scores: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for path in sorted(p for p in arguments.clips.iterdir() if p.suffix in (".mp4", ".mkv", ".mov")):
        hr = ground_truth(path, arguments.frames)
        if hr is None:
            continue
        print(f"\n{path.name}, {len(hr)} frames: PSNR dB / SSIM")
        for name, restore in methods.items():
            line = f"{name:42s}"
            for degradation, setting in DEGRADATIONS.items():
                score = psnr_ssim(restore(degraded(hr, setting)), hr)
                scores.setdefault((name, degradation), []).append(score)
                line += f"  {degradation} {score[0]:6.2f} / {score[1]:.4f}"
            print(line, flush=True)
    print("\nmean over clips, PSNR in dB over bicubic / SSIM over bicubic")
    for name in methods:
        line = f"{name:42s}"
        for degradation in DEGRADATIONS:
            gain = np.mean(scores[name, degradation], axis=0) - np.mean(scores["bicubic", degradation], axis=0)
            line += f"  {degradation} {gain[0]:+.2f} / {gain[1]:+.4f}"
        print(line)


if __name__ == "__main__":
    main()
