"""What the meters of seams and pulses find, and how often they accuse a result that has none.

    python benchmarks/meters.py [--clips DIR] [--frames 97] [--footage-frames 9] [--flags "--method cpc"]
        [--degradation clean mid] [--lines 16] [--output out/meters]

Two photographs that nothing was trained on, filmed at rest, slowly and fast, and with --clips every video of 360 lines
or more in DIR, are made small and restored as a whole: in one tile and one segment, which can have neither seams nor
pulses but those of the latent frames. Results are kept in --output. The truth is measured as well, as the result of a
method that restores all detail. On every clip

1. lines are drawn at random, hard cuts and blends over 32, 64 and 176 pixels, and measured as if tiles met there; then
   with seams planted there, one at a time;
2. luma and detail are folded by periods that nothing in the result has, 5, 7, 9 and 11 frames; then with pulses planted
   of 5 and 11 frames, in the place of those of a latent frame and of a segment.

Prints how often the untouched ones are accused at the thresholds of the meters, the quantiles that thresholds can be
read from, and the share of what was planted that is found. Untouched ones are in two halves, by scene, which is what
names begin with up to the first underscore: thresholds are chosen on one, so that only the other says how often they
accuse by mistake. If it never happens on n, then the rate is below 3 / n with a confidence of 95 %, were all independent;
those of one clip are not.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of

from realis.core import log
from realis.core.errors import run_command
from realis.evaluation.degraded import check_degradation, make_lr
from realis.evaluation.footage import Footage
from realis.evaluation.restore import Restorer, method_rows
from realis.evaluation.test_sets import clips_of_footage, rendered_clips
from realis.metrics.pulse import LEAST, SCORE, SIZES, Pulse, PulseMeter
from realis.metrics.seam import BANDS, DETAIL, OFFSET, REACH, STEP, Line, Seam, SeamMeter
from realis.tiling.blend import ramp

SCALE = 4  # of super-resolution
WIDTHS = (0, 32, 64, 176)  # pixels over which tiles are blended
HALVES = ("scenes that thresholds were chosen on", "other scenes")
PERIODS, LATENT, SEGMENT = (5, 7, 9, 11), 5, 11  # frames
SEAM_FRAMES = 8  # of a clip that lines are measured in, evenly spread
WHOLE = "--segment-frames {frames} --tile-height 1280 --tile-width 1280"
Plant = Callable[[torch.Tensor, Line], None]  # changes a frame in place, around a vertical line
Frames = list[tuple[torch.Tensor, torch.Tensor]]  # result and input


def results(a: argparse.Namespace) -> Iterator[tuple[str, str, Footage, Footage]]:
    """Yield of every clip who made a result, its name, the result and its input."""
    clips = rendered_clips(a.output / "truth", a.frames)
    if a.clips:
        clips += clips_of_footage(str(a.clips), a.output / "truth", a.footage_frames, SCALE)
    for case in a.degradation:
        check_degradation(case)
        for clip in clips:
            assert clip.truth
            lr = make_lr(clip, case, SCALE, 0, a.output / "lr" / case)
            frames = -(-(clip.truth.announced_frames() - 1) // 4) * 4 + 1
            (row,) = method_rows([f"whole={a.flags} {WHOLE.format(frames=frames)}"])
            result, _ = Restorer(row, [""]).restore(clip, lr, clip.truth.size(), a.output / "restored" / case, False)
            yield "method", f"{clip.name}, {case}", result, lr
            if case == "clean":
                yield "truth", clip.name, clip.truth, lr


# 1. Seams


def upright(line: Line, frame: torch.Tensor) -> torch.Tensor:
    """Return a frame whose columns ``line`` runs between."""
    return frame if line.axis == "x" else frame.transpose(1, 2)


def step_of(levels: float) -> Plant:
    def plant(frame: torch.Tensor, line: Line) -> None:
        frame[..., line.start :] += levels / 255

    return plant


def shift(frame: torch.Tensor, line: Line) -> None:
    frame[..., line.stop :] = frame[..., line.stop - 1 : -1].clone()


def blur(frame: torch.Tensor, line: Line) -> None:
    """Blur a blend by 1 2 1 along both axes."""
    band = frame[..., line.start - 1 : line.stop + 1]
    across = (band[..., :-2] + 2 * band[..., 1:-1] + band[..., 2:]) / 4
    frame[..., 1:-1, line.start : line.stop] = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4


def noise(frame: torch.Tensor, line: Line) -> None:
    """Add noise of 2 levels to a blend."""
    band = frame[..., line.start : line.stop]
    band += 2 / 255 * torch.randn(band.shape, generator=torch.Generator().manual_seed(line.start))


def offset_of(levels: float) -> Plant:
    def plant(frame: torch.Tensor, line: Line) -> None:
        frame[..., line.start : line.stop] += levels / 255 * ramp(line.stop - line.start)
        frame[..., line.stop :] += levels / 255

    return plant


HARD = {f"step of {levels:g} levels": step_of(levels) for levels in (0.5, 1, 2)} | {"shift by a pixel": shift}
OFFSETS = {f"offset of {levels:g} levels": offset_of(levels) for levels in (0.5, 1, 2, 4)}
BLENDS = {"blurred blend": blur, "noise of 2 levels": noise}


def plants_of(line: Line) -> dict[str, Plant]:
    """Return the seams that are planted at a line, by their names."""
    width = line.stop - line.start
    if not width:
        return HARD
    return {f"{name} over {width}": plant for name, plant in (OFFSETS | (BLENDS if width in BANDS else {})).items()}


def draw_lines(size: tuple[int, int], number: int, rng: np.random.Generator) -> Iterator[Line]:
    """Yield so many lines, of every width along both axes; fewer where a width does not fit the frame."""
    for i in range(number):
        axis, width = "xy"[i % 2], WIDTHS[i // 2 % len(WIDTHS)]
        last = (size[1] if axis == "x" else size[0]) - REACH - width
        if last > REACH:
            start = int(rng.integers(REACH, last))
            yield Line(axis, start, start + width)


def measured_seam(frames: Frames, line: Line, plant: Plant | None = None) -> Seam:
    meter = SeamMeter([line], frames[0][0].shape[1:], {})
    for result, source in frames:
        changed = result.clone()
        if plant:
            plant(upright(line, changed), line)
        meter.add(changed, source)
    (seam,) = meter.seams()
    return seam


def print_seams(maker: str, clean: Sequence[list[Seam]], planted: dict[str, list[Seam]]) -> None:
    print(f"\nseams of the {maker}, at a step of {STEP}, a detail of {DETAIL} and an offset of {OFFSET} levels")
    for half, seams in zip(HALVES, clean, strict=True):
        print(f"{half}: {rate(seams)} untouched lines accused")
        figures = {
            "step": [seam.step for seam in seams],
            "detail": [np.exp(abs(np.log(seam.detail))) for seam in seams if seam.detail != 1],
            "offset": [seam.offset for seam in seams],
        }
        for name, values in figures.items():
            quantiles = " ".join(f"{q:.0%}: {np.quantile(values, q):.2f}" for q in (0.5, 0.95, 0.99, 1) if values)
            print(f"{name:8s} {quantiles}")
    for name, seams in sorted(planted.items()):
        print(f"{name:32s} found {rate(seams)}")


def rate(found: Sequence[Seam | Pulse]) -> str:
    return f"{sum(one.severity >= 1 for one in found)} of {len(found)}"


# 2. Pulses


def every(period: int, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Return what changes the first frame of every ``period``."""
    return lambda frame, number: frame if number % period else change(frame)


