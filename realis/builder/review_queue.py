"""The queue of the review: which reviewer sees which clip next. The logic of the page, without the page."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from realis.builder.clip import Clip
from realis.builder.verdicts import DROP, KEEP, UNDO, Verdict, VerdictFile, decision, opinions, undecided

REASONS = ("wrong caption", "blurry", "noise", "upscaled", "text or watermark", "other")
CLAIM = 90.0  # seconds after which the claim of a silent session expires


@dataclass(frozen=True)
class ReviewProgress:
    """How many clips there are to review, and how many are kept and dropped so far."""

    total: int
    kept: int
    dropped: int

    @property
    def decided(self) -> int:
        """The number of clips that have a verdict."""
        return self.kept + self.dropped


class ReviewQueue:
    """The clips to review, in order. Safe to use from several threads.

    A session (one browser tab) has a claim on the clip that it shows, so that other sessions get other clips. Claims are
    kept in memory only: two servers on one folder may show the same clip, but lose no verdict.

    Args:
        clips: in the order in which they are shown.
        file: where verdicts are written.
        clock: returns a time in seconds.
    """

    def __init__(self, clips: list[Clip], file: VerdictFile, clock: Callable[[], float] = time.monotonic) -> None:
        self.clips, self.file, self.clock = clips, file, clock
        self.places = {clip.name: place for place, clip in enumerate(clips)}
        self._claims: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def show(self, session: str, name: str) -> Clip:
        """Claim the clip ``name`` for the session and return it; if there is no such clip, the next to decide."""
        with self._lock:
            clip = self.clips[self.places[name]] if name in self.places else self._next(session, -1)
            self._claims = {at: claim for at, claim in self._claims.items() if claim[0] != session}
            self._claims[clip.name] = (session, self.clock())
            return clip

    def decide(self, session: str, reviewer: str, name: str, verdict: str, reason: str = "") -> Clip:
        """Write a verdict on the clip ``name``, and show the next to decide.

        Raises:
            InputError, RunError: it cannot be written.
        """
        assert verdict in (KEEP, DROP)
        assert not reason or reason in REASONS
        if name in self.places:
            self.file.add(self.clips[self.places[name]], reviewer, verdict, reason)
            with self._lock:
                name = self._next(session, self.places[name]).name
        return self.show(session, name)

    def undo(self, session: str, reviewer: str, name: str) -> Clip:
        """Take back the last verdict of ``reviewer`` and show that clip; without one, the clip ``name``."""
        if last := self._last_of(reviewer):
            self.file.add(last, reviewer, UNDO)
            name = last.name
        return self.show(session, name)

    def step(self, session: str, name: str, by: int) -> Clip:
        """Show the clip ``by`` places after ``name``, decided or not; the first follows the last."""
        place = self.places.get(name, 0) + by
        return self.show(session, self.clips[place % len(self.clips)].name)

    def stay(self, session: str, name: str) -> None:
        """Renew the claim of the session on ``name``."""
        with self._lock:
            if self._claims.get(name, ("", 0.0))[0] == session:
                self._claims[name] = (session, self.clock())

    def opinion(self, clip: Clip) -> dict[str, Verdict]:
        """Return the valid verdicts on a clip, by reviewer."""
        return opinions([clip], self.file.read())[clip.name]

    def progress(self) -> ReviewProgress:
        """Return how many clips are decided."""
        decided = [decision(one) for one in opinions(self.clips, self.file.read()).values()]
        verdicts = [one.verdict for one in decided if one]
        return ReviewProgress(len(self.clips), verdicts.count(KEEP), verdicts.count(DROP))

    def waiting(self) -> int:
        """Return how many clips have no verdict."""
        return len(undecided(self.clips, self.file.read()))

    def after(self, session: str, name: str) -> Clip:
        """Return the clip that :meth:`decide` would show after ``name``."""
        with self._lock:
            return self._next(session, self.places[name])

    def _next(self, session: str, place: int) -> Clip:
        """Return the first undecided clip after ``place``, cyclically, that no other session has claimed; if all are claimed,
        the first undecided one; if none is undecided, the clip at ``place``."""
        rotated = self.clips[place + 1 :] + self.clips[: place + 1]
        waiting = undecided(rotated, self.file.read())
        free = [clip for clip in waiting if not self._is_claimed_by_another(clip.name, session)]
        return next(iter(free or waiting), self.clips[max(place, 0)])

    def _is_claimed_by_another(self, name: str, session: str) -> bool:
        owner, heard = self._claims.get(name, (session, 0.0))
        return owner != session and self.clock() - heard < CLAIM

    def _last_of(self, reviewer: str) -> Clip | None:
        """Return the clip of the last verdict of ``reviewer`` that was not undone."""
        given: list[str] = []
        digests = {clip.name: clip.digest for clip in self.clips}
        for one in self.file.read():
            if one.reviewer != reviewer or digests.get(one.clip) != one.digest:
                continue
            if one.verdict != UNDO:
                given.append(one.clip)
            elif one.clip in given:
                del given[len(given) - 1 - given[::-1].index(one.clip)]
        return self.clips[self.places[given[-1]]] if given else None
