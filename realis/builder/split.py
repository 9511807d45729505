"""Stage ``split``: draw training and test clips at random, no footage on both sides (paper: "randomly select 140")."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from realis.builder.clip import Clip, Dropped, Outcome
from realis.core.errors import require
from realis.core.log import logger
from realis.core.units import count

Item = TypeVar("Item")
PAPER = 1000  # clips, of which 140 are the test set


@dataclass(frozen=True)
class SplitConfig:
    """How the clips are divided."""

    clips: int = 0  # in all, drawn at random; 0: all there are
    test: int = 140  # clips of the test set; of fewer than 1000 clips in all, the same share
    seed: int = 0  # of both draws

    def __post_init__(self) -> None:
        require(self.clips >= 0, "--split.clips", self.clips, "0 or more")
        require(self.test >= 1, "--split.test", self.test, "1 or more")
        require(self.seed >= 0, "--split.seed", self.seed, "0 or more")


def split(clips: list[Clip], config: SplitConfig) -> Iterator[Outcome]:
    """Mark each clip ``train`` or ``test``; all of one group of videos go to one side."""
    drawn = {clip.name for clip in shuffled(clips, lambda clip: clip.name, config.seed)[: config.clips or None]}
    of_group: dict[str, list[str]] = {}
    for clip in clips:
        if clip.name in drawn:
            of_group.setdefault(clip.group, []).append(clip.name)
    wanted = config.test if len(drawn) >= PAPER else max(1, round(config.test * len(drawn) / PAPER))
    test, surplus = draw_test_clips([of_group[group] for group in shuffled(of_group, str, config.seed)], wanted)
    if len(test) < wanted:
        logger.warning("split: %s instead of %d, of %s in %s", count(len(test), "test clip"), wanted,
                       count(len(drawn), "clip"), count(len(of_group), "group of videos", "groups of videos"))  # fmt: skip
    for clip in clips:
        if clip.name not in drawn:
            yield Dropped(clip.name, "not drawn")
        elif clip.name in surplus:
            yield Dropped(clip.name, "its video has filled the test set")
        else:
            yield replace(clip, split="test" if clip.name in test else "train")


def shuffled(items: Iterable[Item], name: Callable[[Item], str], seed: int) -> list[Item]:
    """Return ``items`` in a random order that depends on their names and ``seed`` alone: where one is added or removed, the
    others keep their order, so that most test clips stay test clips."""
    return sorted(items, key=lambda item: hashlib.sha256(os.fsencode(f"{seed} {name(item)}")).digest())


def draw_test_clips(groups: list[list[str]], wanted: int) -> tuple[set[str], set[str]]:
    """Choose the test clips; return these, and the surplus clips of their groups, which belong to neither side.

    Groups are taken whole, in order, as long as they fit. If fewer than ``wanted`` clips result, the rest comes from the
    smallest group that did not fit, whose other clips are the surplus; unless the surplus would be larger than the test set
    and there are test clips without it. The last group is always for training.
    """
    test: list[str] = []
    too_large = []
    for group in groups[:-1]:
        (test.extend if len(test) + len(group) <= wanted else too_large.append)(group)
    missing = wanted - len(test)
    smallest = min(too_large, key=len, default=[])
    last = smallest if missing and (not test or len(smallest) - missing <= wanted) else []
    return {*test, *last[:missing]}, set(last[missing:])
