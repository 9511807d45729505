"""Run a stage on clips: what it finishes is noted in its ledger at once, and nothing is done twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from realis.builder.clip import Clip, Outcome, digest_of
from realis.builder.ledger import Ledger
from realis.builder.settings import LEDGERS
from realis.core.errors import InputError
from realis.core.log import logger, progress
from realis.core.units import count

# A stage takes clips and yields each, in any order, with its outcomes.
Stage = Callable[[list[Clip]], Iterable[tuple[Clip, list[Outcome]]]]
# A stage that has to see all clips at once yields the outcomes of all.
StageOnAll = Callable[[list[Clip]], Iterator[Outcome]]


@dataclass(frozen=True)
class Tally:
    """How many clips a stage was given, how many it kept, and how many it dropped, by reason."""

    name: str
    given: int
    kept: int
    reasons: Counter[str]

    def __str__(self) -> str:
        dropped = ", ".join(f"{number} {reason}" for reason, number in self.reasons.most_common())
        kept = f"{self.kept} kept of {self.given}"
        if self.name == "scenes":  # which cuts videos into clips
            kept = f"{count(self.kept, 'clip')} of {count(self.given, 'video')}"
        return f"{self.name}: {kept}{f'; dropped: {dropped}' if dropped else ''}"


def run_stage(name: str, stage: Stage, clips: list[Clip], ledger: Ledger, wanted: bool) -> tuple[list[Clip], Tally]:
    """Run a stage that looks at each clip by itself, on those of ``clips`` that ``ledger`` does not know.

    Args:
        wanted: whether the stage may be run; if not, the ledger must know all ``clips``.

    Returns:
        The clips that are kept, in the order of ``clips``, and the tally.

    Raises:
        InputError: not ``wanted``, and the ledger does not know all ``clips``.
    """
    keys = [digest_of([clip]) for clip in clips]
    todo = [clip for clip, key in zip(clips, keys, strict=True) if key not in ledger.outcomes]
    check_known(name, todo, wanted)
    if todo:
        ledger.keep_only(keys)
        with progress(total=len(clips), unit="clip", initial=len(clips) - len(todo)) as bar:
            bar.set_description(name)
            for clip, outcomes in stage(todo):
                ledger.add(digest_of([clip]), outcomes)
                bar.update()
    return finish_stage(name, len(clips), keys, ledger, news=bool(todo))


def run_stage_on_all(
    name: str, stage: StageOnAll, clips: list[Clip], ledger: Ledger, wanted: bool, extra: str = ""
) -> tuple[list[Clip], Tally]:
    """Run a stage that has to see all clips at once, unless ``ledger`` knows its outcomes for just these clips and the same
    ``extra``. Otherwise as :func:`run_stage`."""
    key = digest_of(clips, extra)
    todo = key not in ledger.outcomes
    check_known(name, clips if todo else [], wanted)
    if todo:
        ledger.keep_only([])
        ledger.add(key, stage(clips))
    return finish_stage(name, len(clips), [key], ledger, news=todo)


def check_known(name: str, todo: list[Clip], wanted: bool) -> None:
    """Check that a stage that is not ``wanted`` has nothing to do.

    Raises:
        InputError: it has not been run on the clips in ``todo``.
    """
    if todo and not wanted:
        stage = next((stage for stage, ledgers in LEDGERS.items() if name in ledgers), name)
        raise InputError(
            f"--stages: {name} has not been run on {count(len(todo), 'clip')}, and what comes after it needs that; add {stage}"
        )


def finish_stage(name: str, given: int, keys: list[str], ledger: Ledger, news: bool) -> tuple[list[Clip], Tally]:
    """Put the ledger in order, log the tally if there is ``news``, and return the clips that are kept with the tally."""
    ledger.write_in_order(keys)
    kept = ledger.kept(keys)
    tally = Tally(name, given, len(kept), ledger.reasons(keys))
    if news:
        logger.info("%s", tally)
    return kept, tally


def in_this_process(work: Callable[..., Iterable[Outcome]]) -> Callable[..., Iterator[tuple[Clip, list[Outcome]]]]:
    """Return ``work`` on one clip as a stage in this process, for what takes less time than starting a worker."""
    return lambda clips, build, config: ((clip, list(work(clip, build, config))) for clip in clips)


def in_workers(
    work: Callable[..., Iterable[Outcome]], build: Path, settings: Any, tasks: Callable[..., Any], clips: list[Clip]
) -> Iterator[tuple[Clip, list[Outcome]]]:
    """Yield each of ``clips`` with its outcomes of ``work(clip, build, settings)``, done by worker processes through ``tasks``
    (:meth:`realis.parallel.workers.Workers.tasks`)."""
    for clip, outcomes in tasks(partial(list_outcomes, work, build, settings), clips):
        if isinstance(outcomes, BaseException):
            raise outcomes
        yield clip, outcomes


def list_outcomes(work: Callable[..., Iterable[Outcome]], build: Path, settings: Any, clip: Clip) -> list[Outcome]:
    """Return the outcomes of ``work`` on ``clip`` as a list, as a generator cannot be sent between processes."""
    return list(work(clip, build, settings))
