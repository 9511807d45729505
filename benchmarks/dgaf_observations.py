"""Do DGAF-VSR's two observations hold for the latents that the method makes here? Measured and drawn as in its figures.

    python benchmarks/dgaf_observations.py [--clips DIR] [--frames 3] [--steps 20] [--model FOLDER --guiding-unet FOLDER]
        [--factors 1 2 4 8] [--output out/dgaf_observations]

Clips are photographs that scikit-image carries, filmed by a camera that moves as that of benchmarks/metric_orderings.py
and draws back, so that latents move by all fractions of a pixel; or with --clips the first frames of each video in a
folder, shrunk to fit 1280x720. All are made small by 4, bicubically. The method samples each clip, and its clean
estimates of every step (Eq. 3) are kept. The paper leaves the following open; here

- every channel is scaled from its least and greatest value, over all frames and steps of a clip, to levels 0 to 255,
  latents and decoded pictures alike. Aligned and rescaled latents have the scale of the latents;
- H, in nats, is the cross-entropy between histograms of the levels in 256 bins, one more in each bin, for an empty one
  would make it infinite; sigma is the standard deviation of the levels of a channel;
- edge strength is the mean of OpenCV's Canny (thresholds 100 and 200, an edge is 255), of the length of Sobel's gradient,
  and of the magnitude of the Laplacian, over levels rounded to 8 bits;
- high-pass strength is the energy a value of what lies beyond a radius in the spectrum: a sixth of the shorter side of
  the latents, at most 30, which is a sixth of the 180 lines of REDS4's. All resolutions of them have the same radius;
- a tenth of each side is left out all around for Observation 2, as warping brings zeros in from beyond the border;
- the estimate of the frame before is warped to a frame at all steps, though the method goes backward at every other one.

As in the paper, factors of rescaling are compared by sampling anew with each, with the same noise.

Prints tables, and a line for each claim of the paper, whether this setting shows it: exit code 0 either way. Writes
observation_1.png, observation_2.png, and steps_and_factors.png (Figures 1 and 2; Figures 2 and 3 of the supplement).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from command_line import count, parser_of
from dgaf_figures import draw_correlations, draw_densities, draw_steps_and_factors
from dgaf_measures import (
    CORRELATIONS,
    DENSITIES,
    Curves,
    along,
    correlations,
    densities,
    edge_strength,
    gain,
    inner,
    levels_of,
    mean_over,
    radius_for,
)
from metric_orderings import FACTOR, MOTION, SIZE, clips, print_row
from torch.nn.functional import interpolate

from realis.comparators.dgaf_vsr.config import DgafVsrConfig
from realis.comparators.dgaf_vsr.ogwm import align
from realis.comparators.dgaf_vsr.upscaler import DgafVsrUpscaler
from realis.comparators.sd_x4.guided_upscaler import Guidance, Predict
from realis.comparators.sd_x4.motion import flows_between
from realis.core import units
from realis.core.errors import require, run_command
from realis.data.photographs import SAMPLE_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS, CameraMove, film, photograph
from realis.methods.flags import make_config
from realis.methods.registry import find_method
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaler import Tiling
from realis.upscaling.app.loading import Loader
from realis.upscaling.stream import segment_noise

FACTORS = (1.0, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 16.0)  # of the supplement, Figure 3
PAPER_LARGEST = 6.4  # factor of its Table S8, for which 4 is the best
ZOOM = 0.02  # by how much more of a photograph each frame shows
LEAST_CHANGE = 5  # percent by which a density must change for it to depend on the resolution
PAPER = {"SSIM": 22.61, "PSNR": 13.53, "F(H)": 10.81, "F(sigma)": 106.50}  # gains over all steps, percent

# 1. What is measured. T counts steps, F frames, C channels; h and w are of the LR and of latents.


class RecordingUpscaler(DgafVsrUpscaler):
    """DGAF-VSR that keeps its clean estimates.

    Attributes:
        estimates: of each frame (C, h, w), by timestep, the noisiest first.
    """

    estimates: dict[int, dict[int, torch.Tensor]]

    def sample(
        self,
        predict: Predict,
        guidance: Guidance,
        z: Sequence[torch.Tensor],
        noise: Iterator[torch.Tensor],
        before: torch.Tensor | None,
    ) -> Sequence[torch.Tensor]:
        steps = {step.timestep: step for step in self.model.steps}
        self.estimates = {timestep: {} for timestep in steps}

        def predict_and_keep(
            frames: Sequence[int], z: torch.Tensor, timestep: int, aligned: torch.Tensor | None
        ) -> torch.Tensor:
            v = predict(frames, z, timestep, aligned)
            self.estimates[timestep] |= zip(frames, steps[timestep].clean(z, v), strict=True)  # Eq. 3
            return v

        return super().sample(predict_and_keep, guidance, z, noise, before)


def sample_clip(upscaler: DgafVsrUpscaler, lr: torch.Tensor, tiles: Tiling, factor: float) -> torch.Tensor:
    """Sample a clip (F, 3, h, w) in [0, 1] with a factor of rescaling; return its estimates (T, F, C, h, w) of the canvas."""
    config = replace(upscaler.config, rescaling_factor=factor)
    recording = RecordingUpscaler(upscaler.model, upscaler.guiding, upscaler.estimate_flow, config, upscaler.needs)
    noise = segment_noise(upscaler.needs, 0, 0, len(lr), tiles)
    size = (FACTOR * lr.shape[-2], FACTOR * lr.shape[-1])
    recording.upscale(lr, size, tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None)
    by_step = recording.estimates.values()
    return torch.stack([torch.stack([by_frame[frame] for frame in range(len(lr))]) for by_frame in by_step])


def variants(z: torch.Tensor, flow: torch.Tensor, scale: int, config: DgafVsrConfig) -> dict[str, torch.Tensor]:
    """Return what is compared in Observation 2.

    Args:
        z: estimates of the frames before, (F, C, h, w).
        flow: from each frame to the one before, (F, 2, H, W).
        scale: by which they are enlarged and shrunk, s of the paper.
        config: how the method aligns them.
    """
    without = replace(config, rescaling="off", rescaling_factor=0.0)
    enlarged = interpolate(z, scale_factor=scale, mode="nearest")
    return {
        "shrunk": interpolate(z, (max(1, z.shape[-2] // scale), max(1, z.shape[-1] // scale)), mode="nearest"),
        "latents": z,
        "enlarged": enlarged,
        "warped": align(z, flow, 1, without),
        "enlarged, warped": align(enlarged, flow, 1, without),
        "aligned": align(z, flow, scale, config),
    }


# 2. A clip


def films(count: int, frames: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and frames (F, 3, H, W) in [0, 1] of the films of some photographs, first those that no small model
    was trained on."""
    for name in islice((*SAMPLE_PHOTOGRAPHS, *TRAINING_PHOTOGRAPHS), count):
        image = photograph(name)
        (y, x), (dy, dx) = (side / 2 for side in image.shape[1:]), (step * (frames - 1) / 2 for step in MOTION)
        move = CameraMove((y - dy, x - dx), (y + dy, x + dx), zoom_start=1 / (1 + ZOOM * (frames - 1)))
        yield Path(name).stem, film(image, move, frames, SIZE)


