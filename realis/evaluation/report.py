"""Write a table as JSON, CSV and Markdown; names that others chose cannot become markup or formulas in them."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from realis.core.files import whole_file
from realis.core.units import count
from realis.evaluation.published import Conditions
from realis.evaluation.statistics import Estimate
from realis.evaluation.table import Result, Table
from realis.metrics.base import Metric
from realis.metrics.registry import METRICS

WORST = 10  # clips of a row that the Markdown shows; the CSV has all
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # how a cell begins that a spreadsheet would compute
# What published tables call our degradations
PUBLISHED_AS: dict[str, Literal["bi", "bd"]] = {"clean": "bi", "bi": "bi", "bd": "bd"}


def write_table(table: Table, output: Path) -> list[Path]:
    """Write ``table.json``, ``table.csv`` and ``table.md`` into the folder ``output``; return the files.

    Raises:
        InputError: they cannot be written.
        RunError: the disk is full or fails.
    """
    files = {"table.md": "\n".join(markdown(table)) + "\n", "table.csv": to_csv(table), "table.json": to_json(table)}
    for name, text in files.items():
        with whole_file(output / name) as temporary:
            temporary.write_bytes(text.encode(errors="backslashreplace"))  # file names need not be UTF-8
    return [output / name for name in files]


# 1. JSON


def to_json(table: Table) -> str:
    """Return all of the table: what it was made with, the means, and the values of every frame."""
    means = [
        {
            "case": case,
            "row": row,
            "mean": {name: asdict(one) for name, one in table.estimates(case, row).items()},
            "over the first row": {name: asdict(one) for name, one in table.gains(case, row).items()},
            "seconds a frame": table.seconds(case, row),
            "peak memory, GiB": table.memory(case, row),
        }
        for case in table.cases
        for row in table.rows
    ]
    metrics = [
        {"name": m.name, "title": m.title, "unit": m.unit, "better": m.better, "source": m.source}
        for m in table.columns
    ]
    content = {
        **table.facts, "protocol": asdict(table.protocol), "metrics": metrics, "missing": dict(table.missing),
        "optical flow": table.flow, "misaligned clips count": table.allow_misaligned, "means": means,
        "clips": [_clip_facts(table, result) for result in table.results],
    }  # fmt: skip
    return json.dumps(content, indent=1, allow_nan=False)


def _clip_facts(table: Table, result: Result) -> dict[str, Any]:
    """Return what was measured of a clip, with the values that count."""
    facts = asdict(result)
    facts["measured"]["values"] = {metric.name: table.values(result, metric).tolist() for metric in table.columns}
    return facts


# 2. CSV


def to_csv(table: Table) -> str:
    """Return a line for each case, row, clip and metric."""
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["case", "row", "clip", "metric", "mean", "unit", "values", "frames", "faults"])
    for result in table.results:
        names = [plain_cell(name) for name in (result.case, result.row, result.clip)]
        faults = plain_cell("; ".join(result.measured.faults))
        for metric in table.columns:
            values = table.values(result, metric)
            mean = f"{values.mean():.6g}" if len(values) else ""
            lines.writerow([*names, metric.name, mean, metric.unit, len(values), result.measured.frames, faults])
    return text.getvalue()


def plain_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> plain_cell("=1+1"), plain_cell("000")
    ("'=1+1", '000')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


# 3. Markdown


def escaped(text: str) -> str:
    r"""Return a text that Markdown and HTML show as it is, on one line.

    >>> print(escaped("<b>|x|</b>"))
    &lt;b&gt;\|x\|&lt;/b&gt;
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~$])", r"\\\1", text)


