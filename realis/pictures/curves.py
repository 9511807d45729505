"""Curves, one under the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def plot_curves(curves: Mapping[str, Sequence[tuple[float, float]]], along: str, file: Path) -> None:
    """Write a PNG with a plot of each curve, its last value in the title.

    Args:
        curves: points (x, y) by what y is.
        along: what x is.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6 * len(curves)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (name, points) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(len(curves), 1, place)
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3)
        axes.set(title=f"{name}: {points[-1][1]:.4g}", xlabel=along)
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})  # the same bytes each time
