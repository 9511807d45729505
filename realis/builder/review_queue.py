"""Who looks at which clip: what the page asks, without the page."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from realis.builder.clip import Clip
from realis.builder.verdicts import DROP, KEEP, UNDO, Verdict, VerdictFile, decision, opinions, undecided

REASONS = ("wrong caption", "blurry", "noise", "upscaled", "text or watermark", "other")
CLAIM = 90.0  # seconds that a clip stays with a session from which nothing is heard


@dataclass(frozen=True)
class ReviewProgress:
    """How far the review is."""

    total: int
    kept: int
    dropped: int

    @property
    def decided(self) -> int:
        """How many clips have a verdict."""
        return self.kept + self.dropped


class ReviewQueue:
    """The clips to review, in order. Safe to use from several threads.

    A session (one browser tab) has a claim on the clip that it looks at, so that others are given other ones. Claims are
    in memory: two servers on one folder may show the same clip, and lose nothing.

    Args:
        clips: in the order in which they are shown.
        file: where verdicts go.
        clock: seconds.
    """

    def __init__(self, clips: list[Clip], file: VerdictFile, clock: Callable[[], float] = time.monotonic) -> None:
        self.clips, self.file, self.clock = clips, file, clock
        self.places = {clip.name: place for place, clip in enumerate(clips)}
        self._claims: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def show(self, session: str, name: str) -> Clip:
        """The clip ``name``, or if there is none such, the next to decide; it is then the session's."""
        with self._lock:
            clip = self.clips[self.places[name]] if name in self.places else self._next(session, -1)
            self._claims = {at: claim for at, claim in self._claims.items() if claim[0] != session}
            self._claims[clip.name] = (session, self.clock())
            return clip

    def decide(self, session: str, reviewer: str, name: str, verdict: str, reason: str = "") -> Clip:
        """Note a verdict on the clip ``name``, and show the next to decide.

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
        """Show the clip ``by`` places behind ``name``, decided or not; beyond the last comes the first."""
        place = self.places.get(name, 0) + by
        return self.show(session, self.clips[place % len(self.clips)].name)

    def stay(self, session: str, name: str) -> None:
        """The session is still at ``name``."""
        with self._lock:
            if self._claims.get(name, ("", 0.0))[0] == session:
                self._claims[name] = (session, self.clock())

    def opinion(self, clip: Clip) -> dict[str, Verdict]:
        """What stands of a clip, by reviewer."""
        return opinions([clip], self.file.read())[clip.name]

    def progress(self) -> ReviewProgress:
        """How many are decided."""
        decided = [decision(one) for one in opinions(self.clips, self.file.read()).values()]
        verdicts = [one.verdict for one in decided if one]
        return ReviewProgress(len(self.clips), verdicts.count(KEEP), verdicts.count(DROP))

    def waiting(self) -> int:
        """How many have no verdict."""
        return len(undecided(self.clips, self.file.read()))

    def after(self, session: str, name: str) -> Clip:
        """What :meth:`decide` would show after ``name``."""
        with self._lock:
            return self._next(session, self.places[name])

    def _next(self, session: str, place: int) -> Clip:
        """The first behind ``place``, and round again, that waits and is nobody else's; if all that wait are others', the
        first of those; if none waits, the one at ``place``."""
        waiting = {clip.name for clip in undecided(self.clips, self.file.read())}
        around = self.clips[place + 1 :] + self.clips[: place + 1]
        wait = [clip for clip in around if clip.name in waiting]
        free = [clip for clip in wait if not self._is_others(clip.name, session)]
        return next(iter(free or wait), self.clips[max(place, 0)])

    def _is_others(self, name: str, session: str) -> bool:
        owner, heard = self._claims.get(name, (session, 0.0))
        return owner != session and self.clock() - heard < CLAIM

    def _last_of(self, reviewer: str) -> Clip | None:
        """The clip of the last verdict of ``reviewer`` that stands."""
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