@dataclass(frozen=True)
class Observations:
    """What was measured of one clip, or the mean over clips.

    Args:
        correlations: of latents and pictures, along the steps.
        densities: of each of the :func:`variants`, along the steps.
        by_factor: of latents and aligned ones, the mean over steps, along the factors.
    """

    correlations: Curves
    densities: Curves
    by_factor: Curves


@torch.no_grad()
def observe(upscaler: DgafVsrUpscaler, lr: torch.Tensor, factors: Sequence[float]) -> Observations:
    """Measure a clip (F, 3, h, w) in [0, 1]."""
    needs, config, (h, w) = upscaler.needs, upscaler.config, lr.shape[-2:]
    size = (FACTOR * h, FACTOR * w)
    tiles = plan_tiles(size, needs.tile, needs.tile_overlap, needs.multiple)
    flow = flow_to_frame_before(upscaler, lr)

    canvas = sample_clip(upscaler, lr, tiles, FACTOR)
    latents = canvas[..., :h, :w].cpu()
    pictures = torch.stack([upscaler.model.decode(z, size, tiles).add(1).div(2).clamp(0, 1) for z in canvas])
    correlated = {
        name: along([correlations(of_step) for of_step in levels_of(x)(x)])
        for name, x in (("latents", latents), ("pictures", pictures))
    }

    levels, radius = levels_of(latents), radius_for(inner(latents).shape[-2:])

    def densities_along(steps: Sequence[Mapping[str, torch.Tensor]]) -> Curves:
        return {name: along([densities(inner(levels(step[name])), radius) for step in steps]) for name in steps[0]}

    by_factor = []
    for factor in factors:
        z = latents if factor == FACTOR else sample_clip(upscaler, lr, tiles, factor)[..., :h, :w].cpu()
        at_factor = replace(config, rescaling_factor=factor)
        curves = densities_along([{"latents": x, "aligned": align(x, flow, FACTOR, at_factor)} for x in z[:, :-1]])
        by_factor.append({name: {m: values.mean() for m, values in of.items()} for name, of in curves.items()})
    return Observations(
        correlated,
        densities_along([variants(z, flow, FACTOR, config) for z in latents[:, :-1]]),
        {name: along([row[name] for row in by_factor]) for name in ("latents", "aligned")},
    )


