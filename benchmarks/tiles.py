"""How much tiles change a frame that would also fit whole: ways to sample them, overlaps, and how wide they are blended.

    python benchmarks/tiles.py [--clips DIR] [--degradation mild] [--frames 5] [--steps 1 4] [--overlap 0 16 32 64 96]
        [--blend 0 16 32 64 all] [--tiling independent fused shifted] [--decoder lr wan] [--output out/tiles]

Clips are those of ``infer/evaluate.py``, made small by 4 and degraded; realis-tiny in float32 restores the first frames of
each whole, and in tiles of the size that it was made for, at strength 1. Printed are, of the tiled result against the
whole one: PSNR of all of the frame and of the 32 pixels to either side of the tile lines, and the largest difference in
grey levels; how much nearer to the truth the tiled result is than the whole one; and the score of the seam meter. A
picture shows the whole frame, and 16 times the difference of every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of

from realis.core import log
from realis.core.errors import run_command
from realis.evaluation.degraded import make_lr
from realis.evaluation.test_sets import clips_of_footage, rendered_clips
from realis.models.wan.geometry import TOKEN
from realis.ops.pixels import planes_to_image, to_uint8
from realis.pictures.sheet import grid_sheet, save_sheet
from realis.tiling.blend import blended_ranges
from realis.tiling.plan import TileSampling, plan_tiles
from realis.upscaler import Placement, Tiling
from realis.upscaling.cpc_config import CpcConfig
from realis.upscaling.cpc_method import METHOD
from realis.upscaling.stream import segment_noise

NEAR = 32  # pixels to either side of a line
AMPLIFIED = 16
OUTPUT = Path("out/tiles")
WHOLE = "whole frame"


@dataclass(frozen=True)
class Row:
    """How a frame is cut, and how its tiles are sampled."""

    decoder: str
    steps: int
    tiling: TileSampling
    overlap: int
    blend: int | None

    def __str__(self) -> str:
        blended = "all" if self.blend is None else self.blend
        return f"{self.decoder} {self.steps} {self.tiling} {self.overlap} {blended}"


def restore(lr: torch.Tensor, size: tuple[int, int], tiles: Tiling, row: Row) -> torch.Tensor:
    """Restore frames (F, 3, h, w) in [0, 1] to ``size``."""
    config = CpcConfig(steps=row.steps, tiling=row.tiling, decoder=row.decoder)
    upscaler = METHOD.load(config, Placement(), [""])
    noise = segment_noise(upscaler.needs, 0, 0, len(lr), tiles)
    return upscaler.upscale(lr, size, tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None)[0]


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the PSNR in dB, at most 99."""
    return min(99.0, -10 * (one - other).square().mean().clamp_min(1e-10).log10().item())


def near_lines(tiles: Tiling, size: tuple[int, int]) -> torch.Tensor:
    """Return the mask (height, width) of the pixels near a line between tiles."""
    mask = torch.zeros(size, dtype=torch.bool)
    for axis, spans in enumerate((tiles.rows, tiles.columns)):
        for start, stop in blended_ranges(spans, tiles.blend):
            middle = (start + stop) // 2
            mask.narrow(axis, middle - NEAR, min(2 * NEAR, size[axis] - middle + NEAR)).fill_(True)
    return mask


def rows_of(a) -> Iterator[Row]:
    """Yield the rows that the command line asks for; blends wider than the overlap are no rows of their own."""
    for decoder, steps, tiling, overlap, blend in product(a.decoder, a.steps, a.tiling, a.overlap, a.blend):
        yield Row(decoder, steps, tiling, overlap, None if blend == "all" else int(blend))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--degradation", default="mild")
    parser.add_argument("--frames", type=count, default=5)
    parser.add_argument("--decoder", nargs="+", choices=("lr", "wan"), default=["lr"])
    parser.add_argument("--steps", nargs="+", type=count, default=[1, 4])
    parser.add_argument("--tiling", nargs="+", default=["independent", "fused", "shifted"])
    parser.add_argument("--overlap", nargs="+", type=int, default=[0, 16, 32, 64, 96])
    parser.add_argument("--blend", nargs="+", default=["0", "16", "32", "64", "all"])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    a = parser.parse_args()
    log.setup()
    if a.frames % 4 != 1:
        parser.error(f"--frames: got {a.frames}, wanted 4 n + 1")
    truths = a.output / "truth"
    clips = clips_of_footage(str(a.clips), truths, a.frames, 4) if a.clips else rendered_clips(truths, a.frames)
    window = METHOD.needs(CpcConfig(), False).tile
    for clip in clips:
        assert clip.truth
        size = clip.truth.size()
        lr = torch.stack(list(islice(make_lr(clip, a.degradation, 4, 0, a.output / "lr").read(), a.frames)))
        truth = torch.stack(list(islice(clip.truth.read(), a.frames)))
        whole: dict[tuple[str, int], torch.Tensor] = {}
        pictures: list[tuple[str, np.ndarray]] = []
        print(f"\n{clip.name}, {size[1]}x{size[0]}: decoder steps tiling overlap blend | tiles, PSNR to whole, near lines, "
              "largest difference | gain")  # fmt: skip
        for row in rows_of(a):
            key = (row.decoder, row.steps)
            if key not in whole:
                whole[key] = restore(lr, size, plan_tiles(size, None, 0, TOKEN), row)
                if not pictures:
                    pictures.append((WHOLE, planes_to_image(to_uint8(whole[key][-1]))))
            tiles = plan_tiles(size, window, row.overlap, TOKEN, exact=True, blend=row.blend)
            tiled = restore(lr, size, tiles, row)
            near, difference = near_lines(tiles, size), tiled - whole[key]
            gain = psnr(tiled, truth) - psnr(whole[key], truth)
            print(
                f"{row!s:32} | {len(tiles.rows)}x{len(tiles.columns)} {psnr(tiled, whole[key]):6.2f} "
                f"{psnr(tiled[..., near], whole[key][..., near]):6.2f} {255 * difference.abs().max().item():6.2f} | {gain:+.3f}",
                flush=True,
            )
            shown = (0.5 + AMPLIFIED * difference[-1]).clamp(0, 1)
            pictures.append((f"{row}, difference x{AMPLIFIED}", planes_to_image(to_uint8(shown))))
        save_sheet(grid_sheet(pictures, 3, size[1]), a.output / f"{clip.name}.png")


if __name__ == "__main__":
    run_command(main)
