"""The figures of DGAF-VSR's two observations, drawn from what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from dgaf_measures import CORRELATIONS, DENSITIES, HIGH_PASS, Curves, edge_strength, gain
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

COLORS = {"latents": "C0", "pictures": "C1", "shrunk": "C4", "enlarged": "C5", "warped": "C3", "enlarged, warped": "C6",
          "aligned": "C2"}  # fmt: skip
TIME = "timestep t, noise to result"


def draw_correlations(curves: Curves, timesteps: Sequence[int], file: Path) -> None:
    """Draw Figure 1: the correlations at the last step and at the first, and below them along all steps."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    figure.suptitle("Observation 1: correlation of adjacent latents, and of adjacent pictures", fontweight="bold")
    rows = figure.subplots(3, len(CORRELATIONS))
    for (last, first, every), name in zip(rows.T, CORRELATIONS, strict=True):
        unit = f"{name}, dB" if name == "PSNR" else name
        for axes, step in ((last, -1), (first, 0)):
            latents, pictures = (curves[x][name][step] for x in ("latents", "pictures"))
            draw_bars(axes, {"latents": latents, "pictures": pictures})
            axes.set(title=f"t = {timesteps[step]}: {gain(pictures, latents):+.1f} %", ylabel=unit)
        draw_lines(every, timesteps, {x: curves[x][name] for x in curves})
        every.set(title="all steps", xlabel=TIME, ylabel=unit)
        every.invert_xaxis()
    save_figure(figure, file)


def draw_densities(curves: Curves, file: Path) -> None:
    """Draw Figure 2 for every density, the mean over steps."""
    figure = Figure(figsize=(12, 11), layout="constrained")
    figure.suptitle("Observation 2: density of high frequencies, mean over all steps", fontweight="bold")
    columns = {
        "(a) resolution": ("shrunk", "latents", "enlarged"),
        "(b) warping": ("latents", "warped", "enlarged", "enlarged, warped"),
        "(c) rescaling-based warping": ("latents", "warped", "aligned"),
    }
    for row, name in zip(figure.subplots(len(DENSITIES), len(columns)), DENSITIES, strict=True):
        for axes, (title, variables) in zip(row, columns.items(), strict=True):
            draw_bars(axes, {x: curves[x][name].mean() for x in variables})
            axes.set(title=f"{title}: {name}", ylabel=unit_of(name))
    save_figure(figure, file)


def draw_steps_and_factors(
    curves: Curves, timesteps: Sequence[int], by_factor: Curves, factors: Sequence[float], file: Path
) -> None:
    """Draw Figures 2 and 3 of the supplement: densities along the steps, edge strength along the factors."""
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    figure.suptitle("Observation 2: along the steps, and along the factor of rescaling s", fontweight="bold")
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    for axes, name in zip(above.subplots(1, len(DENSITIES)), DENSITIES, strict=True):
        draw_lines(axes, timesteps, {x: curves[x][name] for x in ("latents", "warped", "aligned")})
        axes.set(title=name, xlabel=TIME, ylabel=unit_of(name))
        axes.invert_xaxis()
    left, right = below.subplots(1, 2)
    edges = {x: edge_strength(of) for x, of in by_factor.items()}
    draw_lines(left, factors, {"aligned": 100 * (1 - edges["aligned"] / edges["latents"])})
    left.set(title="Reduction of edge strength, latents to aligned", ylabel="reduction, %")
    draw_lines(right, factors, edges)
    right.set(title="Edge strength, mean of the three detectors", ylabel="edge strength, levels")
    for axes in (left, right):
        axes.set(xlabel="factor of rescaling s", xscale="log", xticks=factors, xticklabels=[f"{s:g}" for s in factors])
        axes.minorticks_off()
    save_figure(figure, file)


def draw_bars(axes: Axes, values: Mapping[str, float]) -> None:
    """Draw a bar for each variable, with its value above it."""
    names = [x.replace(", ", ",\n") for x in values]
    bars = axes.bar(names, list(values.values()), width=0.6, color=[COLORS[x] for x in values])
    axes.bar_label(bars, [f"{value:.3g}" for value in values.values()])
    axes.margins(y=0.15)  # room for the labels
    axes.set_axisbelow(True)
    axes.grid(alpha=0.3, axis="y")


def draw_lines(axes: Axes, positions: Sequence[float], curves: Mapping[str, np.ndarray]) -> None:
    """Draw a curve for each variable."""
    for x, values in curves.items():
        axes.plot(positions, values, color=COLORS[x], marker="o", markersize=3, label=x)
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def unit_of(density: str) -> str:
    return "energy a value, levels²" if density == HIGH_PASS else "edge strength, levels"


def save_figure(figure: Figure, file: Path) -> None:
    """Write a PNG with a palette, which makes a third of the file."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(64).save(file, "PNG", optimize=True)
