"""Figures that papers print (``published.yaml``), and beside which of ours one may stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from realis.core.config import read_recipe
from realis.core.records import build_record
from realis.evaluation.protocols import PROTOCOLS
from realis.metrics.base import Metric

FILE = Path(__file__).with_name("published.yaml")
DATA_SETS: dict[
    str, tuple[str, int | None, int | None]
] = {  # what it is, its clips and the frames of each, where known
    "reds4": ("REDS4: the clips 000, 011, 015 and 020 of REDS' training set", 4, 100),
    "reds30": ("REDS30: the 30 clips of REDS' validation set, presumably", 30, 100),
    "vid4": ("Vid4", 4, None),
    "vimeo90k_t": ("Vimeo-90K-T", 7824, 7),
    "spmcs": ("SPMCS", 30, None),
    "udm10": ("UDM10", 10, 32),
    "youtube_hq": ("YouTube-HQ", None, None),
    "videolq": ("VideoLQ", 50, None),
    "realisvideo_720p": ("RealisVideo-720P", 140, None),
    "realisvideo_4k": ("RealisVideo-4K", 140, None),
}
# Bicubic; blur and subsampling; RealBasicVSR's second-order degradation; low-resolution videos as they were found
Degradation = Literal["bi", "bd", "second_order", "none"]


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper, or what it says about one of its data sets.

    Args:
        protocol: name of the protocol that measures as the paper does.
        paper: with its version.
        units: of its figures, by metric; as :attr:`realis.metrics.base.Metric.unit`.
        table: its number.
        page: of the paper; ``None``: not known.
        data_set: one of :data:`DATA_SETS`.
        degradation: what made the inputs.
        metrics: names of the metrics of its columns.
        methods: the figures of each method, as printed, in the order of ``metrics``; ``None``: none is printed.
        scale: of super-resolution.
        unmatched: why none of its figures can be matched; empty: they can.
        deviations: by metric, why its figures compare with nobody's; beside those of the protocol.
        notes: by method, what there is to say about its figures.

    Raises:
        ValueError: a name is not known, or a method has more or fewer figures than there are metrics.
    """

    protocol: str
    paper: str
    units: dict[str, str]
    table: str
    page: int | None
    data_set: str
    degradation: Degradation
    metrics: tuple[str, ...]
    methods: dict[str, tuple[float | None, ...]]
    scale: int = 4
    unmatched: str = ""
    deviations: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        protocol = PROTOCOLS.get(self.protocol)
        for kind, names, known in (
            ("protocol", {self.protocol}, set(PROTOCOLS)),
            ("data set", {self.data_set}, set(DATA_SETS)),
            ("metrics", {*self.metrics, *self.units}, set(protocol.metrics) if protocol else set()),
            ("deviations", set(self.deviations), set(self.metrics)),
            ("notes", set(self.notes), set(self.methods)),
        ):
            if unknown := names - known:
                raise ValueError(f"{kind}: got {', '.join(sorted(unknown))}, wanted one of {', '.join(sorted(known))}")
        for method, figures in self.methods.items():
            if len(figures) != len(self.metrics):
                raise ValueError(f"{method}: got {len(figures)} figures, wanted {len(self.metrics)}")


@dataclass(frozen=True)
class PublishedRow:
    """What a table says about one method.

    Args:
        table: where it stands.
        method: its name.
        figures: by metric, as printed.
        note: what there is to say about them; empty: nothing.
    """

    table: PublishedTable
    method: str
    figures: Mapping[str, float]
    note: str

    def in_unit_of(self, metric: Metric) -> float:
        """Return the figure of a metric in the metric's own unit."""
        return self.figures[metric.name] * _factor(self.table.units.get(metric.name, "")) / _factor(metric.unit)


@dataclass(frozen=True)
class Conditions:
    """How figures of ours were measured.

    Args:
        protocol: name of the protocol.
        flow: the estimator of optical flow.
        degradation: what made the inputs; empty: not known.
        scale: of super-resolution.
        inputs: what made them, by our name.
        clips: how many were measured; ``None``: not known.
        frames: how many of each; empty: not known.
    """

    protocol: str
    flow: str = ""
    degradation: Degradation | Literal[""] = ""
    scale: int = 4
    inputs: str = ""
    clips: int | None = None
    frames: tuple[int, ...] = ()


def rows(data_set: str, protocol: str) -> Iterator[PublishedRow]:
    """Yield what the paper of a protocol prints about a data set."""
    for table in load_tables():
        if (table.data_set, table.protocol) == (data_set, protocol):
            for method, figures in table.methods.items():
                printed = {name: x for name, x in zip(table.metrics, figures, strict=True) if x is not None}
                yield PublishedRow(table, method, printed, table.notes.get(method, ""))


def not_comparable(metric: Metric, row: PublishedRow, ours: Conditions) -> str:
    """Return why a published figure may not stand beside ours of the same data set; empty: it may.

    It may where protocol, inputs and networks are the same. The networks of a metric are told by its name, except that
    of optical flow.
    """
    table, theirs = row.table, PROTOCOLS[row.table.protocol]
    if ours.protocol != theirs.name:
        return f"The figure is of the protocol {theirs.name}, ours of {ours.protocol}."
    if table.unmatched:
        return table.unmatched
    if table.degradation == "second_order":
        return "Its inputs were degraded at random, and neither they nor the draws are published."
    if (ours.degradation, ours.scale) != (table.degradation, table.scale):
        known = f"{name} x{ours.scale}" if (name := ours.inputs or ours.degradation) else "not known"
        return f"The degradation of its inputs is {table.degradation} x{table.scale}, of ours {known}."
    _, clips, frames = DATA_SETS[table.data_set]
    if ours.clips is not None and clips not in (None, ours.clips):
        return f"Its data set has {clips} clips, ours {ours.clips}."
    if ours.frames and frames is not None and set(ours.frames) != {frames}:
        return f"Its clips have {frames} frames, ours {', '.join(map(str, sorted(ours.frames)))}."
    if deviation := table.deviations.get(metric.name) or theirs.deviations.get(metric.name):
        return deviation
    if metric.flow and ours.flow != theirs.flow:
        return f"Its flow is estimated by {theirs.flow}, ours by {ours.flow}."
    return ""


@cache
def load_tables(file: Path = FILE) -> tuple[PublishedTable, ...]:
    """Read the tables of a file such as ``published.yaml``.

    Raises:
        InputError: it cannot be read as YAML.
        ValueError, TypeError, KeyError: a field is missing, unknown, of another type, or names what is not known.
    """
    return tuple(_tables(read_recipe(file)))


def _tables(papers: dict[str, Any]) -> Iterator[PublishedTable]:
    for protocol, paper in papers.items():
        of_all = {name: value for name, value in paper.items() if name != "tables"} | {"protocol": protocol}
        for table in paper["tables"]:
            yield build_record(PublishedTable, of_all | table)


def _factor(unit: str) -> float:
    """Return what figures in a unit are to be multiplied by: 0.001 for ``x1e-3``, 0.1 for ``x0.1 px``, 1 for ``dB``."""
    return float(unit[1:].split()[0]) if unit.startswith("x") else 1.0
