"""What the parts of VideoGigaGAN do, measured of any model: a table for each.

    python benchmarks/videogigagan_parts.py [--model FOLDER] [--tables parameters equivariance shuttle chunks time]
        [--photographs 4] [--chunk-size 48x48] [--chunked 30] [--changed-frame 0]
        [--size 160x90] [--frames 5] [--runs 3]
        [--methods videogigagan stablevsr dgaf_vsr sd_x4 cpc] [-- --NAME.flag=VALUE]

parameters: of the parts, in millions: of a generator of the default sizes, and of the model. The paper says 369 in all
(its Table 3), not of what.

equivariance: whether the features of the encoder move with the picture, by BlurPool and by strided convolutions of the
same weights (Sec. 3.4). A window of each photograph is filmed at half its size, by a camera that moves to the right by
d LR pixels: all pictures are sampled from one continuous picture, so that the motion is exact. The features after each
step down, at h/2, h/4 and h/8, are moved back by d/2, d/4 and d/8 of their pixels (by the Fourier transform of
mirrored rows) and compared with those of the camera at rest. The error is the energy of the difference over that of
the features at rest, over all channels and photographs, without a margin that zeros from beyond the border reach. The
column LR has the pictures themselves in place of features: its error is of moving back alone, as a photograph is not
band-limited. Where d is a whole number of strides, any convolution is equivariant. Ratio: the error by BlurPool over
that by strided convolutions; below 1, features move better by BlurPool.

shuttle: the share of the energy of each skip connection above half the Nyquist frequency along either axis (of white
noise: three quarters; without means, under a Hann window), with the high-frequency shuttle and as a whole (Sec. 3.5);
and by how much the high band of the result, which is what its low-pass filter takes away, changes where a skip is
zeroed: the energy of the difference over that of the band. Both by the same weights: of the way that the model was not
trained, only the shares say much.

In both tables, each picture is a clip of one frame with zero flow; the style is always the same, and the spatial noise
is 0.

chunks: the largest change of the result, in levels of 255, within each chunk of a clip, where one pixel of one frame,
the first unless another is asked for, changes by half of the range; with the features that are propagated, and with
zeros in their place (Sec. 3.3). Segments and chunks are those of the method's default settings.

time: seconds a frame to enlarge frames of --size four times by each method with its default settings, medians over
runs, in turn, after one that warms up; and how many times as long as VideoGigaGAN it takes. What follows ``--`` is
given to the method that has the flag, ``--device`` and ``--dtype`` to all: ``--methods basicvsr --
--basicvsr.weights=FILE`` has BasicVSR as well. The other tables are in float32, on the CPU.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from command_line import count, parser_of
from metric_orderings import print_row
from timing import medians_in_turn
from torch import nn
from videogigagan_measures import high_share, interior, largest_changes, moved, relative_energy

from realis.comparators.videogigagan.antialiasing import high_frequencies
from realis.comparators.videogigagan.config import VideoGigaGanConfig
from realis.comparators.videogigagan.generator import VideoGigaGan
from realis.comparators.videogigagan.layout import all_noise_channels
from realis.comparators.videogigagan.propagation import Flows
from realis.comparators.videogigagan.upscaler import VideoGigaGanUpscaler, chunks
from realis.core.config import flag_types
from realis.core.errors import run_command
from realis.data.photographs import CameraMove, film, photograph
from realis.methods.flags import make_config, parse_upscale
from realis.methods.registry import METHODS, find_method
from realis.models.optical_flow.spynet import SpyNet
from realis.tiling.plan import plan_tiles
from realis.upscaler import Upscaler
from realis.upscaling.app.loading import Loader
from realis.upscaling.stream import Frame, upscale_stream

PHOTOGRAPHS = ("hubble_deep_field.jpg", "coffee.png", "rocket.jpg", "astronaut.png")  # large enough for all distances
SIZE = (192, 224)  # height and width of the LR of a photograph
ENLARGED = (64, 96)  # of the LR where the whole network is run, many times
ZOOM = 2  # pixels of a photograph to one of the LR
DISTANCES = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 8.0)  # LR pixels
# Pixels at each resolution that are left out all around: zeros beyond the border reach 3, 4 and 5 of them through the
# encoder, and the greatest distance brings in 4, 2 and 1 more (in the LR itself, 8).
# Those of propagation reach farther: what is left of them there counts as error, by either way of going down
MARGIN = 8
LEVELS = ("h", "h/2", "h/4", "h/8")
FACTOR = 4
PAPER_PARAMETERS = 369  # millions; Table 3
PAPER_TIMES = {"videogigagan": 1.0, "stablevsr": 9242 / 295}  # of one frame of 1280x720, as a ratio; Table 3
TABLES = ("parameters", "equivariance", "shuttle", "chunks", "time")
TIMED = ("videogigagan", "stablevsr", "dgaf_vsr", "sd_x4", "cpc")
COMMON = {"--device", "--dtype"}


# 1. Parameters


def parameters(network: nn.Module) -> dict[str, float]:
    """Return the parameters of each part of a network, in millions."""
    return {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in network.named_children()}


def print_parameters(generator: VideoGigaGan) -> None:
    with torch.device("meta"):
        default, spynet = parameters(VideoGigaGan()), sum(parameters(SpyNet()).values())
    own = parameters(generator)
    print_row("part", "default sizes, M", "this model, M")
    print_row(*["---"] * 3)
    for name, size in default.items():
        print_row(name, f"{size:.3f}", f"{own.get(name, 0):.3f}")
    for name, flow in (("generator", 0.0), ("with SpyNet", spynet)):
        print_row(name, *(f"{sum(of.values()) + flow:.3f}" for of in (default, own)))
    print_row("paper", str(PAPER_PARAMETERS), "")


# 2. The generator on single pictures. N counts them.


def with_parts(generator: VideoGigaGan, **parts: bool) -> VideoGigaGan:
    """Return a generator that shares the weights of ``generator``, with or without parts that have none."""
    own = {name: value for name, value in generator.config.items() if not name.startswith("_")}
    with torch.device("meta"):
        other = VideoGigaGan(**own | parts)
    other.load_state_dict(generator.state_dict(), assign=True)
    return other.eval().requires_grad_(False)


def still(generator: VideoGigaGan, picture: torch.Tensor) -> tuple[torch.Tensor, Flows, torch.Tensor, torch.Tensor]:
    """Return a picture (3, h, w) in [0, 1] as a clip of one frame for a generator: LR, flows, z and noise."""
    config, (h, w) = generator.config, picture.shape[-2:]
    nowhere, z = (
        torch.zeros(1, 2, 1, h, w),
        torch.randn(1, config.noise_dim, generator=torch.Generator().manual_seed(0)),
    )
    noise = torch.zeros(1, all_noise_channels(len(config.upsampling_widths)), h, w)
    return picture[None, :, None] * 2 - 1, Flows(nowhere, nowhere), z, noise


def enlarge(generator: VideoGigaGan, pictures: torch.Tensor) -> torch.Tensor:
    """Enlarge pictures (N, 3, h, w); (N, 3, H, W) in about [-1, 1]."""
    return torch.cat([generator(*still(generator, picture)) for picture in pictures])[:, :, 0]


def encode(generator: VideoGigaGan, pictures: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the features of pictures (N, 3, h, w) before and after each step down of the encoder, (N, C, height, width)
    each: the skips as a whole, and what is at half their resolution."""
    before, after = [], []
    for picture in pictures:  # one by one, for those of a large network take much memory
        lr, flows, z, noise = still(generator, picture)
        features = None if generator.propagation is None else generator.propagation(lr, flows)[0]
        maps = generator.noise_maps(noise)[: len(generator.encoder)]
        _, skips = generator.encode(lr, features, generator.mapping(z), maps)
        before += skips
        after += [down(skip) for down, skip in zip(generator.down, skips, strict=True)]
    steps = len(generator.down)
    return [torch.cat(before[i::steps]) for i in range(steps)], [torch.cat(after[i::steps]) for i in range(steps)]


