"""What a small model gains over bicubic and over a classical filter, which part of it the gain comes from, and whether
the result flickers.

    python benchmarks/tiny_quality.py [--clips DIR] [--model DIR] [--frames 25] [--seeds 3] [--rows NAME ...]
        [--jobs 2]

Ground truth is every video of 360 lines or more in DIR (first frames, shrunk to at most 1280x720); without ``--clips``
two photographs that nothing was trained on, filmed by a moving camera. It is degraded to a quarter of its size in
eight pinned ways and restored in segments and tiles, as ``realis upscale`` does. PSNR, SSIM, GMSD (lower is better) and
HaarPSI in float32, RGB, means over frames. Rows that sample are run with several seeds of the noise; the figure after
+- is half the distance between the means of the best and the worst. Sheets of one crop with all rows go to
``out/tiny_quality``.

Needs the ``metrics`` extra.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import realis  # noqa: F401

import numpy as np  # isort: skip
import quality
import torch
from skimage.filters import unsharp_mask
from skimage.restoration import denoise_tv_chambolle

from realis.core.errors import run_command
from realis.models.hub import check_parts, model_folder
from realis.models.wan.loading import encode_video
from realis.ops.resize import resize, resize_window
from realis.pictures.sheet import detailed_places, grid_sheet, save_sheet
from realis.tiling.blend import Canvas
from realis.tiling.plan import plan_tiles
from realis.upscaler import Carry, Needs, NoiseGrid, Segments, Tiling, Upscaler
from realis.upscaling.bicubic import BicubicUpscaler
from realis.upscaling.cpc import CpcPipeline, CpcUpscaler, Sampling
from realis.upscaling.cpc_prompts import Prompts
from realis.upscaling.stream import upscale_stream

TV_WEIGHT, UNSHARP_RADIUS, UNSHARP_AMOUNT = 0.015, 3.0, 1.0  # the best of a grid on the held-out photographs
OUTPUT = Path("out/tiny_quality")
SHEET_CASE, CROP = "mid", 128
ROWS = (
    "bicubic", "TV denoise, bicubic, unsharp", "LR decoder, latent zeroed", "LR decoder, latent of the LR, no DiT",
    "LR decoder, DiT with control off", "1 step", "4 steps", "1 step, Wan decoder",
)  # fmt: skip
Figures = dict[tuple[str, str], list[dict[str, float]]]  # (row, case) -> for each seed, metric -> value


class ClassicalUpscaler(BicubicUpscaler):
    """Total variation denoising, bicubic resizing, unsharp mask; all scikit-image's, with fixed parameters."""

    def upscale(self, frames: torch.Tensor, size: tuple[int, int], **others: object) -> tuple[torch.Tensor, Carry]:
        """(F, 3, H, W) -> (F, 3, *size), clamped to [0, 1]."""
        denoised = [denoise_tv_chambolle(frame, weight=TV_WEIGHT, channel_axis=0) for frame in frames.numpy()]
        resized = resize(torch.from_numpy(np.stack(denoised)).float(), size)
        sharp = [unsharp_mask(frame, UNSHARP_RADIUS, UNSHARP_AMOUNT, channel_axis=0) for frame in resized.numpy()]
        return torch.from_numpy(np.stack(sharp)).clamp(0, 1), {}