def flow_to_frame_before(upscaler: DgafVsrUpscaler, lr: torch.Tensor) -> torch.Tensor:
    """Return the flow, as the method finds it, from each frame but the first to the one before, (F - 1, 2, H, W)."""
    frames = dict(enumerate(lr.to(upscaler.model.device).split(1)))
    flow = flows_between(frames, upscaler.estimate_flow, upscaler.motion)
    return torch.cat([flow(frame, frame - 1) for frame in range(1, len(lr))]).cpu()


# 3. Tables and claims


def correlation_claims(curves: Curves) -> Iterator[tuple[str, str]]:
    """Yield each claim of Observation 1, and what became of it: whether it is shown, with the figures."""
    for name in CORRELATIONS:
        latents, pictures = curves["latents"][name], curves["pictures"][name]
        above, mean = int((latents > pictures).sum()), gain(pictures.mean(), latents.mean())
        figures = f"at {above} of {len(latents)} steps, {mean:+.2f} % on average; in the paper {PAPER[name]:+.2f} %"
        yield f"1, {name} of latents is above that of pictures at all steps", verdict([above == len(latents)], figures)


def density_claims(curves: Curves, by_factor: Curves, factors: Sequence[float]) -> Iterator[tuple[str, str]]:
    """Yield each claim of Observation 2, and what became of it; densities are means over steps."""

    def gains(before: str, after: str) -> list[float]:
        return [gain(curves[before][m].mean(), curves[after][m].mean()) for m in DENSITIES]

    def figures(*rows: Sequence[float]) -> str:
        columns = zip(*rows, strict=True)
        words = [" and ".join(f"{value:+.1f} %" for value in column) for column in columns]
        return ", ".join(f"{name} {of}" for name, of in zip(DENSITIES, words, strict=True))

    small, large = gains("latents", "shrunk"), gains("latents", "enlarged")
    differ = [min(abs(one), abs(other)) > LEAST_CHANGE for one, other in zip(small, large, strict=True)]
    yield "2, the resolution changes the density (shrunk, and enlarged)", verdict(differ, figures(small, large))
    low, high = gains("latents", "warped"), gains("enlarged", "enlarged, warped")
    lose = [one < other < 0 for one, other in zip(low, high, strict=True)]
    yield "2, warping lowers it, and less when enlarged (as they are, and enlarged)", verdict(lose, figures(low, high))
    kept = gains("warped", "aligned")
    more = np.all([curves["aligned"][m] > curves["warped"][m] for m in DENSITIES], axis=0)
    found = f"{figures(kept)}; by all of them at {more.sum()} of {len(more)} steps"
    yield "2, rescaling preserves more than warping alone", verdict([value > 0 for value in kept], found)
    strength = edge_strength(by_factor["aligned"])
    best = int(strength.argmax())
    within = [number for number, factor in enumerate(factors) if factor <= PAPER_LARGEST] or [best]
    best_within = factors[max(within, key=lambda number: strength[number])]
    found = (
        f"edges of aligned latents are strongest at s = {factors[best]:g}, of {factors[0]:g} to {factors[-1]:g}; up to "
        f"{PAPER_LARGEST}, the largest of the paper's Table S8, at {best_within:g}"
    )
    yield "2, there is an optimal factor in between", verdict([0 < best < len(factors) - 1], found)


def verdict(shown: Sequence[bool], figures: str) -> str:
    """Say how many of the measures show a claim, and the figures."""
    word = "shown" if all(shown) else "partly shown" if any(shown) else "NOT shown"
    part = f" by {sum(shown)} of {len(shown)} measures" if len(shown) > 1 else ""
    return f"{word}{part}: {figures}"


