"""The table of an evaluation: what was measured of every clip, and the means over clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from realis.evaluation.measure import Measured
from realis.evaluation.protocols import Protocol
from realis.evaluation.published import Conditions, load_tables, not_comparable, rows
from realis.evaluation.statistics import Estimate, differences, estimate
from realis.metrics.base import Metric
from realis.metrics.registry import METRICS


@dataclass(frozen=True)
class Result:
    """A clip, restored by one row of the table.

    Args:
        case: how its input was degraded; empty: as it was given.
        row: the method, or the folder.
        clip: its name.
        measured: what was measured.
        seconds: a frame, that restoring took; ``None``: not measured.
        memory: that restoring took at its peak, in GiB; ``None``: not measured.
    """

    case: str
    row: str
    clip: str
    measured: Measured
    seconds: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class PaperFigures:
    """Figures that a paper prints about the same data set.

    Args:
        name: of the method, and where its figures stand.
        figures: in the units of our metrics, those that may stand beside ours.
        others: by metric, the figure and why it may not.
        note: what there is to say about them.
    """

    name: str
    figures: Mapping[str, float]
    others: Mapping[str, tuple[float, str]]
    note: str


@dataclass(frozen=True)
class Table:
    """All that an evaluation found.

    Args:
        protocol: by which was measured.
        metrics: names of the metrics that were measured, in the order of their columns.
        missing: those that were not, with the reason.
        flow: the estimator of optical flow; empty: none.
        results: of every case, row and clip.
        allow_misaligned: whether clips that do not lie on the truth count.
        data_set: of which published figures are shown; empty: of none.
        facts: what the table was made with, as plain values.
    """

    protocol: Protocol
    metrics: Sequence[str]
    missing: Mapping[str, str]
    flow: str
    results: Sequence[Result]
    allow_misaligned: bool
    data_set: str
    facts: Mapping[str, Any]

    @property
    def columns(self) -> list[Metric]:
        """The metrics that were measured."""
        return [METRICS[name] for name in self.metrics]

    @property
    def cases(self) -> list[str]:
        """The cases, in their order."""
        return list(dict.fromkeys(result.case for result in self.results))

    @property
    def rows(self) -> list[str]:
        """The rows, in their order; gains are over the first."""
        return list(dict.fromkeys(result.row for result in self.results))

    def of(self, case: str, row: str) -> list[Result]:
        """Return the results of a row in a case."""
        return [result for result in self.results if (result.case, result.row) == (case, row)]

    def faulty(self) -> list[Result]:
        """Return the results that do not lie on the truth."""
        return [result for result in self.results if result.measured.faults]

    def values(self, result: Result, metric: Metric) -> np.ndarray:
        """Return the values of a metric that count; none if the clip does not lie on the truth and is not allowed to."""
        measured = result.measured
        hidden = metric.reference and measured.faults and not self.allow_misaligned
        return np.array([] if hidden or measured.values is None else measured.values[metric.name])

    @cached_property
    def _known(self) -> dict[tuple[str, str, str], dict[str, Estimate]]:
        """What :meth:`estimates` and :meth:`gains` returned: a bootstrap takes time, and three forms of the table ask for it."""
        return {}

    def estimates(self, case: str, row: str) -> dict[str, Estimate]:
        """Return the mean of each metric over the clips of a row that have values."""
        if found := self._known.get(("mean", case, row)):
            return found
        found = self._known["mean", case, row] = {}
        for metric in self.columns:
            clips = [values for result in self.of(case, row) if len(values := self.values(result, metric))]
            if clips:
                found[metric.name] = estimate(clips)
        return found

    def gains(self, case: str, row: str) -> dict[str, Estimate]:
        """Return what a row has over the first one: the mean over the clips that both have values of."""
        if found := self._known.get(("gain", case, row)):
            return found
        found = self._known["gain", case, row] = {}
        first = {result.clip: result for result in self.of(case, self.rows[0])}
        for metric in self.columns:
            pairs = [(self.values(one, metric), self.values(first[one.clip], metric)) for one in self.of(case, row)]
            pairs = [(a, b) for a, b in pairs if len(a) and len(b)]
            if pairs:
                ours, base = zip(*pairs, strict=True)
                found[metric.name] = estimate(differences(ours, base))
        return found

    def seconds(self, case: str, row: str) -> float | None:
        """Return the seconds a frame that a row took, the mean over its clips; ``None`` if one was not measured."""
        found = [result.seconds for result in self.of(case, row)]
        return None if None in found else float(np.mean([x for x in found if x is not None]))

    def memory(self, case: str, row: str) -> float | None:
        """Return the peak memory of a row in GiB, the largest of its clips; ``None`` if one was not measured."""
        found = [result.memory for result in self.of(case, row)]
        return None if None in found else max(x for x in found if x is not None)

    def published(self, conditions: Conditions) -> list[PaperFigures]:
        """Return what the protocol's paper prints about the data set, told apart by what may stand beside ours."""
        found = []
        for row in rows(self.data_set, self.protocol.name):
            shown, others = {}, {}
            for name in filter(row.figures.__contains__, self.metrics):
                figure, why = row.in_unit_of(METRICS[name]), not_comparable(METRICS[name], row, conditions)
                if why:
                    others[name] = (figure, why)
                else:
                    shown[name] = figure
            page = f", page {row.table.page}" if row.table.page else ""
            name = f"{row.method} ({row.table.paper}, Table {row.table.table}{page})"
            found.append(PaperFigures(name, shown, others, row.note))
        return found

    def other_protocols(self) -> list[str]:
        """Return the protocols of papers that print figures of the data set too, which compare with none of ours."""
        names = [table.protocol for table in load_tables() if table.data_set == self.data_set]
        return [name for name in dict.fromkeys(names) if name != self.protocol.name]
