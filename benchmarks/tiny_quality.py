"""What a small model gains over bicubic and over a classical filter, which part of it the gain comes from, and whether
the result flickers.

    python benchmarks/tiny_quality.py [--clips DIR] [--model DIR] [--frames 25] [--seeds 3] [--rows NAME ...]
        [--strength VALUE ...] [--jobs 2]

Ground truth is every video of 360 lines or more in DIR (first frames, shrunk to at most 1280x720); without ``--clips``
two photographs that nothing was trained on, filmed by a moving camera. It is degraded to a quarter of its size in
eight pinned ways and restored in segments and tiles, as ``realis upscale`` does. PSNR, SSIM, GMSD (lower is better) and
HaarPSI in float32, RGB, means over frames. Rows that sample are run with several seeds of the noise; the figure after
+- is half the distance between the means of the best and the worst. ``--strength`` adds rows of one step as ``realis
upscale --strength`` gives it; all others are at strength 1. Sheets of one crop with all rows go to
``out/tiny_quality``.

Needs the ``metrics`` extra.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import quality
import torch
from command_line import count, parser_of
from skimage.filters import unsharp_mask
from skimage.restoration import denoise_tv_chambolle

from realis.core.errors import run_command
from realis.diffusion.rectified_flow import Velocity
from realis.models.hub import check_parts, model_folder
from realis.models.wan.geometry import CELL, FRAMES
from realis.models.wan.loading import Wan, load_controlnet
from realis.ops.resize import resize
from realis.pictures.sheet import detailed_places, grid_sheet, save_sheet
from realis.tiling.plan import plan_tiles
from realis.upscaler import Carry, Needs, NoiseGrid, Segments, Tiling, Upscaler
from realis.upscaling.cpc import Condition, CpcWindow, Sampling
from realis.upscaling.cpc_networks import CpcNetworks, load_networks
from realis.upscaling.cpc_prompts import Prompt
from realis.upscaling.interpolation import InterpolationUpscaler
from realis.upscaling.stream import Frame, upscale_stream
from realis.upscaling.strength import blend_with_input
from realis.upscaling.tiled import restore_tiles

TV_WEIGHT, UNSHARP_RADIUS, UNSHARP_AMOUNT = 0.015, 3.0, 1.0  # the best of a grid on the held-out photographs
OUTPUT = Path("out/tiny_quality")
SHEET_CASE, CROP = "mid", 128
MODEL = "1 step"  # the row of the model as it is meant to be used
ROWS = (
    "bicubic", "TV denoise, bicubic, unsharp", "LR decoder, latent zeroed", "LR decoder, latent of the LR, no DiT",
    "LR decoder, DiT with control off", MODEL, "4 steps", "1 step, Wan decoder",
)  # fmt: skip
Figures = dict[tuple[str, str], list[dict[str, float]]]  # (row, case) -> for each seed, metric -> value


class ClassicalUpscaler(InterpolationUpscaler):
    """Total variation denoising, bicubic resizing, unsharp mask; all scikit-image's, with fixed parameters."""

    def upscale(self, frames: torch.Tensor, size: tuple[int, int], **others: object) -> tuple[torch.Tensor, Carry]:
        """(F, 3, H, W) -> (F, 3, *size), clamped to [0, 1]."""
        denoised = [denoise_tv_chambolle(frame, weight=TV_WEIGHT, channel_axis=0) for frame in frames.numpy()]
        resized = resize(torch.from_numpy(np.stack(denoised)).float(), size)
        sharp = [unsharp_mask(frame, UNSHARP_RADIUS, UNSHARP_AMOUNT, channel_axis=0) for frame in resized.numpy()]
        return torch.from_numpy(np.stack(sharp)).clamp(0, 1), {}


@dataclass(frozen=True)
class WithoutTransformer(CpcWindow):
    """The LR-conditioned decoder alone, on ``share`` times the latents of the LR video."""

    share: float = 1.0

    def sample(self, velocity: Velocity, noise: torch.Tensor, advance: Callable[[float], None]) -> torch.Tensor:
        return noise

    def decode(self, latents: torch.Tensor, condition: Condition) -> torch.Tensor:
        return super().decode(self.share * condition.latents, condition)


class WindowUpscaler:
    """One kind of window over whole frames; see :class:`realis.upscaler.Upscaler`."""

    def __init__(self, window: CpcWindow, needs: Needs) -> None:
        self.window, self.needs = window, needs

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
        assert noise is not None
        return restore_tiles(self.window, frames, size, tiles, noise, advance), {}


def open_networks(model: str, dtype: torch.dtype = torch.bfloat16) -> CpcNetworks:
    """Open a model with a CPC and a decoder, which may be one that was trained on other latents than sampled ones."""
    folder = model_folder(model, text_encoder=False)
    return load_networks(Wan(folder, dtype, dtype, "cpu"), load_controlnet(folder, dtype))


