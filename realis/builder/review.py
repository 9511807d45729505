"""Stage ``review``: people look at the clips (paper: "we manually filter out the low-quality videos that are wrongly
selected due to wrong text annotation")."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from realis.builder.clip import Clip, Dropped, Outcome
from realis.builder.review_previews import Previews
from realis.builder.review_queue import ReviewQueue
from realis.builder.verdicts import DROP, KEEP, Verdict, VerdictFile, decision, opinions, undecided
from realis.core.config import RUN
from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.core.units import count

VERDICTS = Path("review", "verdicts.jsonl")  # in the folder of the build
PREVIEWS = Path("work", "previews")
POLL = 0.25  # seconds between two looks at the verdicts


@dataclass(frozen=True)
class ReviewConfig:
    """How clips are reviewed. Nothing here changes verdicts that have been given."""

    auto_accept: Annotated[bool, RUN] = False  # keep every clip that has no verdict, though nobody has looked at it
    # where the page is served; at any other address, others on the network can decide too
    host: Annotated[str, RUN] = "127.0.0.1"
    port: Annotated[int, RUN] = 7860  # 0: one that is free
    preview: Annotated[int, RUN] = 960  # longer side of the moving preview, in pixels
    crop: Annotated[int, RUN] = 560  # side of the part that is shown pixel for pixel
    linger: Annotated[int, RUN] = 20  # seconds that the page stays after the last verdict, so that it can be taken back

    def __post_init__(self) -> None:
        require(bool(self.host.strip()), "--review.host", repr(self.host), "an address such as 127.0.0.1")
        require(0 <= self.port < 65536, "--review.port", self.port, "0 to 65535")
        require(64 <= self.preview <= 3840, "--review.preview", self.preview, "64 to 3840 pixels")
        require(64 <= self.crop <= 2160, "--review.crop", self.crop, "64 to 2160 pixels")
        require(self.linger >= 0, "--review.linger", self.linger, "0 or more seconds")


def review(clips: list[Clip], build: Path, config: ReviewConfig) -> Iterator[tuple[Clip, list[Outcome]]]:
    """Yield each clip with its outcome by the verdicts of the reviewers, in order.

    Verdicts are in ``review/verdicts.jsonl`` of ``build``. Where clips have none, a page is served until all have one.

    Raises:
        InputError: the page cannot be served, or the file of verdicts is damaged.
        KeyboardInterrupt: Ctrl-C while the page is served; what was decided stays.
    """
    file = VerdictFile(build / VERDICTS)
    verdicts = file.read()
    if undecided(clips, verdicts) and not config.auto_accept:
        verdicts = serve_until_decided(clips, build, file, config)
    if unseen := undecided(clips, verdicts):
        logger.warning(
            "REVIEW LEFT OUT: nobody has looked at %d of %s, kept all the same (--review.auto-accept); the data set's card "
            "says so", len(unseen), count(len(clips), "clip"),
        )  # fmt: skip
    opinion = opinions(clips, verdicts)
    for clip in clips:
        yield clip, [outcome(clip, opinion[clip.name])]


def outcome(clip: Clip, opinion: dict[str, Verdict]) -> Outcome:
    """Return the clip, or if reviewers drop it, the reason and how many were for and against it."""
    decided = decision(opinion)
    if decided is None or decided.verdict == KEEP:
        return clip
    drops = sum(one.verdict == DROP for one in opinion.values())
    return Dropped(
        clip.name, f"drop: {decided.reason or 'no reason given'}", f"drop {drops}, keep {len(opinion) - drops}"
    )


def serve_until_decided(clips: list[Clip], build: Path, file: VerdictFile, config: ReviewConfig) -> list[Verdict]:
    """Serve the page until every clip has a verdict; return all verdicts.

    Raises:
        InputError: what serves it is not installed, or it cannot be served there.
    """
    try:  # on demand: they are extras
        from realis.builder.review_page import make_app
        from realis.serving.server import serve
    except ImportError as error:
        raise InputError(
            f"review: got {error}, wanted FastAPI, uvicorn and Jinja2 for the page on which clips are looked at: "
            "pip install 'realis[ui]', or keep every clip unseen with --review.auto-accept"
        ) from error
    queue = ReviewQueue(clips, file)
    with Previews(build / PREVIEWS, build, clips, config.preview, config.crop) as previews:
        try:
            with serve(make_app(queue, previews), "review", config.host, config.port) as address:
                logger.info(
                    "review: verdicts are wanted on %s: open %s in a browser", count(queue.waiting(), "clip"), address
                )
                return wait_for_verdicts(queue, config.linger)
        except KeyboardInterrupt:
            logger.warning(
                "review: verdicts are still wanted on %d of %s; what was decided stays in %s: give the same command to go "
                "on, or add --review.auto-accept to keep the rest unseen",
                queue.waiting(), count(len(clips), "clip"), file.file,
            )  # fmt: skip
            raise


def wait_for_verdicts(queue: ReviewQueue, linger: float) -> list[Verdict]:
    """Wait until every clip has a verdict and none has come for ``linger`` seconds; return all verdicts."""
    count, since = -1, 0.0
    while True:
        verdicts = queue.file.read()
        if len(verdicts) != count:
            count, since = len(verdicts), time.monotonic()
        if not undecided(queue.clips, verdicts) and time.monotonic() - since >= linger:
            return verdicts
        time.sleep(POLL)


def review_sentence(clips: list[Clip], build: Path) -> str:
    """Return the sentence of the dataset card on how many clips people have looked at.

    Args:
        clips: those that :func:`review` kept.
        build: folder of the build.
    """
    opinion = opinions(clips, VerdictFile(build / VERDICTS).read())
    reviewers = {reviewer for one in opinion.values() for reviewer in one}
    unseen = sum(not one for one in opinion.values())
    people = count(len(reviewers), "reviewer")
    if not unseen:
        return f"Every clip was looked at and kept by hand, by {people}."
    seen = f"; {people} looked at the other {len(clips) - unseen}" if reviewers else ""
    return f"**Nobody has looked at {unseen} of {count(len(clips), 'clip')}** (`--review.auto-accept`){seen}."
