"""The results that are measured: those in folders of others, or made by methods from clips that are degraded first."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.core.records import digest
from realis.evaluation.config import EvaluateConfig
from realis.evaluation.degraded import make_lr
from realis.evaluation.footage import Footage, file_name
from realis.evaluation.ledger import Ledger
from realis.evaluation.restore import MethodRow, Restorer
from realis.evaluation.test_sets import Clip, match, whole_file_of

CLIP_ERRORS = (InputError, FloatingPointError)  # of one clip, which stop no other
DEGRADATIONS = ("clean", "mid")  # where none is asked for


@dataclass(frozen=True)
class Restored:
    """A restored clip.

    Args:
        case: how its input was degraded; empty: as it was given.
        row: of the table.
        clip: of the test set.
        footage: its frames; ``None``: it could not be restored.
        seconds: a frame, that it took; ``None``: not measured.
        memory: that it took at its peak, in GiB; ``None``: not measured.
        fault: why it could not be restored.
    """

    case: str
    row: str
    clip: Clip
    footage: Footage | None
    seconds: float | None = None
    memory: float | None = None
    fault: str = ""


def folder_rows(words: Sequence[str]) -> dict[str, Path]:
    """Parse what ``--outputs`` takes, ``NAME=FOLDER`` or ``FOLDER``, into the folder of each row.

    Raises:
        InputError: no such folder.
    """
    rows: dict[str, Path] = {}
    for word in words:
        name, _, folder = word.partition("=") if "=" in word and not Path(word).is_dir() else ("", "", word)
        path = Path(folder)
        require(
            bool(folder) and path.is_dir(),
            f"--outputs {word}",
            "no folder there",
            "a folder of restored clips, or NAME=FOLDER",
        )
        name = name or path.resolve().name
        require(name not in rows, "--outputs", f"{name} twice", "NAME=FOLDER, with another name for each")
        rows[name] = path
    return rows


@contextmanager
def warnings_only(is_on: bool) -> Iterator[None]:
    """Leave out messages that are no warnings, if this ``is_on``."""
    level = logger.level
    logger.setLevel(logging.WARNING if is_on else level)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_names(rows: Sequence[str]) -> None:
    """Make sure that rows can be told apart, also as folders.

    Raises:
        InputError: two cannot.
    """
    names = [file_name(row).lower() for row in rows]
    twice = next((row for row, name in zip(rows, names, strict=True) if names.count(name) > 1), None)
    require(twice is None, "rows", f"{twice} twice", "another name for each: NAME=...")


def given_results(folders: dict[str, Path], clips: Sequence[Clip]) -> Iterator[Restored]:
    """Yield the results in the folders of ``--outputs``.

    Raises:
        InputError: a clip has none.
    """
    for row, folder in folders.items():
        for clip, footage in zip(clips, match(clips, folder, "--outputs"), strict=True):
            yield Restored("", row, clip, footage)


def make_results(
    config: EvaluateConfig, methods: Sequence[MethodRow], clips: Sequence[Clip], output: Path, ledger: Ledger
) -> Iterator[Restored]:
    """Degrade the clips where they have no low resolution, and restore them by every method; yield the results.

    Neither a clip that a method cannot restore nor a method whose files are missing stops the others.

    Raises:
        InputError: a clip cannot be degraded; the files of all methods are missing.
    """
    inputs = []
    for case in [""] if config.lr else config.degradation or DEGRADATIONS:
        folder = output / "lr" / file_name(case or "given")
        for clip in clips:
            if clip.lr:
                lr = whole_file_of(clip.lr, folder, clip.name)
            else:
                lr = make_lr(clip, case, config.scale, config.seed, folder)
            height, width = clip.truth.size() if clip.truth else (side * config.scale for side in lr.size())
            inputs.append((case, clip, lr, (height, width)))

    def folder_of(case: str, row: str) -> Path:
        return output / "restored" / file_name(case or "given") / file_name(row)

    restorers, missing = find_restorers(methods, [clip.prompt for clip in clips])
    for row, fault in missing.items():
        logger.warning("%s: left out: %s", row, fault)
    for restorer in [] if config.restart else restorers:
        for case, clip, lr, size in inputs:
            restorer.check(clip, lr, size, folder_of(case, restorer.row.name))
    while restorers:
        restorer = restorers.pop(0)  # the one before goes with its weights
        row = restorer.row.name
        for done, (case, clip, lr, size) in enumerate(inputs, 1):
            logger.info("%s: %d of %d: %s", row, done, len(inputs), ", ".join(filter(None, (case, clip.name))))
            try:
                with warnings_only(done > 1):  # the plan is much the same for all
                    footage, cost = restorer.restore(clip, lr, size, folder_of(case, row), config.restart)
            except CLIP_ERRORS as error:
                logger.warning("%s, %s: could not be restored: %s", row, clip.name, error)
                yield Restored(case, row, clip, None, fault=f"could not be restored: {error}")
                continue
            key = digest(["cost", case, row, clip.name, footage.facts()])
            if cost:
                ledger.add(key, {"seconds": cost.seconds / sum(1 for _ in lr.read()), "memory": cost.memory})
            known = ledger.facts(key)
            yield Restored(case, row, clip, footage, known.get("seconds"), known.get("memory"))
    for row, fault in missing.items():  # last, as gains are over the first row
        yield from (Restored(case, row, clip, None, fault=f"left out: {fault}") for case, clip, _, _ in inputs)


def find_restorers(methods: Sequence[MethodRow], prompts: Sequence[str]) -> tuple[list[Restorer], dict[str, str]]:
    """Return the methods that can be run, in their order, and by its name why each of the others cannot.

    Args:
        methods: rows of the table.
        prompts: the captions of all clips.

    Raises:
        InputError: none can be.
    """
    restorers: list[Restorer] = []
    missing: dict[str, str] = {}
    for row in methods:
        try:
            restorers.append(Restorer(row, prompts))
        except InputError as error:
            if len(missing) + 1 == len(methods):
                raise
            missing[row.name] = str(error)
    return restorers, missing