def markdown(table: Table) -> Iterator[str]:
    """Yield the lines of the document: a table a case in the form of the papers, gains with intervals, the worst clips."""
    yield from ("# Evaluation", "", *head(table))
    for case in table.cases:
        yield from ("", f"## {escaped(case)}" if case else "## Results", "", *means_of(table, case))
        yield from published_beside(table, case)
        if len(table.rows) > 1:
            several = len(table.of(case, table.rows[0])) > 1
            intervals = ", with 95 % intervals (bootstrap over clips)" if several else ""
            yield from ("", f"Over {escaped(table.rows[0])}{intervals}:", "")
            yield from gains_of(table, case)
    if faulty := table.faulty():
        hidden = (
            "what could be measured counts"
            if table.allow_misaligned
            else "no figure that compares with the truth is shown"
        )
        yield from ("", "## Clips with faults", "", f"Of these {hidden}.", "")
        for result in faulty:
            where = ", ".join(escaped(name) for name in (result.case, result.row, result.clip) if name)
            yield f"- {where}: {escaped('; '.join(result.measured.faults))}"
    yield from ("", f"## Clips, the worst first (at most {WORST} of a row; table.csv has all)", "", *worst_clips(table))


def head(table: Table) -> Iterator[str]:
    """Yield what was measured, how, and what could not be."""
    protocol = table.protocol
    how = [
        f"border of {count(protocol.border, 'pixel')} cut" if protocol.border else "whole frames",
        *([f"sides cut to multiples of {protocol.multiple}"] if protocol.multiple > 1 else []),
        *([f"{protocol.drop_ends} frames left out at both ends"] if protocol.drop_ends else []),
        "mean over frames, then over clips",
    ]
    inputs = f" Inputs: {escaped(table.facts['inputs'])}." if table.facts["inputs"] else ""
    yield f"Protocol {protocol.name}: {protocol.source}; {', '.join(how)}.{inputs}"
    yield ""
    for metric in table.columns:
        networks = [*metric.networks, *([f"optical flow by {table.flow}"] if metric.flow else [])]
        facts = [f"{metric.better} is better", *([metric.unit] if metric.unit else []), *networks]
        deviation = f". {protocol.deviations[metric.name]}" if metric.name in protocol.deviations else ""
        yield f"- **{metric.title}** ({', '.join(facts)}): {metric.source}{deviation}"
    for name, why in table.missing.items():
        yield f"- **{METRICS[name].title}** is missing: `{why.replace('`', ' ')}`"


def means_of(table: Table, case: str) -> Iterator[str]:
    """Yield the means of a case, the best of each column in bold."""
    found = {row: table.estimates(case, row) for row in table.rows}
    costs = costs_of(table, case)
    yield from _head_lines(["", *map(title, table.columns), *costs])
    for number, row in enumerate(table.rows):
        cells = [_best_in_bold(table, case, metric, row, found) for metric in table.columns]
        yield _line([_with_count(table, case, row), *cells, *(column[number] for column in costs.values())])


def costs_of(table: Table, case: str) -> dict[str, list[str]]:
    """Return the columns that tell what each row took, by their heads; those that are empty are left out."""
    seconds, memory = ([measured(case, row) for row in table.rows] for measured in (table.seconds, table.memory))
    columns = {
        "s a frame": ["" if taken is None else f"{taken:.2f}" for taken in seconds],
        "peak GiB": ["" if taken is None else f"{taken:.1f}" for taken in memory],
    }
    return {head: cells for head, cells in columns.items() if any(cells)}


def title(metric: Metric) -> str:
    """Return the head of a column."""
    return f"{metric.title}{f', {metric.unit}' if metric.unit else ''} {'↑' if metric.better == 'higher' else '↓'}"


def _with_count(table: Table, case: str, row: str) -> str:
    """Return the name of a row, with the number of its clips that count where some do not."""
    results = table.of(case, row)
    lying = sum(not result.measured.faults for result in results)
    if lying == len(results):
        return escaped(row)
    faults = (
        f"{len(results) - lying} of {len(results)} with faults"
        if table.allow_misaligned
        else f"{lying} of {len(results)} clips"
    )
    return f"{escaped(row)} ({faults})"


