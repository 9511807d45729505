"""``evaluate``: measure restored videos as papers do; composes test set, methods, protocol, measurement and table."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from realis.core.config import as_plain, dump
from realis.core.errors import InputError
from realis.core.log import logger
from realis.core.units import count
from realis.evaluation.config import EvaluateConfig
from realis.evaluation.degraded import ranges_of
from realis.evaluation.instruments import Instruments, find_instruments, versions
from realis.evaluation.ledger import open_ledger
from realis.evaluation.measure import measure_results
from realis.evaluation.pictures import save_sheets
from realis.evaluation.report import head, means_of, write_table
from realis.evaluation.restore import OURS, MethodRow, Restorer, method_rows
from realis.evaluation.results import DEGRADATIONS, check_names, folder_rows, given_results, make_results
from realis.evaluation.table import Result, Table
from realis.evaluation.test_sets import (
    Clip,
    clips_of_folder,
    clips_of_footage,
    clips_of_lr,
    clips_of_manifest,
    rendered_clips,
    with_lr,
)
from realis.video.fingerprint import fingerprint

BARE_METHODS, BARE_FRAMES = ("bicubic", "lanczos", "cpc"), 9
FAULTS_SHOWN = 10  # in the terminal; the table has all


def evaluate(config: EvaluateConfig) -> Path:
    """Make the table, and return the file that shows it.

    Raises:
        InputError: something given cannot be used; or, after the table is written, a clip does not lie on the truth.
        RunError: the disk is full, memory is too small, a process was killed.
    """
    config.check_folders()
    folders = folder_rows(config.outputs)
    methods = [] if folders else method_rows(config.method or BARE_METHODS)
    check_names([*folders, *(row.name for row in methods)])
    has_truth = bool(config.ground_truth or config.data or config.clips or (not config.outputs and not config.lr))
    instruments, missing = find_instruments(config, has_truth)
    output = Path(config.output)
    with open_ledger(output) as ledger:
        clips = find_clips(config, output)
        found = list(given_results(folders, clips) if folders else make_results(config, methods, clips, output, ledger))
        measured = measure_results(instruments, found, ledger, config.workers)
        results = [
            Result(one.case, one.row, one.clip.name, what, one.seconds, one.memory)
            for one, what in zip(found, measured, strict=True)
        ]
        ran = {one.row for one in found if one.footage}
        facts = facts_of(config, instruments, [method for method in methods if method.name in ran], clips)
        table = Table(
            instruments.protocol, instruments.metrics, missing, instruments.flow, results, config.allow_misaligned,
            config.data_set, facts,
        )  # fmt: skip
        dump(config, output / "evaluate.yaml")
        files = write_table(table, output)
        save_sheets(found, measured, output / "sheets", config.workers)
    show(head(table))
    for case in table.cases:
        show(["", *([f"{case}:"] if case else []), *means_of(table, case)])
    for one in table.faulty()[:FAULTS_SHOWN]:
        logger.warning("%s: %s", ", ".join(filter(None, (one.case, one.row, one.clip))), "; ".join(one.measured.faults))
    logger.info("wrote %s", ", ".join(map(str, files)))
    bad = [one for one in table.faulty() if one.measured.values is None or not config.allow_misaligned]
    if bad:
        first = ", ".join(name for name in (bad[0].case, bad[0].row, bad[0].clip) if name)
        raise InputError(f"{len(bad)} of {count(len(results), 'result')} cannot be compared with the truth, such as {first}: "
                         f"{'; '.join(bad[0].measured.faults)}; {files[0]} has all")  # fmt: skip
    return files[0]


def show(lines: Iterable[str]) -> None:
    """Print lines; what the terminal cannot show becomes question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    print("\n".join(lines).encode(encoding, "replace").decode(encoding))


def find_clips(config: EvaluateConfig, output: Path) -> list[Clip]:
    """Find or make the clips of the test set.

    Raises:
        InputError: there are none, or a low-resolution clip is missing.
    """
    frames, multiple = config.frames or None, 1 if config.outputs or config.lr else config.scale
    if config.ground_truth:
        clips = clips_of_folder(config.ground_truth, frames, multiple)
    elif config.data:
        clips = clips_of_manifest(config.data, frames, multiple)
    elif config.clips:
        clips = clips_of_footage(config.clips, output / "truth", frames, multiple)
    elif config.lr:
        return clips_of_lr(config.lr, frames)
    elif config.outputs:
        first = next(iter(folder_rows(config.outputs).values()))
        return [replace(clip, truth=None) for clip in clips_of_folder(str(first), frames, 1)]
    else:
        clips = rendered_clips(output / "truth", frames or BARE_FRAMES)
    return with_lr(clips, config.lr) if config.lr else clips


def facts_of(
    config: EvaluateConfig, instruments: Instruments, methods: Sequence[MethodRow], clips: Sequence[Clip]
) -> dict[str, Any]:
    """Return what the table was made with, by which it can be made again."""
    are_given = bool(config.lr or config.outputs)
    cases = () if are_given else config.degradation or DEGRADATIONS
    return {
        "versions": versions(),
        "networks": {name: {"sha256": digest} for name, digest in instruments.digests().items()},
        "device": instruments.device,
        "degradations": {name: {"seed": config.seed, "ranges": ranges_of(name)} for name in cases},
        "inputs": "".join(config.degradation) if are_given else "",
        "scale": config.scale,
        "frames at most": config.frames,
        "command": as_plain(config),
        "data set": config.data_set,
        "methods": {row.name: method_facts(row) for row in methods},
        "test set": [
            {"clip": clip.name, "caption": clip.prompt, **(source.facts() if (source := clip.truth or clip.lr) else {})}
            for clip in clips
        ],
    }


def method_facts(row: MethodRow) -> dict[str, Any]:
    """Return the flags of a method, the settings that they stand for, and what its weights are."""
    needs = Restorer(row, []).loader.needs(prompted=False)
    weights = {name: fingerprint(path, needs.parts.get(path, ())) for name, path in needs.weights.items()}
    settings = {name: value for name, value in row.config.settings(needs).items() if name not in OURS}
    return {"flags": row.flags, "settings": settings, "content of weights": weights}