class WithoutTransformer:
    """The LR-conditioned decoder alone, on ``share`` times the latents of the LR video."""

    def __init__(self, pipeline: CpcPipeline, share: float, needs: Needs) -> None:
        self.pipeline, self.share, self.needs = pipeline, share, needs

    @torch.no_grad()
    def upscale(
        self,
        frames: torch.Tensor,
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: torch.Tensor | None,
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> tuple[torch.Tensor, Carry]:
        """Restore a segment of ``4 n + 1`` frames tile by tile."""
        canvas = Canvas((len(frames), 3, *size), tiles)
        for tile in tiles:
            window = resize_window(frames, size, (tile.top, tile.bottom), (tile.left, tile.right))
            lr = window.clamp_(0, 1).mul_(2).sub_(1).transpose(0, 1)[None]
            latents = self.share * encode_video(self.pipeline.vae, lr)
            canvas.add(tile, (self.pipeline.lr_decoder(latents, lr)[0].transpose(0, 1) + 1) / 2)
        return canvas.result().clamp_(0, 1), {}


def rows(pipeline: CpcPipeline) -> dict[str, tuple[Upscaler, bool]]:
    """The methods, and whether what they give depends on the seed."""
    prompt = torch.zeros(1, 1, pipeline.transformer.config.text_dim, dtype=pipeline.dtype)
    needs = Needs(
        Segments(pipeline.controlnet.config.window[0], 5, period=4), noise=NoiseGrid(pipeline.vae.config.z_dim, 4, 8)
    )

    def sampled(pipeline: CpcPipeline, **settings: float) -> Upscaler:
        return CpcUpscaler(pipeline, Prompts({"": prompt}, prompt), Sampling(**settings), needs)  # pyright: ignore

    wan_decoded = CpcPipeline(pipeline.vae, pipeline.transformer, pipeline.controlnet)
    methods = [
        (BicubicUpscaler(), False),
        (ClassicalUpscaler(), False),
        (WithoutTransformer(pipeline, 0.0, needs), False),
        (WithoutTransformer(pipeline, 1.0, needs), False),
        (sampled(pipeline, cpc_scale=0.0), True),
        (sampled(pipeline), True),
        (sampled(pipeline, steps=4), True),
        (sampled(wan_decoded), True),
    ]
    return dict(zip(ROWS, methods, strict=True))


def restore(upscaler: Upscaler, lr: torch.Tensor, hr: torch.Tensor, tile: tuple[int, int], seed: int) -> torch.Tensor:
    """``lr`` upscaled to the size of ``hr``, on 8-bit levels."""
    size = (hr.shape[2], hr.shape[3])
    tiles = plan_tiles(size, tile, 32, 16)
    segments = upscale_stream(upscaler, lr, size, tiles, seed, advance=lambda share: None)
    return (torch.cat([segment.frames for segment in segments]) * 255).round() / 255


def print_table(title: str, clips: list[Figures], groups: dict[str, list[str]]) -> None:
    """One line a row; for each group of cases the mean figures, PSNR as the gain over bicubic and, where a row depends on
    the seed, half the range of that over the seeds."""

    def means(row: str, cases: list[str], metric: str) -> np.ndarray:
        """For each seed the mean over clips and cases."""
        every = [[one[metric] for one in figures[row, case]] for case in cases for figures in clips]
        return np.mean(every, axis=0)

    print(f"\n{title}: PSNR over bicubic in dB, SSIM, GMSD, HaarPSI")
    print(" " * 38 + "".join(f"{group:>34s}" for group in groups))
    for row in dict.fromkeys(row for row, _ in clips[0]):
        line = f"{row:38s}"
        for cases in groups.values():
            gains = means(row, cases, "PSNR") - means("bicubic", cases, "PSNR")
            line += f"  {gains.mean():+6.2f}" + (f" +-{np.ptp(gains) / 2:.2f}" if len(gains) > 1 else " " * 7)
            ssim, gmsd, haarpsi = (means(row, cases, metric).mean() for metric in quality.METRICS[1:])
            line += f" {ssim:.4f} {gmsd:.4f} {haarpsi:.3f}"
        print(line, flush=True)


@dataclass(frozen=True)
class Measured:
    """What was measured of one clip."""

    title: str
    figures: Figures
    flicker: dict[
        tuple[str, str], tuple[float, ...]
    ]  # (row, case) -> warping error, pulse at 4 frames, of other periods


def measure(source: quality.Source, model: str, wanted: Sequence[str], seeds: int) -> Measured:
    """Degrade one clip in every way, restore it by every row, and save the sheet."""
    torch.set_flush_denormal(True)
    (name, load), pipeline = source, CpcPipeline.from_pretrained(model)
    chosen = {n: row for n, row in rows(pipeline).items() if n in ("bicubic", *wanted)}
    tile, hr = tuple(pipeline.controlnet.config.window[1:]), load()
    motion, pictures = quality.motion(hr), [("truth", hr)]
    figures, flicker = {}, {}
    for case, degrade in quality.CASES.items():
        lr, bicubic_psnr = degrade(hr), torch.zeros(())
        for row, (upscaler, samples) in chosen.items():
            results = [restore(upscaler, lr, hr, tile, seed) for seed in range(seeds if samples else 1)]
            figures[row, case] = [quality.scores(result, hr) for result in results]
            psnr = quality.frame_psnr(results[0], hr)
            bicubic_psnr = psnr if row == "bicubic" else bicubic_psnr
            flicker[row, case] = (quality.warping_error(results[0], motion), *quality.pulse(psnr - bicubic_psnr))
            if case == SHEET_CASE:
                pictures.append((row, results[0]))
    save_crops(name, pictures)
    title = f"{name}, {len(hr)} frames of {hr.shape[3]}x{hr.shape[2]}"
    flicker |= {("truth", case): (quality.warping_error(hr, motion), 0.0, 0.0) for case in quality.CASES}
    return Measured(title, figures, flicker)


def print_flicker(measured: list[Measured], groups: dict[str, list[str]]) -> None:
    """For each clip and row the means over each group of cases."""
    print("\nwarping error over that of bicubic; pulse at 4 frames / median of other periods, dB")
    print(" " * 79 + "".join(f"{group:>22s}" for group in groups))
    for one in measured:
        for row in dict.fromkeys(row for row, _ in one.flicker):
            line = f"{one.title:40.40s} {row:38s}"
            for cases in groups.values():
                (warp, at_four, elsewhere), (bicubic, _, _) = (
                    np.mean([one.flicker[name, case] for case in cases], axis=0) for name in (row, "bicubic")
                )
                line += f"  {warp / bicubic:8.3f} {at_four:.3f}/{elsewhere:.3f}"
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--model", default="realis-tiny")
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="of the table; bicubic is always shown")
    parser.add_argument("--jobs", type=int, default=2, help="clips at the same time, one thread each")
    a = parser.parse_args()
    if a.frames < quality.LEAST_FRAMES or a.seeds < 1 or a.jobs < 1:
        parser.error(f"wanted --frames from {quality.LEAST_FRAMES}, --seeds and --jobs from 1")
    if a.clips and not a.clips.is_dir():
        parser.error(f"--clips {a.clips}: not a folder")
    sources = quality.videos(a.clips, a.frames) if a.clips else quality.held_out(a.frames)
    if not sources:
        parser.error(
            f"--clips {a.clips}: no video of {quality.LEAST_LINES} lines and {quality.LEAST_FRAMES} frames in it"
        )
    check_parts(model_folder(a.model, text_encoder=False), None, "lr")
    names = list(quality.CASES)
    groups = {name: [name] for name in names[:4]}
    groups |= {"mild, mid, strong": names[1:4], "realbasicvsr": names[4:]}

    work = partial(measure, model=a.model, wanted=a.rows, seeds=a.seeds)
    with ProcessPoolExecutor(a.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        measured = []
        for one in pool.map(work, sources):
            measured.append(one)
            print_table(one.title, [one.figures], groups)
    print_table("mean over clips", [one.figures for one in measured], groups)
    print_flicker(measured, groups)


def save_crops(clip: str, pictures: list[tuple[str, torch.Tensor]]) -> None:
    """One crop of the middle frame, where there is most detail, by every row."""
    images = [
        (name, (video[len(video) // 2].permute(1, 2, 0) * 255).round().byte().numpy()) for name, video in pictures
    ]
    ((top, left),) = detailed_places(images[0][1], min(CROP, *images[0][1].shape[:2]), 1)
    crops = [(name, image[top : top + CROP, left : left + CROP]) for name, image in images]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    save_sheet(grid_sheet(crops, 3, 2 * CROP), OUTPUT / f"{clip.replace(' ', '_').replace(',', '')}.png")


if __name__ == "__main__":
    run_command(main)