def _best_in_bold(
    table: Table, case: str, metric: Metric, row: str, found: Mapping[str, Mapping[str, Estimate]]
) -> str:
    """Return a mean, in bold if it is the best, with the number of clips that have values where some have none."""
    if metric.name not in found[row]:
        return ""
    means = {name: f"{one[metric.name].mean:.{metric.digits}f}" for name, one in found.items() if metric.name in one}
    best = (max if metric.better == "higher" else min)(means.values(), key=float)
    mean = f"**{means[row]}**" if means[row] == best and len(means) > 1 else means[row]
    counted = sum(table.allow_misaligned or not result.measured.faults for result in table.of(case, row))
    clips = found[row][metric.name].clips
    return mean if clips >= counted else f"{mean} ({count(clips, 'clip')})"


def published_beside(table: Table, case: str) -> Iterator[str]:
    """Yield the rows of papers that may stand below ours, and the figures that may not, with the reasons."""
    if not table.data_set:
        return
    facts, inputs = table.facts, case or table.facts["inputs"]
    conditions = Conditions(
        table.protocol.name, table.flow, PUBLISHED_AS.get(inputs, ""), facts["scale"], inputs,
        len({result.clip for result in table.results}), tuple({result.measured.frames for result in table.results}),
    )  # fmt: skip
    found = table.published(conditions)
    for row in found:
        if row.figures:
            cells = [f"{row.figures[m.name]:.{m.digits}f}" if m.name in row.figures else "" for m in table.columns]
            note = f" {escaped(row.note)}" if row.note else ""
            yield _line([f"*{escaped(row.name)}*{note}", *cells, *[""] * len(costs_of(table, case))])
    reasons: dict[str, list[str]] = {}
    for row in found:
        for name, (figure, why) in row.others.items():
            reasons.setdefault(why, []).append(f"{row.name} {name} {figure:g}")
    if reasons or table.other_protocols():
        yield from ("", f"Published figures of {table.data_set} that ours do not compare with:", "")
    for why, figures in reasons.items():
        yield f"- {escaped(why)} {escaped('; '.join(figures))}"
    for name in table.other_protocols():
        yield f"- All that is measured by the protocol {name}, ours by {table.protocol.name}: --protocol {name} measures as it does."


def gains_of(table: Table, case: str) -> Iterator[str]:
    """Yield what each row has over the first one."""
    yield from _head_lines(["", *map(title, table.columns)])
    for row in table.rows[1:]:
        found = table.gains(case, row)
        yield _line([escaped(row), *(_interval(metric, found.get(metric.name)) for metric in table.columns)])


def _interval(metric: Metric, gain: Estimate | None) -> str:
    if gain is None:
        return ""
    numbers = [gain.mean, *(x for x in (gain.low, gain.high) if x is not None)]
    mean, *ends = [f"{x:+.{metric.digits}f}" for x in numbers]
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def worst_clips(table: Table) -> Iterator[str]:
    """Yield the clips of every case and row on which it is worst by the first metric."""
    yield from _head_lines(["case", "row", "clip", *map(title, table.columns)])
    for case in table.cases:
        for row in table.rows:
            for result in sorted(table.of(case, row), key=_goodness(table))[:WORST]:
                cells = [_mean_cell(table, result, metric) for metric in table.columns]
                yield _line([*map(escaped, (case, row, result.clip)), *cells])


def _goodness(table: Table) -> Callable[[Result], float]:
    """Return the key by which clips are sorted: the worst first, and before them those without a figure."""
    metric = table.columns[0]

    def key(result: Result) -> float:
        values = table.values(result, metric)
        if not len(values):
            return float("-inf")
        return float(values.mean()) if metric.better == "higher" else -float(values.mean())

    return key


def _mean_cell(table: Table, result: Result, metric: Metric) -> str:
    values = table.values(result, metric)
    return f"{values.mean():.{metric.digits}f}" if len(values) else ""


def _head_lines(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield "|" + " --- |" * len(names)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