def print_tables(means: Observations, timesteps: Sequence[int], factors: Sequence[float]) -> None:
    """Print Observation 1 at the first step, the last one, and over all; Observation 2 over all steps, and by factor."""
    whens = {f"t = {timesteps[0]}": slice(0, 1), f"t = {timesteps[-1]}": slice(-1, None), "all steps": slice(None)}
    print_row("adjacent ones", *(cell for when in whens for cell in (f"{when}: latents", "pictures", "gain")))
    print_row(*["---"] * (1 + 3 * len(whens)))
    for name in CORRELATIONS:
        cells = []
        for steps in whens.values():
            latents, pictures = (means.correlations[x][name][steps].mean() for x in ("latents", "pictures"))
            cells += [f"{latents:.4f}", f"{pictures:.4f}", f"{gain(pictures, latents):+.1f} %"]
        print_row(name, *cells)
    print()
    print_row("density", *DENSITIES)
    print_row(*["---"] * (1 + len(DENSITIES)))
    for x, of in means.densities.items():
        print_row(x, *(f"{of[m].mean():.3f}" for m in DENSITIES))
    print()
    print_row("s", *(f"{factor:g}" for factor in factors))
    print_row(*["---"] * (1 + len(factors)))
    latents, aligned = (edge_strength(means.by_factor[x]) for x in ("latents", "aligned"))
    print_row("edges of latents", *(f"{value:.2f}" for value in latents))
    print_row("of aligned ones", *(f"{value:.2f}" for value in aligned))
    print_row("reduction", *(f"{-gain(*pair):.2f} %" for pair in zip(latents, aligned, strict=True)))
    print()


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clips", metavar="DIR", help="with real footage")
    parser.add_argument("--photographs", type=count, default=3, help="that are filmed, without --clips")
    parser.add_argument("--frames", type=count, default=3, help="of a clip")
    parser.add_argument("--steps", type=count, default=20, help="of sampling, by DDPM")
    parser.add_argument("--factors", type=float, nargs="+", default=list(FACTORS), help="of rescaling")
    parser.add_argument("--model", default=DgafVsrConfig.model)
    parser.add_argument("--guiding-unet", default="")
    parser.add_argument("--flow-weights", default="", help="of RAFT or SpyNet; left out: Farneback's method")
    parser.add_argument("--threads", type=count, help="of torch; left out: its own choice")
    parser.add_argument("--output", type=Path, default=Path("out/dgaf_observations"))
    a = parser.parse_args()
    if a.frames < 2:
        parser.error(f"--frames: got {a.frames}, wanted 2 or more: correlations are of pairs")
    factors = sorted(set(a.factors))
    if not 1 <= factors[0] <= factors[-1] <= 16:
        parser.error(f"--factors: got {' '.join(f'{factor:g}' for factor in factors)}, wanted 1 to 16")
    if a.threads:
        torch.set_num_threads(a.threads)
    config = make_config(
        "dgaf_vsr", model=a.model, guiding_unet=a.guiding_unet, flow_weights=a.flow_weights, steps=a.steps,
        segment_frames=a.frames, batch=a.frames, dtype="float32",
    )  # fmt: skip
    upscaler = Loader(find_method("dgaf_vsr"), config, [""]).upscaler
    assert isinstance(upscaler, DgafVsrUpscaler)
    observed = []
    with tempfile.TemporaryDirectory() as scratch:
        footage = clips(a.clips, a.frames, Path(scratch)) if a.clips else films(a.photographs, a.frames)
        for name, truth in footage:
            require(len(truth) > 1, f"--clips {a.clips}: {name}", units.count(len(truth), "frame"), "2 or more")
            lr = resize(truth, (truth.shape[-2] // FACTOR, truth.shape[-1] // FACTOR)).clamp(0, 1)
            print(f"{name}: {len(lr)} frames, latents of {lr.shape[-1]}x{lr.shape[-2]}", flush=True)
            observed.append(observe(upscaler, lr, factors))
    means = Observations(*(mean_over([getattr(of, field.name) for of in observed]) for field in fields(Observations)))
    timesteps = [step.timestep for step in upscaler.model.steps]
    print_tables(means, timesteps, factors)
    claims = correlation_claims(means.correlations), density_claims(means.densities, means.by_factor, factors)
    for claim, outcome in chain(*claims):
        print(f"observation {claim}: {outcome}")
    draw_correlations(means.correlations, timesteps, a.output / "observation_1.png")
    draw_densities(means.densities, a.output / "observation_2.png")
    draw_steps_and_factors(means.densities, timesteps, means.by_factor, factors, a.output / "steps_and_factors.png")
    print(f"wrote {a.output}")


if __name__ == "__main__":
    run_command(main)
