"""How segments of a video are best joined in time: what joins cost beside the whole clip as one segment.

    python benchmarks/joins.py [--clips DIR] [--model DIR] [--frames 45] [--overlaps 0 1 5 9]
        [--degradation clean mild mid strong realbasicvsr]

Clips and degradations are those of ``infer/evaluate.py``: every video of 360 lines or more in DIR, or without
``--clips`` two photographs that nothing was trained on, filmed by a moving camera. What is restored is the middle of
their frames, one tile of the model, at strength 1: as one segment, and in segments of the model's own length that share
``--overlaps`` frames, whose results are joined in several ways:

    ramp     cross-faded linearly over all shared frames, from near 0 to near 1
    inner    cross-faded from the earlier segment alone to the later one alone, as ``upscale`` does
    cosine   cross-faded by half a cosine
    earlier  the shared frames are the earlier segment's; in the later one they are context only
    later    the shared frames are the later segment's; the earlier one has only looked ahead to them
    middle   a hard change in the middle of the shared frames

The table compares frames with the same ones of the clip as one segment, so that content cancels out. PSNR in dB over
it: of all frames, of those at joins (the shared ones and one on either side), of the worst of these. Lai's warping
error, by Farneback's flow of the truth, over its own: of pairs at joins, of the worst of these, of all others. Luma:
the largest change of the mean luma of result - truth from a frame to the next, in levels of 255, at joins. Means over
joins. Then PSNR over the clip as one segment by the place of a frame in a segment, and its standard error: of segments
alone, and with 4 frames on either side that are cut again, their first and last frame repeated or all played backwards.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of

from realis.core import log
from realis.core.errors import run_command
from realis.evaluation.degraded import check_degradation, make_lr
from realis.evaluation.footage import Footage
from realis.evaluation.test_sets import clips_of_footage, rendered_clips
from realis.metrics.base import Tools, measure_pairs
from realis.metrics.registry import METRICS
from realis.models.optical_flow.farneback import farneback
from realis.ops.pixels import luma
from realis.tiling.blend import ramp
from realis.upscaler import Placement, Tiling, Upscaler
from realis.upscaling.cpc_config import CpcConfig
from realis.upscaling.cpc_method import METHOD
from realis.upscaling.stream import pad_frames, segment_noise

OUTPUT = Path("out/joins")
SCALE = 4  # of super-resolution
PADDING = 4  # frames on either side of a segment: one latent frame
COLUMNS = {"all": "+.3f", "at joins": "+.3f", "worst": "+.3f", "E_warp": ".3f", "worst pair": ".3f", "others": ".3f",
           "luma": ".3f"}  # fmt: skip


def places(shared: int) -> torch.Tensor:
    """Return where the middle of each of the shared frames is, (shared,), from 0 at their beginning to 1 at their end."""
    return (torch.arange(shared) + 0.5) / max(shared, 1)


# The weights of the later segment at so many shared frames
JOINS: dict[str, Callable[[int], torch.Tensor]] = {
    "ramp": places,
    "inner": lambda shared: torch.linspace(0, 1, shared),
    "cosine": ramp,
    "earlier": torch.zeros,
    "later": torch.ones,
    "middle": lambda shared: (places(shared) > 0.5).float(),
}

Piece = tuple[int, torch.Tensor]  # number of the first frame, frames (F, 3, H, W)
Values = dict[str, list[float]]


@dataclass
class Found:
    """All figures of one degradation: by row and column, and by segment and place."""

    joins: dict[str, Values] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    places: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))


# 1. Segments, and how they are joined


def middle(footage: Footage, size: tuple[int, int]) -> torch.Tensor:
    """Read the middle of a clip, (F, 3, H, W) of at most ``size``."""
    frames = []
    for frame in footage.read():
        top, left = (max(0, (side - most) // 2) for side, most in zip(frame.shape[1:], size, strict=True))
        frames.append(frame[:, top : top + size[0], left : left + size[1]])
    return torch.stack(frames)


def restore(upscaler: Upscaler, lr: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    """Restore the frames of ``lr`` (F, 3, h, w) that ``numbers`` names as one segment and one tile."""
    padded = torch.stack(pad_frames([lr[i] for i in numbers], upscaler.needs.segments.padded(len(numbers))))
    height, width = SCALE * lr.shape[2], SCALE * lr.shape[3]
    tiles = Tiling([(0, height)], [(0, width)])
    noise = segment_noise(upscaler.needs, 0, numbers[0], len(padded), tiles)
    restored, _ = upscaler.upscale(
        padded, (height, width), tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None
    )
    return restored[: len(numbers)]


def restore_between(upscaler: Upscaler, lr: torch.Tensor, numbers: range) -> dict[str, torch.Tensor]:
    """Restore ``numbers`` as one segment, and with frames before and after them, which are cut again."""
    first, last, n = numbers[0], numbers[-1], PADDING
    padding = {
        "repeated": ([first] * n, [last] * n),
        "mirrored": (range(first + n, first, -1), range(last - 1, last - 1 - n, -1)),
    }
    found = {
        name: restore(upscaler, lr, [*before, *numbers, *after])[n:-n] for name, (before, after) in padding.items()
    }
    return {"alone": restore(upscaler, lr, numbers)} | found


def join(pieces: Sequence[Piece], overlap: int, weights: torch.Tensor) -> torch.Tensor:
    """Join segments that share ``overlap`` frames, at which the later one has ``weights`` (overlap,)."""
    joined = pieces[0][1]
    for start, frames in pieces[1:]:
        shared = torch.lerp(joined[start:], frames[:overlap], weights.view(-1, 1, 1, 1))
        joined = torch.cat([joined[:start], shared, frames[overlap:]])
    return joined


# 2. Measurement


class FlowOfTruth:
    """Farneback's flow, estimated once for each pair of frames of a truth that stays in memory."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], torch.Tensor] = {}

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        pair = a.data_ptr(), b.data_ptr()
        if pair not in self._known:
            self._known[pair] = farneback(a, b)
        return self._known[pair]


