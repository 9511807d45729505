"""Training and test clips: drawn at random, no footage on both sides (paper: "randomly select 140")."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from realis.dataset.clip import Clip, Dropped, Outcome
from realis.errors import require
from realis.log import logger

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
    rng = np.random.default_rng(config.seed)
    left_out = drawn_out(len(clips), config.clips, rng)
    of_group: dict[str, list[str]] = {}
    for number, clip in enumerate(clips):
        if number not in left_out:
            of_group.setdefault(clip.group, []).append(clip.name)
    taken = len(clips) - len(left_out)
    wanted = config.test if taken >= PAPER else max(1, round(config.test * taken / PAPER))
    test, surplus = draw([of_group[group] for group in rng.permutation(sorted(of_group))], wanted)
    if len(test) < config.test:
        logger.warning("split: %d test clips instead of %d, of %d clips in %d groups of videos", len(test), config.test,
                       taken, len(of_group))  # fmt: skip
    for number, clip in enumerate(clips):
        if number in left_out:
            yield Dropped(clip.name, "not drawn")
        elif clip.name in surplus:
            yield Dropped(clip.name, "its video has filled the test set")
        else:
            yield replace(clip, split="test" if clip.name in test else "train")


def draw(groups: list[list[str]], wanted: int) -> tuple[set[str], set[str]]:
    """Which ``wanted`` clips are for testing, and which then have no place on either side.

    Groups are taken whole as long as they fit. What is then missing comes from the smallest of the others, whose other
    clips are those without a place. The last group stays for training.
    """
    test: list[str] = []
    too_large = []
    for group in groups[:-1]:
        (test.extend if len(test) + len(group) <= wanted else too_large.append)(group)
    missing = wanted - len(test)
    last = min(too_large, key=len, default=[]) if missing else []
    return {*test, *last[:missing]}, set(last[missing:])


def drawn_out(count: int, wanted: int, rng: np.random.Generator) -> set[int]:
    """Numbers of the clips that are left out, so that ``wanted`` stay."""
    return set(map(int, rng.permutation(count)[wanted:])) if wanted else set()
