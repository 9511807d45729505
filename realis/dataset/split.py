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
    """Mark each clip ``train`` or ``test``; all of one video go to one side.

    Videos in random order fill the test set as long as they fit; what is then still missing is said.
    """
    rng = np.random.default_rng(config.seed)
    left_out = drawn_out(len(clips), config.clips, rng)
    taken = [clip for number, clip in enumerate(clips) if number not in left_out]
    of_video: dict[str, list[Clip]] = {}
    for clip in taken:
        of_video.setdefault(clip.video, []).append(clip)
    wanted = config.test if len(taken) >= PAPER else round(config.test * len(taken) / PAPER)
    wanted = max(1, wanted) if len(of_video) > 1 else 0
    test: set[str] = set()
    missing = wanted
    for video in rng.permutation(sorted(of_video)):
        if len(of_video[video]) <= missing:
            test.add(video)
            missing -= len(of_video[video])
    if missing or wanted < config.test:
        logger.warning("split: %d test clips instead of %d, of %d clips of %d videos", wanted - missing, config.test,
                       len(taken), len(of_video))  # fmt: skip
    for number, clip in enumerate(clips):
        if number in left_out:
            yield Dropped(clip.name, "not drawn")
        else:
            yield replace(clip, split="test" if clip.video in test else "train")


def drawn_out(count: int, wanted: int, rng: np.random.Generator) -> set[int]:
    """Numbers of the clips that are left out, so that ``wanted`` stay."""
    return set(map(int, rng.permutation(count)[wanted:])) if wanted else set()
