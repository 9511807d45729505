"""How a stage is run: what it finishes is noted at once, and nothing is done twice."""

from collections.abc import Callable, Iterable, Iterator

from realis.dataset.clip import Clip, Outcome, digest_of
from realis.dataset.ledger import Ledger
from realis.log import logger, progress

# A stage takes clips and gives each back, in any order, with what has become of it.
Stage = Callable[[list[Clip]], Iterable[tuple[Clip, list[Outcome]]]]


def run_stage(name: str, stage: Stage, clips: list[Clip], ledger: Ledger) -> list[Clip]:
    """Run a stage that looks at each clip by itself, on those of ``clips`` that ``ledger`` does not know; returns what is
    kept of all of them, in their order."""
    keys = [digest_of([clip]) for clip in clips]
    todo = [clip for clip, key in zip(clips, keys, strict=True) if key not in ledger.outcomes]
    if todo:
        with progress(total=len(clips), unit="clip", initial=len(clips) - len(todo)) as bar:
            bar.set_description(name)
            for clip, outcomes in stage(todo):
                ledger.add(digest_of([clip]), outcomes)
                bar.update()
    return conclude(name, clips, keys, ledger, news=bool(todo))


def run_on_all(
    name: str, stage: Callable[[list[Clip]], Iterator[Outcome]], clips: list[Clip], ledger: Ledger
) -> list[Clip]:
    """Run a stage that has to see all clips at once, unless ``ledger`` knows what it did with just these."""
    key = digest_of(clips)
    todo = key not in ledger.outcomes
    if todo:
        ledger.add(key, stage(clips))
    return conclude(name, clips, [key], ledger, news=todo)


def conclude(name: str, clips: list[Clip], keys: list[str], ledger: Ledger, news: bool) -> list[Clip]:
    """Put the ledger in order, and say what was kept and what was dropped for which reason."""
    ledger.settle(keys)
    kept, reasons = ledger.kept(keys), ledger.reasons(keys)
    if news:
        dropped = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        logger.info("%s: %d of %d kept%s", name, len(kept), len(clips), f"; dropped: {dropped}" if dropped else "")
    return kept
