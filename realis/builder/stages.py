"""How a stage is run: what it finishes is noted at once, and nothing is done twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from realis.builder.clip import Clip, Outcome, digest_of
from realis.builder.ledger import Ledger
from realis.builder.settings import LEDGERS
from realis.core.errors import InputError
from realis.core.log import logger, progress
from realis.core.units import count

# A stage takes clips and gives each back, in any order, with what has become of it.
Stage = Callable[[list[Clip]], Iterable[tuple[Clip, list[Outcome]]]]
# One that has to see all of them gives what has become of all.
StageOnAll = Callable[[list[Clip]], Iterator[Outcome]]


@dataclass(frozen=True)
class Tally:
    """What a stage did, in numbers: how many clips it was given and has kept, how many were dropped by reason."""

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
        wanted: whether it may; else all is known.

    Returns:
        What is kept of all clips, in their order, and the tally.

    Raises:
        InputError: not wanted, but not all is known.
    """
    keys = [digest_of([clip]) for clip in clips]
    todo = [clip for clip, key in zip(clips, keys, strict=True) if key not in ledger.outcomes]
    check_known(name, todo, wanted)
    if todo:
        ledger.keep(keys)
        with progress(total=len(clips), unit="clip", initial=len(clips) - len(todo)) as bar:
            bar.set_description(name)
            for clip, outcomes in stage(todo):
                ledger.add(digest_of([clip]), outcomes)
                bar.update()
    return conclude(name, len(clips), keys, ledger, news=bool(todo))


def run_on_all(
    name: str, stage: StageOnAll, clips: list[Clip], ledger: Ledger, wanted: bool, beside: str = ""
) -> tuple[list[Clip], Tally]:
    """Run a stage that has to see all clips at once, unless ``ledger`` knows what it did with just these, and with what is
    known ``beside`` them. As :func:`run_stage`."""
    key = digest_of(clips, beside)
    todo = key not in ledger.outcomes
    check_known(name, clips if todo else [], wanted)
    if todo:
        ledger.keep([])
        ledger.add(key, stage(clips))
    return conclude(name, len(clips), [key], ledger, news=todo)


def check_known(name: str, todo: list[Clip], wanted: bool) -> None:
    """A stage that must not run must have run."""
    if todo and not wanted:
        stage = next((stage for stage, ledgers in LEDGERS.items() if name in ledgers), name)
        raise InputError(
            f"--stages: {name} has not been run on {count(len(todo), 'clip')}, and what comes after it needs that; add {stage}"
        )


def conclude(name: str, given: int, keys: list[str], ledger: Ledger, news: bool) -> tuple[list[Clip], Tally]:
    """Put the ledger in order, and say what was kept and what was dropped for which reason."""
    ledger.settle(keys)
    kept = ledger.kept(keys)
    tally = Tally(name, given, len(kept), ledger.reasons(keys))
    if news:
        logger.info("%s", tally)
    return kept, tally


def in_this_process(work: Callable[..., Iterable[Outcome]]) -> Callable[..., Iterator[tuple[Clip, list[Outcome]]]]:
    """A stage that looks at a clip by itself, in this process: it is done before a worker would be there."""
    return lambda clips, build, config: ((clip, list(work(clip, build, config))) for clip in clips)


def in_workers(
    work: Callable[[Clip], Iterable[Outcome]], share: Callable[..., Any], clips: list[Clip]
) -> Iterator[Any]:
    """Share ``clips`` out to processes; yields each with its outcomes."""
    for clip, outcomes in share(partial(list_outcomes, work), clips):
        if isinstance(outcomes, BaseException):
            raise outcomes
        yield clip, outcomes


def list_outcomes(work: Callable[[Clip], Iterable[Outcome]], clip: Clip) -> list[Outcome]:
    """What ``work`` makes of ``clip``, as a list: a generator cannot leave its process."""
    return list(work(clip))