def rows(networks: CpcNetworks) -> dict[str, tuple[Upscaler, bool]]:
    """The methods, and whether what they give depends on the seed."""
    empty = torch.zeros(1, 1, networks.transformer.config.text_dim, dtype=networks.transformer.dtype)
    prompt = Prompt(empty, empty, empty)
    needs = Needs(
        Segments(networks.controlnet.config.window[0], 5, period=FRAMES),
        noise=NoiseGrid(networks.vae.config.z_dim, FRAMES, CELL),
    )

    def sampled(networks: CpcNetworks = networks, **settings: float) -> Upscaler:
        return WindowUpscaler(CpcWindow(networks, prompt, Sampling(**settings)), needs)  # pyright: ignore

    def decoded(share: float) -> Upscaler:
        return WindowUpscaler(WithoutTransformer(networks, prompt, Sampling(), share), needs)

    methods = [
        (InterpolationUpscaler(), False),
        (ClassicalUpscaler(), False),
        (decoded(0.0), False),
        (decoded(1.0), False),
        (sampled(cpc_scale=0.0), True),
        (sampled(), True),
        (sampled(steps=4), True),
        (sampled(replace(networks, lr_decoder=None)), True),
    ]
    return dict(zip(ROWS, methods, strict=True))


def restore(upscaler: Upscaler, lr: torch.Tensor, hr: torch.Tensor, tile: tuple[int, int], seed: int) -> torch.Tensor:
    """``lr`` upscaled to the size of ``hr``."""
    size = (hr.shape[2], hr.shape[3])
    tiles = plan_tiles(size, tile, 32, 16)
    segments = upscale_stream(upscaler, map(Frame, lr), size, tiles, seed, advance=lambda share: None)
    return torch.cat([segment.frames for segment in segments])


def at_strength(restored: torch.Tensor, lr: torch.Tensor, strength: float) -> torch.Tensor:
    """``restored`` (F, 3, H, W) blended with ``lr`` (F, 3, h, w), on 8-bit levels."""
    blended = [blend_with_input(*pair, strength) for pair in zip(restored, lr, strict=True)]
    return (torch.stack(blended) * 255).round() / 255


def print_table(title: str, clips: list[Figures], groups: dict[str, list[str]]) -> None:
    """One line a row; for each group of cases the mean figures, PSNR as the gain over bicubic and, where a row depends
    on the seed, half the range of that over the seeds."""

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
    # (row, case) -> warping error, pulse at 4 frames, of other periods
    flicker: dict[tuple[str, str], tuple[float, ...]]


def measure(
    source: quality.Source, model: str, wanted: Sequence[str], strengths: Sequence[float], seeds: int
) -> Measured:
    """Degrade one clip in every way, restore it by every row, and save the sheet."""
    torch.set_flush_denormal(True)
    (title, load), networks = source, open_networks(model)
    chosen = {n: row for n, row in rows(networks).items() if n in ("bicubic", *wanted)}
    tile, hr = tuple(networks.controlnet.config.window[1:]), load()
    motion, pictures = quality.motion(hr), [("truth", hr)]
    figures, flicker = {}, {}
    for case, degrade in quality.CASES.items():
        lr, bicubic_psnr = degrade(hr), torch.zeros(())
        for row, (upscaler, samples) in chosen.items():
            whole = [restore(upscaler, lr, hr, tile, seed) for seed in range(seeds if samples else 1)]
            blends = {f"{row}, strength {strength:g}": strength for strength in strengths} if row == MODEL else {}
            for name, strength in {row: 1.0, **blends}.items():
                results = [at_strength(one, lr, strength) for one in whole]
                figures[name, case] = [quality.scores(result, hr) for result in results]
                psnr = quality.frame_psnr(results[0], hr)
                bicubic_psnr = psnr if name == "bicubic" else bicubic_psnr
                flicker[name, case] = (quality.warping_error(results[0], motion), *quality.pulse(psnr - bicubic_psnr))
                if case == SHEET_CASE:
                    pictures.append((name, results[0]))
    save_crops(title, pictures)
    title += f", {len(hr)} frames of {hr.shape[3]}x{hr.shape[2]}"
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
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--model", default="realis-tiny")
    parser.add_argument("--frames", type=count, default=25)
    parser.add_argument("--seeds", type=count, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="of the table; bicubic is always shown")
    parser.add_argument("--strength", nargs="+", type=float, default=[], help=f"further rows of {MODEL!r}, from 0 to 1")
    parser.add_argument("--jobs", type=count, default=2, help="clips at the same time, one thread each")
    a = parser.parse_args()
    if a.frames < quality.LEAST_FRAMES:
        parser.error(f"--frames: got {a.frames}, wanted {quality.LEAST_FRAMES} or more")
    if not all(0 <= strength <= 1 for strength in a.strength):
        parser.error(f"--strength: got {a.strength}, wanted 0 to 1")
    if a.clips and not a.clips.is_dir():
        parser.error(f"--clips {a.clips}: not a folder")
    sources = quality.videos(a.clips, a.frames) if a.clips else quality.held_out(a.frames)
    if not sources:
        parser.error(
            f"--clips {a.clips}: no video of {quality.LEAST_LINES} lines and {quality.LEAST_FRAMES} frames in it"
        )
    folder = model_folder(a.model, text_encoder=False)
    check_parts(folder, None, "wan")  # of the decoder, any kind is measured
    if not (folder / "lr_decoder").is_dir():
        parser.error(f"--model {a.model}: has no lr_decoder; wanted a model with one")
    names = list(quality.CASES)
    groups = {name: [name] for name in names[:4]}
    groups |= {"mild, mid, strong": names[1:4], "realbasicvsr": names[4:]}

    work = partial(measure, model=a.model, wanted=a.rows, strengths=a.strength, seeds=a.seeds)
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
