"""How much tiles change a frame that would also fit whole: ways to sample them, and how much they share.

    python benchmarks/tiles.py [--clips DIR] [--degradation mild] [--frames 5] [--steps 1 4] [--overlap 0 32 64 96]
        [--tiling fused shifted independent] [--decoder lr wan] [--tile HEIGHT WIDTH] [--output out/tiles]

Clips are those of ``infer/evaluate.py``, made small by 4 and degraded; realis-tiny in float32 restores their first frames
whole, and in tiles, of the size that it is made for unless told otherwise, at strength 1. Of the tiled result are printed its PSNR to the whole
one, of all of the frame and of the 32 pixels to either side of the tile lines; the largest difference, in grey levels;
how much nearer to the truth it is than the whole one, in dB; and what the seam meter says of the worst line, of the tiled
and of the whole result. A picture shows the whole frame, and 16 times the difference of every row.

Before that, the VAE alone: latents of the LR frames by tiles against those of whole frames, as the error over their
standard deviation; and the same latents decoded by tiles against whole, as above.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product, starmap
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from command_line import count, parser_of

from realis.core import log
from realis.core.errors import run_command
from realis.evaluation.degraded import make_lr
from realis.evaluation.test_sets import Clip, clips_of_footage, rendered_clips
from realis.metrics.seam import SeamMeter
from realis.models.wan.geometry import TOKEN
from realis.ops.pixels import planes_to_image, to_uint8
from realis.pictures.sheet import grid_sheet, save_sheet
from realis.tiling.blend import overlaps
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement, TileSampling, Tiling
from realis.upscaling.app.meters import tile_lines
from realis.upscaling.cpc import CpcUpscaler
from realis.upscaling.cpc_config import CpcConfig
from realis.upscaling.cpc_method import METHOD
from realis.upscaling.stream import segment_noise
from realis.upscaling.tiled import TiledRestoration

NEAR = 32  # pixels to either side of a line
AMPLIFIED = 16
SCALE = 4  # of super-resolution
WIDEST = 640  # pixels of a picture
OUTPUT = Path("out/tiles")


@dataclass(frozen=True)
class Row:
    """How a frame is cut, and how its tiles are sampled."""

    decoder: Literal["lr", "wan"]
    steps: int
    tiling: TileSampling
    overlap: int

    def __str__(self) -> str:
        return f"{self.decoder} {self.steps} {self.tiling} {self.overlap}"

    def load(self) -> CpcUpscaler:
        """Load the method with these settings, in float32."""
        return METHOD.load(CpcConfig(steps=self.steps, tiling=self.tiling, decoder=self.decoder), Placement(), [""])


def restore(lr: torch.Tensor, size: tuple[int, int], tiles: Tiling, row: Row) -> torch.Tensor:
    """Restore frames (F, 3, h, w) in [0, 1] to ``size``."""
    upscaler = row.load()
    noise = segment_noise(upscaler.needs, 0, 0, len(lr), tiles)
    return upscaler.upscale(lr, size, tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None)[0]


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the PSNR in dB, at most 99."""
    return min(99.0, -10 * (one - other).square().mean().clamp_min(1e-10).log10().item())


def near_lines(tiles: Tiling, size: tuple[int, int]) -> torch.Tensor:
    """Return the mask (height, width) of the pixels near a line between tiles."""
    mask = torch.zeros(size, dtype=torch.bool)
    for axis, spans in enumerate((tiles.rows, tiles.columns)):
        for start, stop in overlaps(spans):
            middle = (start + stop) // 2
            mask.narrow(axis, middle - NEAR, min(2 * NEAR, size[axis] - middle + NEAR)).fill_(True)
    return mask


def compared(tiled: torch.Tensor, whole: torch.Tensor, tiles: Tiling) -> str:
    """Say how far two results (F, 3, H, W) are apart."""
    near, largest = near_lines(tiles, tiled.shape[-2:]), 255 * (tiled - whole).abs().max().item()
    return f"{psnr(tiled, whole):6.2f} {psnr(tiled[..., near], whole[..., near]):6.2f} {largest:6.2f}"


def seam(result: torch.Tensor, lr: torch.Tensor, tiles: Tiling) -> str:
    """Return what the seam meter says of the worst line: its step, detail and offset."""
    size = result.shape[-2:]
    meter = SeamMeter(tile_lines(tiles, size, size), size, {})
    for large, small in zip(result, lr, strict=True):
        meter.add(large, small)
    worst = meter.worst()
    return f"{worst.step:.2f} {worst.detail:.2f} {worst.offset:.2f}" if worst else "-"