def window(name: str, distances: Sequence[float], size: tuple[int, int] = SIZE) -> torch.Tensor:
    """Return the middle of a photograph, (N, 3, *size) in [0, 1], after the camera moved right by each distance in LR
    pixels."""
    image = photograph(name)
    y, x = (side / 2 for side in image.shape[1:])
    centres = [(y, x + ZOOM * distance) for distance in distances]
    return torch.cat([film(image, CameraMove(at, at, ZOOM, ZOOM), 1, size) for at in centres])


# 3. Equivariance


def motion_energies(features: torch.Tensor, distances: Sequence[float]) -> list[tuple[float, float]]:
    """Return for each distance how much energy features differ by, once they are moved back, and how much they have.

    Args:
        features: (1 + N, C, h, w), of the camera at rest, then of it after each distance.
        distances: N, in pixels of the features.
    """
    rest, *others = features
    energies = []
    for other, distance in zip(others, distances, strict=True):
        error = interior(moved(other, distance) - rest, MARGIN)  # where the camera moves right, the picture moves left
        energies.append((error.square().sum().item(), interior(rest, MARGIN).double().square().sum().item()))
    return energies


def equivariance(generator: VideoGigaGan, names: Sequence[str]) -> torch.Tensor:
    """Return the error of each distance at each level, (N, 4), over all channels of all photographs."""
    energies = torch.zeros(len(LEVELS), len(DISTANCES), 2, dtype=torch.float64)
    for name in names:
        pictures = window(name, (0.0, *DISTANCES))
        for octave, features in enumerate([pictures, *encode(generator, pictures)[1]]):
            energies[octave] += torch.tensor(motion_energies(features, [d / 2**octave for d in DISTANCES]))
    return (energies[..., 0] / energies[..., 1]).T