def measure(names: Sequence[str], restored: torch.Tensor, truth: torch.Tensor, tools: Tools) -> dict[str, np.ndarray]:
    """Compare a result (F, 3, H, W), on 8-bit levels as in a file, with the truth: ``names``, and the steps of ``luma``."""
    levels = (restored * 255).round() / 255
    added = 255 * luma(levels - truth).mean((1, 2))
    found = measure_pairs(zip(levels, truth, strict=True), [METRICS[name] for name in names], tools)
    return found | {"luma": added.diff().abs().numpy()}


def compare(
    found: dict[str, np.ndarray], whole: dict[str, np.ndarray], starts: Sequence[int], overlap: int
) -> Iterator[tuple[str, float]]:
    """Yield the columns of the table for each join; ``starts``: first frames of all segments but the first."""
    gain, ratio = found["psnr_rgb"] - whole["psnr_rgb"], found["e_warp_lai"] / whole["e_warp_lai"]
    inside = np.ones(len(ratio), bool)
    for start in starts:
        frames, pairs = slice(start - 1, start + overlap + 1), slice(start - 1, start + overlap)
        inside[pairs] = False
        yield "at joins", gain[frames].mean()
        yield "worst", gain[frames].min()
        yield "E_warp", ratio[pairs].mean()
        yield "worst pair", ratio[pairs].max()
        yield "luma", found["luma"][pairs].max()
    yield "all", gain.mean()
    yield "others", ratio[inside].mean()


def measure_clip(upscaler: Upscaler, lr: torch.Tensor, truth: torch.Tensor, overlaps: Sequence[int], to: Found) -> None:
    """Add the figures of a clip to those of others."""
    length, tools = upscaler.needs.segments.frames, Tools(flow=FlowOfTruth())
    names = ("psnr_rgb", "e_warp_lai")
    whole = measure(names, restore(upscaler, lr, range(len(lr))), truth, tools)
    for overlap in overlaps:
        starts = range(0, len(lr) - overlap, length - overlap)
        pieces = [(start, restore(upscaler, lr, range(start, min(start + length, len(lr))))) for start in starts]
        for name, weights in JOINS.items() if overlap else [("none", torch.zeros)]:
            joined = measure(names, join(pieces, overlap, weights(overlap)), truth, tools)
            for column, value in compare(joined, whole, starts[1:], overlap):
                to.joins[f"{overlap} {name}"][column].append(value)
    step = length - upscaler.needs.segments.overlap
    for start in range(step, len(lr) - length, step):
        for name, frames in restore_between(upscaler, lr, range(start, start + length - 2 * PADDING)).items():
            stop = start + len(frames)
            found = measure(names[:1], frames, truth[start:stop], tools)["psnr_rgb"]
            to.places[name].append(found - whole["psnr_rgb"][start:stop])


# 3. Tables


def print_joins(case: str, joins: dict[str, Values]) -> None:
    """Print a line for each way to join."""
    print(f"\n{f'{case}: overlap, join':24s}" + "".join(f"{column:>11s}" for column in COLUMNS))
    for row, values in joins.items():
        cells = (format(np.mean(values[column]), digits) for column, digits in COLUMNS.items())
        print(f"{row:24s}" + "".join(f"{cell:>11s}" for cell in cells), flush=True)


def print_places(case: str, places: dict[str, list[np.ndarray]]) -> None:
    """Print for each kind of segment the gain at each place in it, and its standard error."""
    for name, gains in places.items():
        print(f"\n{case}: {len(gains)} segments, {name}: PSNR by place")
        print(" ".join(f"{gain:+6.2f}" for gain in np.mean(gains, axis=0)))
        print(" ".join(f"{error:6.2f}" for error in np.std(gains, axis=0) / len(gains) ** 0.5), flush=True)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--model", default="realis-tiny")
    parser.add_argument("--frames", type=count, default=45, help="of a clip")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0, 1, 5, 9])
    parser.add_argument("--degradation", nargs="+", default=["clean", "mild"])
    parser.add_argument("--threads", type=count, default=2)
    a = parser.parse_args()
    log.setup()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    for name in a.degradation:
        check_degradation(name)
    upscaler = METHOD.load(CpcConfig(a.model), Placement(dtype="bfloat16"), [""])
    length, tile = upscaler.needs.segments.frames, upscaler.needs.tile
    assert tile
    if not all(0 <= overlap < length for overlap in a.overlaps):
        parser.error(
            f"--overlaps: got {a.overlaps}, wanted each from 0 to {length - 1}, as segments have {length} frames"
        )
    truth = OUTPUT / "truth"
    clips = clips_of_footage(str(a.clips), truth, a.frames, SCALE) if a.clips else rendered_clips(truth, a.frames)
    for case in a.degradation:
        found = Found()
        for clip in clips:
            assert clip.truth
            lr = make_lr(clip, case, SCALE, 0, OUTPUT / "lr" / Path(case).stem)
            small = middle(lr, (tile[0] // SCALE, tile[1] // SCALE))
            measure_clip(upscaler, small, middle(clip.truth, tile), a.overlaps, found)
        print_joins(case, found.joins)
        print_places(case, found.places)


if __name__ == "__main__":
    run_command(main)