@torch.no_grad()
def print_vae(lr: torch.Tensor, size: tuple[int, int], a: argparse.Namespace) -> None:
    """Print what encoding and decoding by tiles change."""

    def stages(tiles: Tiling) -> TiledRestoration:
        return TiledRestoration(window, [tiles])

    print("VAE alone: decoder, overlap | error of the latents | PSNR of decoded frames to whole, near lines, largest")
    for decoder in a.decoder:
        window, whole = Row(decoder, 1, "fused", 0).load().window(""), plan_tiles(size, None, 0, TOKEN)
        latents = stages(whole).encode(lr, size, lambda: None)
        decoded = stages(whole).decode(latents, lr, size, lambda: None)
        for overlap in a.overlap:
            tiles = plan_tiles(size, a.tile, overlap, TOKEN, exact=True)
            error = (stages(tiles).encode(lr, size, lambda: None) - latents).std() / latents.std()
            by_tiles = stages(tiles).decode(latents, lr, size, lambda: None)
            print(f"{decoder} {overlap:3d} | {100 * error:.3f} % | {compared(by_tiles, decoded, tiles)}", flush=True)


def print_rows(clip: Clip, lr: torch.Tensor, rows: Iterator[Row], a: argparse.Namespace) -> None:
    """Print what each row changes, and save the picture."""
    assert clip.truth
    size, truth = clip.truth.size(), torch.stack(list(islice(clip.truth.read(), len(lr))))
    whole: dict[tuple[str, int], torch.Tensor] = {}
    pictures: list[tuple[str, np.ndarray]] = []
    print(
        "decoder steps tiling overlap | tiles | PSNR to whole, near lines, largest | over whole | step, detail, offset; of whole"
    )
    for row in rows:
        key = (row.decoder, row.steps)
        if key not in whole:
            whole[key] = restore(lr, size, plan_tiles(size, None, 0, TOKEN), row)
            if not pictures:
                pictures.append(("whole frame", planes_to_image(to_uint8(whole[key][-1]))))
        tiles, reference = plan_tiles(size, a.tile, row.overlap, TOKEN, exact=True), whole[key]
        tiled = restore(lr, size, tiles, row)
        gain = psnr(tiled, truth) - psnr(reference, truth)
        print(f"{row!s:22} | {len(tiles.rows)}x{len(tiles.columns)} | {compared(tiled, reference, tiles)} | {gain:+.3f} | "
              f"{seam(tiled, lr, tiles)}; {seam(reference, lr, tiles)}", flush=True)  # fmt: skip
        shown = (0.5 + AMPLIFIED * (tiled - reference)[-1]).clamp(0, 1)
        pictures.append((f"{row}, difference x{AMPLIFIED}", planes_to_image(to_uint8(shown))))
    save_sheet(grid_sheet(pictures, 3, min(size[1], WIDEST)), a.output / f"{clip.name}.png")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--degradation", default="mild")
    parser.add_argument("--frames", type=count, default=5)
    parser.add_argument("--decoder", nargs="+", choices=("lr", "wan"), default=["lr"])
    parser.add_argument("--steps", nargs="+", type=count, default=[1, 4])
    parser.add_argument("--tiling", nargs="+", default=["fused", "shifted", "independent"])
    parser.add_argument("--overlap", nargs="+", type=int, default=[0, 32, 64, 96])
    parser.add_argument("--tile", nargs=2, type=int, default=METHOD.needs(CpcConfig(), False).tile)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    a = parser.parse_args()
    log.setup()
    if a.frames % 4 != 1:
        parser.error(f"--frames: got {a.frames}, wanted 4 n + 1")
    truths = a.output / "truth"
    clips = clips_of_footage(str(a.clips), truths, a.frames, SCALE) if a.clips else rendered_clips(truths, a.frames)
    for clip in clips:
        assert clip.truth
        lr = torch.stack(list(islice(make_lr(clip, a.degradation, SCALE, 0, a.output / "lr").read(), a.frames)))
        print(f"\n{clip.name}, {clip.truth.size()[1]}x{clip.truth.size()[0]}")
        print_vae(lr, clip.truth.size(), a)
        print_rows(clip, lr, starmap(Row, product(a.decoder, a.steps, a.tiling, a.overlap)), a)


if __name__ == "__main__":
    run_command(main)