def contrast(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda frame: (frame - frame.mean()) * factor + frame.mean()


def joins(levels: float) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Return what changes every second segment."""
    return lambda frame, number: frame + levels / 255 * (number // SEGMENT % 2)


PULSES = {
    **{f"{x:g} levels in the first of {LATENT}": (LATENT, every(LATENT, lambda f, x=x: f + x / 255)) for x in (0.25, 0.5, 1)},
    **{f"{x:g} levels in the first of {SEGMENT}": (SEGMENT, every(SEGMENT, lambda f, x=x: f + x / 255)) for x in (0.25, 0.5, 1)},
    **{f"{x:g} levels at each join": (SEGMENT, joins(x)) for x in (0.25, 0.5, 1)},
    **{f"{x:+.0%} of detail in the first of {n}": (n, every(n, contrast(1 + x))) for n in (LATENT, SEGMENT) for x in (-0.05, 0.05)},
}  # fmt: skip


def measured_pulses(pairs: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> tuple[list[Pulse], dict[str, list[Pulse]]]:
    """Return the pulses of an untouched clip, and of what is planted the worst."""
    clean, planted = PulseMeter(PERIODS, {}), {name: PulseMeter([period], {}) for name, (period, _) in PULSES.items()}
    for number, (result, source) in enumerate(pairs):
        clean.add(result, source, number)
        for name, meter in planted.items():
            meter.add(PULSES[name][1](result, number), source, number)
    worst = {name: meter.worst() for name, meter in planted.items()}
    return list(clean.pulses()), {name: [pulse] for name, pulse in worst.items() if pulse}


def print_pulses(maker: str, clean: Sequence[list[Pulse]], planted: dict[str, list[Pulse]]) -> None:
    print(f"\npulses of the {maker}, at a score of {SCORE} and sizes of {SIZES}")
    for half, pulses in zip(HALVES, clean, strict=True):
        print(f"{half}: {rate(pulses)} untouched series accused")
        for what in SIZES:
            scores = [pulse.score for pulse in pulses if pulse.what == what]
            usual = np.median([pulse.usual for pulse in pulses if pulse.what == what])
            quantiles = " ".join(f"{q:.0%}: {np.quantile(scores, q):.2f}" for q in (0.5, 0.95, 0.99, 1))
            print(f"{what:8s} score {quantiles}; differences of neighbours {usual:.2g}")
    for name, pulses in planted.items():
        print(f"{name:34s} found {rate(pulses)}")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--frames", type=count, default=97, help="of what is rendered")
    parser.add_argument("--footage-frames", type=count, default=9, help="of the videos in --clips")
    parser.add_argument("--flags", default="--method cpc", help="of upscale: the method and its settings")
    parser.add_argument("--degradation", nargs="+", default=["clean", "mid"])
    parser.add_argument("--lines", type=count, default=16, help="on each clip")
    parser.add_argument("--output", type=Path, default=Path("out/meters"))
    a = parser.parse_args()
    if a.frames < LEAST * SEGMENT + 3:
        parser.error(f"--frames: got {a.frames}, wanted {LEAST * SEGMENT + 3} or more: {LEAST} periods of {SEGMENT}")
    log.setup()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    lines, series = (defaultdict[str, tuple[list, list]](lambda: ([], [])) for _ in range(2))
    seams, pulses = (defaultdict[str, dict[str, list]](lambda: defaultdict(list)) for _ in range(2))
    scenes: dict[str, int] = {}
    for maker, name, result, lr in results(a):
        half = scenes.setdefault(name.split("_")[0], len(scenes) % 2)
        number = result.announced_frames()
        pairs = zip(result.read(), lr.read(), strict=True)
        frames = list(islice(pairs, 0, None, max(1, number // SEAM_FRAMES)))
        for line in draw_lines(result.size(), a.lines, rng):
            lines[maker][half].append(measured_seam(frames, line))
            for kind, plant in plants_of(line).items():
                seams[maker][kind].append(measured_seam(frames, line, plant))
        if number > LEAST * LATENT + 2:
            clean, planted = measured_pulses(zip(result.read(), lr.read(), strict=True))
            series[maker][half].extend(clean)
            for kind, found in planted.items():
                pulses[maker][kind] += found
        log.logger.info("%s, %s: measured", maker, name)
    for maker in lines:
        print_seams(maker, lines[maker], seams[maker])
        print_pulses(maker, series[maker], pulses[maker])


if __name__ == "__main__":
    run_command(main)
