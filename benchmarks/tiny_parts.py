"""Which part of realis-tiny its gain over bicubic comes from, whether the result flickers, and what a classical filter does.

    python benchmarks/tiny_parts.py [--clips DIR] [--model DIR] [--frames 9] [--seeds 1] [--rows NAME ...]
        [--degradation clean mild mid strong realbasicvsr]

Clips and degradations are those of ``infer/evaluate.py``: every video of 360 lines or more in DIR, or without
``--clips`` two photographs that nothing was trained on, filmed by a moving camera. Rows are at strength 1 and whole
frames are restored in segments and tiles. Means over frames, then over clips: PSNR over bicubic, SSIM, GMSD (lower is
better), HaarPSI, RGB; the figure after +- is half the distance between the best and the worst seed. Then for each clip
the warping error over that of bicubic, and the pulse of the PSNR's gain at 4 frames beside that of other periods.

Needs the ``metrics`` extra.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of
from skimage.filters import unsharp_mask
from skimage.restoration import denoise_tv_chambolle

from realis.core import log
from realis.core.errors import run_command
from realis.diffusion.rectified_flow import Velocity
from realis.evaluation.degraded import check_degradation, make_lr
from realis.evaluation.footage import Footage
from realis.evaluation.test_sets import Clip, clips_of_footage, rendered_clips
from realis.metrics.base import Tools, measure_pairs
from realis.metrics.pulse import pulse
from realis.metrics.registry import METRICS
from realis.models.hub import check_parts, model_folder
from realis.models.optical_flow.farneback import farneback
from realis.models.wan.geometry import CELL, FRAMES
from realis.models.wan.loading import Wan, load_controlnet
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaler import Carry, Needs, NoiseGrid, Segments, Tiling, Upscaler
from realis.upscaling.cpc import CpcWindow, Sampling
from realis.upscaling.cpc_networks import CpcNetworks, load_networks
from realis.upscaling.cpc_prompts import Prompt
from realis.upscaling.interpolation import InterpolationUpscaler
from realis.upscaling.stream import Frame, upscale_stream
from realis.upscaling.tiled import TiledRestoration

TV_WEIGHT, UNSHARP_RADIUS, UNSHARP_AMOUNT = 0.015, 3.0, 1.0  # the best of a grid on the held-out photographs
OUTPUT = Path("out/tiny_parts")
SCALE, PERIOD = 4, 4  # of super-resolution; frames of a latent frame
CASES = ("clean", "mild", "mid", "strong", "realbasicvsr")
ROWS = (
    "bicubic", "TV denoise, bicubic, unsharp", "LR decoder, latent zeroed", "LR decoder, latent of the LR, no DiT",
    "LR decoder, DiT with control off", "1 step", "4 steps", "1 step, Wan decoder",
)  # fmt: skip
NAMES = ("psnr_rgb", "ssim_rgb", "gmsd", "haarpsi", "e_warp_lai")


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

    def sample(self, velocity: Velocity, noise: torch.Tensor) -> torch.Tensor:
        return noise

    def decode(self, latents: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        return super().decode(self.share * self.encode(lr), lr)


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
        noise: Iterator[torch.Tensor] | None,
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> tuple[torch.Tensor, Carry]:
        """Restore a segment of ``4 n + 1`` frames tile by tile."""
        assert noise is not None
        return TiledRestoration(self.window, [tiles]).restore(frames, size, next(noise), advance), {}


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


def restore(
    upscaler: Upscaler, lr: Footage, size: tuple[int, int], tile: tuple[int, int], seed: int
) -> Iterator[torch.Tensor]:
    """Yield the frames of ``lr`` upscaled to ``size``, on 8-bit levels as in a file."""
    tiles = plan_tiles(size, tile, 32, 16, exact=True)
    for segment in upscale_stream(upscaler, map(Frame, lr.read()), size, tiles, seed, advance=lambda share: None):
        yield from (segment.frames * 255).round() / 255


def measure(restored: Iterator[torch.Tensor], truth: Footage) -> dict[str, np.ndarray]:
    """Compare a restored clip with the truth."""
    pairs = zip(restored, truth.read(), strict=True)
    return measure_pairs(pairs, [METRICS[name] for name in NAMES], Tools(flow=farneback))


def print_gains(case: str, found: dict[str, list[list[dict[str, np.ndarray]]]]) -> None:
    """Print one line a row: figures of each clip, of each seed of it, averaged."""
    print(f"\n{case}: PSNR over bicubic in dB, SSIM, GMSD, HaarPSI")
    means = {
        row: np.array([[[one[name].mean() for name in NAMES] for one in seeds] for seeds in clips]).mean(axis=0)
        for row, clips in found.items()
    }
    for row, seeds in means.items():
        gains = seeds[:, 0] - means["bicubic"][0, 0]
        spread = f" +-{np.ptp(gains) / 2:.2f}" if len(gains) > 1 else ""
        ssim, gmsd, haarpsi = seeds[:, 1:4].mean(axis=0)
        print(f"{row:38s}{gains.mean():+7.2f}{spread:7s} {ssim:.4f} {gmsd:.4f} {haarpsi:.3f}", flush=True)


def print_flicker(case: str, clips: list[Clip], found: dict[str, list[list[dict[str, np.ndarray]]]]) -> None:
    """Print for each clip and row the warping error and the pulse, of the first seed."""
    print(f"\n{case}: warping error over that of bicubic; pulse at {PERIOD} frames / median of other periods, dB")
    for number, clip in enumerate(clips):
        (base,) = found["bicubic"][number]
        for row, every in found.items():
            one = every[number][0]
            ratio = one["e_warp_lai"].mean() / (base["e_warp_lai"].mean() or np.nan)  # at rest and clean: none
            at_period, elsewhere = pulse(one["psnr_rgb"] - base["psnr_rgb"], PERIOD)
            print(f"{clip.name:30.30s} {row:38s} {ratio:8.3f} {at_period:.3f}/{elsewhere:.3f}", flush=True)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--model", default="realis-tiny")
    parser.add_argument("--frames", type=count, default=9)
    parser.add_argument("--seeds", type=count, default=1)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="of the table; bicubic is always shown")
    parser.add_argument("--degradation", nargs="+", default=CASES)
    parser.add_argument("--threads", type=count, default=2)
    a = parser.parse_args()
    log.setup()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    if a.frames <= PERIOD:
        parser.error(f"--frames: got {a.frames}, wanted {PERIOD + 1} or more")
    for name in a.degradation:
        check_degradation(name)
    folder = model_folder(a.model, text_encoder=False)
    check_parts(folder, None, "wan")  # of the decoder, any kind is measured
    if not (folder / "lr_decoder").is_dir():
        parser.error(f"--model {a.model}: has no lr_decoder; wanted a model with one")
    clips = (
        clips_of_footage(str(a.clips), OUTPUT / "truth", a.frames, SCALE)
        if a.clips
        else rendered_clips(OUTPUT / "truth", a.frames)
    )
    networks = open_networks(a.model)
    chosen = {row: method for row, method in rows(networks).items() if row in ("bicubic", *a.rows)}
    tile = tuple(networks.controlnet.config.window[1:])
    for case in a.degradation:
        found = defaultdict(list)
        for clip in clips:
            assert clip.truth
            lr, size = make_lr(clip, case, SCALE, 0, OUTPUT / "lr" / Path(case).stem), clip.truth.size()
            for row, (upscaler, samples) in chosen.items():
                seeds = range(a.seeds if samples else 1)
                found[row].append([measure(restore(upscaler, lr, size, tile, seed), clip.truth) for seed in seeds])
        print_gains(case, found)
        print_flicker(case, clips, found)


if __name__ == "__main__":
    run_command(main)
