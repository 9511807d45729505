"""Plot the distribution of every score, of the clips kept and dropped."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realis.builder.clip import Clip, Outcome
from realis.builder.quality import LIMITS, QualityConfig
from realis.core.files import whole_file
from realis.core.units import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
BINS = 30
WIDE = 30  # ratio of largest to smallest value above which an axis is logarithmic
KEPT, DROPPED, LIMIT = "#4c78a8", "#e45756", "#222222"
AXES = {
    "black": "share of frames", "bars": "share of the picture", "frozen": "share of frames", "brightness": "mean luma",
    "clipped": "share of pixels", "motion": "picture heights a second", "blockiness": "1: no blocks",
    "sharpness": "spread of the Laplacian", "contrast": "dB of detail above noise", "fake_4k": "log-odds of an upscale",
}  # fmt: skip


def plot_scores(outcomes: Iterable[Outcome], file: Path, config: QualityConfig) -> None:
    """Write a PNG with a histogram of each score, of the clips kept and dropped, and the limits of ``config``.

    Clips without scores, such as those that could not be read, do not appear; if none has scores, the plot says so.

    Raises:
        InputError: the file cannot be written.
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
    marks = {label: mark for axes in figure.axes for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(marks.values(), marks.keys(), loc="outside upper right", ncols=len(marks) or 1)
    counts = [sum(kept == side and bool(scores) for kept, scores in rows) for side in (True, False)]
    figure.suptitle(
        f"{count(counts[0], 'clip')} kept, {counts[1]} dropped by quality" if names else "no clip has scores"
    )
    with whole_file(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})  # the same bytes each time


def draw(axes: "Axes", name: str, kept: list[float], dropped: list[float], config: QualityConfig) -> None:
    """Draw the stacked histogram of one score, with its limits."""
    values = [*kept, *dropped]
    reach = WIDE * max(max(values) - min(values), abs(max(values)), 0.01)
    limits = [getattr(config, limit.field) for limit in LIMITS if limit.score == name]
    limits = [limit for limit in limits if min(values) - reach <= limit <= max(values) + reach]  # others are far away
    least, most = min(values + limits), max(values + limits)  # so that no bar is too thin to be seen
    if least > 0 and most > WIDE * least:
        edges = np.geomspace(least, most, BINS + 1)
        axes.set_xscale("log")
    else:
        edges = np.linspace(least, most, BINS + 1) if most > least else np.array([least - 0.5, least + 0.5])
    axes.hist([kept, dropped], bins=edges.tolist(), stacked=True, color=[KEPT, DROPPED], label=["kept", "dropped"])
    for limit in limits:
        axes.axvline(limit, color=LIMIT, linestyle="--", linewidth=1, label="limit")
    axes.set(title=name, xlabel=AXES[name], ylabel="clips")
    axes.locator_params(axis="y", integer=True)