def print_equivariance(generator: VideoGigaGan, names: Sequence[str]) -> None:
    by_blur_pool, strided = (equivariance(with_parts(generator, blur_pool=on), names) for on in (True, False))
    columns = [f"{level}: {what}" for level in LEVELS[1:] for what in ("BlurPool", "strided", "ratio")]
    print_row("d, LR pixels", "LR", *columns)
    print_row(*["---"] * (2 + len(columns)))
    for d, blurred, plain in zip(DISTANCES, by_blur_pool.tolist(), strided.tolist(), strict=True):
        cells = []
        for octave in range(1, len(LEVELS)):
            whole = d % 2**octave == 0  # nothing but the border is left, and a ratio says nothing
            ratio = "" if whole else f"{blurred[octave] / plain[octave]:.2g}"
            cells += [f"{blurred[octave]:.2e}", f"{plain[octave]:.2e}", ratio]
        print_row(f"{d:g}", f"{blurred[0]:.2e}", *cells)


# 4. High-frequency shuttle


@contextmanager
def zeroed_skips(generator: VideoGigaGan, levels: Sequence[int]) -> Iterator[None]:
    """Zero the skip connections of these levels, 0 that of h lines."""

    def zero(width: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            x, *others = given
            return torch.cat((x[:, :-width], torch.zeros_like(x[:, -width:])), dim=1), *others

        return hook

    blocks = generator.decoder[len(generator.encoder) - 1 :: -1]  # those that take a skip, of h lines first
    handles = [blocks[level].register_forward_pre_hook(zero(generator.config.widths[level])) for level in levels]
    yield
    for handle in handles:
        handle.remove()


def high_band_changes(generator: VideoGigaGan, pictures: torch.Tensor) -> list[float]:
    """Return by how much the high band changes where the skip of each level is zeroed, and where all are."""
    band, skips = high_frequencies(enlarge(generator, pictures)), range(len(generator.encoder))
    changes = []
    for levels in (*([level] for level in skips), skips):
        with zeroed_skips(generator, levels):
            changes.append(relative_energy(high_frequencies(enlarge(generator, pictures)) - band, band))
    return changes


def print_shuttle(generator: VideoGigaGan, names: Sequence[str]) -> None:
    skips, _ = encode(generator, torch.cat([window(name, [0.0]) for name in names]))
    shares = [(f"{high_share(high_frequencies(skip)):.3f}", f"{high_share(skip):.3f}") for skip in skips]
    pictures = torch.cat([window(name, [0.0], ENLARGED) for name in names])
    shuttle, whole = (high_band_changes(with_parts(generator, hf_shuttle=on), pictures) for on in (True, False))
    print(f"the model was trained {'with' if generator.config.hf_shuttle else 'without'} the shuttle")
    print_row("skip", "high share: shuttle", "whole", "change without it: shuttle", "whole")
    print_row(*["---"] * 5)
    for skip, share, *changes in zip([*LEVELS[:-1], "all"], [*shares, ("", "")], shuttle, whole, strict=True):
        print_row(skip, *share, *(f"{change:.3g}" for change in changes))


# 5. Chunks


def camera(frames: int, size: tuple[int, int]) -> torch.Tensor:
    """Film a photograph (F, 3, *size) in [0, 1] by a camera that moves by fractions of a pixel."""
    move = CameraMove((200.0, 280.0), (200.0, 280.0 + 2.5 * frames), ZOOM, ZOOM)
    return film(photograph("coffee.png"), move, frames, size)


def upscale(upscaler: Upscaler, lr: torch.Tensor) -> torch.Tensor:
    """Enlarge a clip (F, 3, h, w) in [0, 1] four times, as the command does."""
    needs, size = upscaler.needs, (FACTOR * lr.shape[-2], FACTOR * lr.shape[-1])
    native = needs.native_size(lr.shape[-2:], size)
    tiles = plan_tiles(native, needs.tile, needs.tile_overlap, needs.multiple)
    stream = upscale_stream(upscaler, map(Frame, lr), size, tiles, 0, lambda share: None, across_cuts=True)
    return torch.cat([segment.frames for segment in stream])


@contextmanager
def nothing_propagated(generator: VideoGigaGan) -> Iterator[None]:
    """Put zeros in the place of the propagated features."""

    def zero(_: nn.Module, __: Any, output: tuple[torch.Tensor, list[torch.Tensor]]) -> Any:
        return torch.zeros_like(output[0]), [torch.zeros_like(state) for state in output[1]]

    assert generator.propagation is not None
    handle = generator.propagation.register_forward_hook(zero)
    yield
    handle.remove()


def changes_of_chunks(upscaler: VideoGigaGanUpscaler, lr: torch.Tensor, frame: int) -> list[float]:
    """Return the largest change within each chunk of the result, in levels, by the middle pixel of a frame."""
    changed = lr.clone()
    pixel = changed[frame, :, lr.shape[-2] // 2, lr.shape[-1] // 2]
    pixel += torch.where(pixel > 0.5, -0.5, 0.5)
    spans = list(chunks(len(lr), upscaler.chunk))
    return [255 * change for change in largest_changes(upscale(upscaler, lr), upscale(upscaler, changed), spans)]


def print_chunks(upscaler: VideoGigaGanUpscaler, frames: int, size: tuple[int, int], frame: int) -> None:
    lr, generator = camera(frames, size), upscaler.generator
    rows = {"as the model is": changes_of_chunks(upscaler, lr, frame)}
    if generator.propagation is None:
        print("the model has no propagation")
    else:
        with nothing_propagated(generator):
            rows["nothing propagated"] = changes_of_chunks(upscaler, lr, frame)
    spans = list(chunks(frames, upscaler.chunk))
    print_row("largest change, levels", *(f"frames {span.start} to {span.stop - 1}" for span in spans))
    print_row(*["---"] * (1 + len(spans)))
    for name, changes in rows.items():
        print_row(name, *(f"{change:.4g}" for change in changes))


# 6. Time


def load(method: str, model: str, words: Sequence[str]) -> Upscaler:
    """Load a method with the flags among ``words`` that it has."""
    flags = flag_types(find_method(method).Config, f"--{method.replace('_', '-')}.").keys() | COMMON
    own = [word for word in words if word.partition("=")[0] in flags]
    if method == "videogigagan":
        own.append(f"--videogigagan.model={model}")
    return Loader(find_method(method), parse_upscale(["--method", method, *own]), [""]).upscaler


def print_times(methods: Sequence[str], model: str, words: Sequence[str], lr: torch.Tensor, runs: int) -> None:
    upscalers = {name: load(name, model, words) for name in dict.fromkeys(["videogigagan", *methods])}
    works = {name: lambda upscaler=upscaler: upscale(upscaler, lr) for name, upscaler in upscalers.items()}
    taken = {name: seconds / len(lr) for name, seconds in medians_in_turn(works, runs).items()}
    print(f"{len(lr)} frames to {FACTOR * lr.shape[-1]}x{FACTOR * lr.shape[-2]}, medians of {runs} runs")
    print_row("method", "model", "steps", "s a frame", "over VideoGigaGAN", "paper, 1280x720")
    print_row(*["---"] * 6)
    for name, seconds in taken.items():
        needs = upscalers[name].needs
        paper = f"{PAPER_TIMES[name]:.1f}" if name in PAPER_TIMES else ""
        ratio = f"{seconds / taken['videogigagan']:.2f}"
        print_row(name, needs.label, str(needs.settings.get("steps", "")), f"{seconds:.4f}", ratio, paper)


def size_of(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT as height and width."""
    width, height = map(count, text.split("x"))
    return height, width


def main() -> None:
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = parser_of(__doc__)
    parser.add_argument("--model", default=VideoGigaGanConfig.model)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--photographs", type=count, default=len(PHOTOGRAPHS), help=f"{len(PHOTOGRAPHS)} at most")
    parser.add_argument("--chunked", type=count, default=30, help="frames of the clip in chunks")
    parser.add_argument("--changed-frame", type=int, default=0, help="of that clip: the one of which a pixel changes")
    parser.add_argument("--chunk-size", type=size_of, default=(48, 48), help="of its LR, WIDTHxHEIGHT")
    parser.add_argument("--size", type=size_of, default=(90, 160), help="of the LR that is timed, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=count, default=5, help="that are timed")
    parser.add_argument("--runs", type=count, default=3)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=TIMED, help="that are timed")
    parser.add_argument("--threads", type=count, help="of torch; left out: its own choice")
    a = parser.parse_args(sys.argv[1:at])
    if not 0 <= a.changed_frame < a.chunked:
        parser.error(f"--changed-frame: got {a.changed_frame}, wanted 0 to {a.chunked - 1}")
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    config = make_config("videogigagan", model=a.model, dtype="float32", device="cpu")
    names = PHOTOGRAPHS[: a.photographs]
    upscaler: Any = Loader(find_method("videogigagan"), config, [""]).upscaler
    tables = {
        "parameters": lambda: print_parameters(upscaler.generator),
        "equivariance": lambda: print_equivariance(upscaler.generator, names),
        "shuttle": lambda: print_shuttle(upscaler.generator, names),
        "chunks": lambda: print_chunks(upscaler, a.chunked, a.chunk_size, a.changed_frame),
        "time": lambda: print_times(a.methods, a.model, sys.argv[at + 1 :], camera(a.frames, a.size), a.runs),
    }
    for name in a.tables:
        print(f"{name}, {a.model}", flush=True)
        tables[name]()
        print(flush=True)


if __name__ == "__main__":
    run_command(main)
