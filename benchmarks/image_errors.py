"""How far tiles, and bfloat16, take a network of single images from what it makes of whole frames in float32.

    python benchmarks/image_errors.py x4plus.safetensors [--size 64 256] [--overlaps 16 32 64]

A crop of a photograph that scikit-image carries, on the CPU: the largest and the mean difference in levels of 255, over
all of it for bfloat16, and for two tiles side by side over the middle half, where they meet.
"""

from pathlib import Path

import torch
from command_line import count, parser_of

from realis.comparators.image.method import GRID, METHOD, ImageConfig
from realis.core.errors import run_command
from realis.data.photographs import photograph
from realis.tiling.plan import plan_tiles, round_up
from realis.upscaler import Placement


def upscaled(config: ImageConfig, crop: torch.Tensor, dtype: str = "float32") -> torch.Tensor:
    """Return what the method makes of a crop (3, H, W), planned as the command plans it."""
    upscaler = METHOD.load(config, Placement(dtype=dtype), [""])
    needs, lr = upscaler.needs, (crop.shape[1], crop.shape[2])
    size = needs.native_size(lr, lr)
    tiles = plan_tiles(size, needs.tile, needs.tile_overlap, needs.multiple)
    made, _ = upscaler.upscale(crop[None], size, tiles=tiles, noise=None, carry={}, prompt="", advance=lambda _: None)
    return made[0]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--size", type=count, nargs=2, default=(64, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--overlaps", type=count, nargs="+", default=(16, 32, 64))
    a = parser.parse_args()
    height, width = a.size
    crop = photograph("astronaut.png")[:, :height, 100 : 100 + width]
    whole = upscaled(ImageConfig(str(a.weights)), crop)
    middle = slice(whole.shape[2] // 4, whole.shape[2] * 3 // 4)

    def report(name: str, made: torch.Tensor, columns: slice) -> None:
        error = (made - whole)[..., columns].abs() * 255
        print(f"{name}: largest {error.max():.3f}, mean {error.mean():.4f}", flush=True)

    report("bfloat16", upscaled(ImageConfig(str(a.weights)), crop, "bfloat16"), slice(None))
    for overlap in a.overlaps:
        half = round_up((width + overlap) // 2, GRID)
        config = ImageConfig(str(a.weights), tile_width=half, tile_overlap=overlap)
        shared = 2 * half - width
        report(f"tiles that share {shared} pixels and see {overlap} around them", upscaled(config, crop), middle)


if __name__ == "__main__":
    run_command(main)
