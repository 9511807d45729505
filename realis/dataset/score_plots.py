"""The distribution of every score as a picture, kept beside dropped."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realis.dataset.clip import Clip, Outcome
from realis.dataset.quality import LIMITS, QualityConfig
from realis.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
BINS = 30
KEPT, DROPPED, LIMIT = "#4c78a8", "#e45756", "#222222"
AXES = {
    "black": "share of frames", "bars": "share of the picture", "frozen": "share of frames", "brightness": "mean luma",
    "clipped": "share of pixels", "motion": "picture heights a second", "blockiness": "1: no blocks",
    "sharpness": "spread of the Laplacian", "contrast": "dB of detail above noise", "fake_4k": "log-odds of an upscale",
}  # fmt: skip


def plot_scores(outcomes: Iterable[Outcome], file: Path, config: QualityConfig) -> None:
    """Write a PNG with a histogram of each score, of the clips kept and dropped, and the limits of ``config``.

    Clips without scores, as those that could not be read, do not appear; without any the picture says so.

    Raises:
        InputError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [(isinstance(one, Clip), one.scores) for one in outcomes]
    names = [name for name in AXES if any(name in scores for _, scores in rows)]
    lines = max(-(-len(names) // COLUMNS), 1)
    figure = Figure(figsize=(4 * COLUMNS, 3.2 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(lines, COLUMNS, place)
        sides = [[scores[name] for kept, scores in rows if kept == side and name in scores] for side in (True, False)]
        draw(axes, name, sides[0], sides[1], config)
    counts = [sum(kept == side and bool(scores) for kept, scores in rows) for side in (True, False)]
    figure.suptitle(f"{counts[0]} clips kept, {counts[1]} dropped by quality" if names else "no clip has scores")
    with whole_file(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})  # the same bytes each time


def draw(axes: "Axes", name: str, kept: list[float], dropped: list[float], config: QualityConfig) -> None:
    """One histogram; the two sides are stacked."""
    values = [*kept, *dropped]
    limits = [getattr(config, limit.field) for limit in LIMITS if limit.score == name]
    spans = min(values), max(values)
    wide = spans[0] > 0 and spans[1] > 30 * spans[0]
    if wide:
        edges = np.geomspace(*spans, BINS + 1)
        axes.set_xscale("log")
    else:
        edges = np.linspace(spans[0], max(spans[1], spans[0] + 1e-3), BINS + 1)
    axes.hist([kept, dropped], bins=edges.tolist(), stacked=True, color=[KEPT, DROPPED], label=["kept", "dropped"])
    for limit in limits:
        axes.axvline(limit, color=LIMIT, linestyle="--", linewidth=1, label="limit")
    axes.set(title=name, xlabel=AXES[name], ylabel="clips")
    axes.yaxis.get_major_locator().set_params(integer=True)
    shown = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(shown.values(), shown.keys(), fontsize=8)
