"""A part of a video, in seconds as a player's clock shows them: from 0 at the first moment that is presented."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from realis.core.errors import InputError

TIME = re.compile(r"(?:(?:(\d{1,9}):(?=\d\d?:))?(\d{1,9}):(?=\d\d?(?:\.|$)))?(\d{1,9}(?:\.\d{1,18})?)", re.ASCII)


@dataclass(frozen=True)
class Span:
    """The frames whose own times lie in [start, stop), in seconds; ``stop`` ``None``: to the end."""

    start: Fraction = Fraction(0)
    stop: Fraction | None = None

    def __str__(self) -> str:
        """Name it.

        >>> str(Span(Fraction(90), Fraction(201, 2)))
        'from 90s to 100.5s'
        """
        if self == WHOLE:
            return "all"
        return f"from {written(self.start)}s" + (f" to {written(self.stop)}s" if self.stop is not None else "")

    def holds(self, time: Fraction) -> bool:
        """Whether ``time``, in seconds, is in it."""
        return self.start <= time and not self.is_over(time)

    def is_over(self, time: Fraction) -> bool:
        """Whether ``time``, in seconds, is after it."""
        return self.stop is not None and time >= self.stop

    def later(self, seconds: Fraction) -> "Span":
        """The same part on a clock that shows 0 so many ``seconds`` earlier; all of a video stays all of it."""
        if self == WHOLE:
            return self
        return Span(self.start + seconds, None if self.stop is None else self.stop + seconds)

    def count(self, rate: Fraction, frames: int) -> int:
        """How many of ``frames``, one each 1 / ``rate`` seconds from 0 on, begin in it."""
        stop = frames if self.stop is None else min(frames, ceil(self.stop * rate))
        return max(0, stop - ceil(self.start * rate))

    def clipped(self, begin: Fraction, end: Fraction) -> tuple[Fraction, Fraction]:
        """The part of [begin, end), in seconds, that lies in it, from its start on; ``end`` <= ``begin`` where none does."""
        end = end if self.stop is None else min(end, self.stop)
        return max(begin, self.start) - self.start, end - self.start


WHOLE = Span()


def parse_time(text: str, flag: str) -> Fraction:
    """Return the seconds that a time as people write it means, exactly.

    Raises:
        InputError: it is none.

    >>> parse_time("1:02:03.5", "--start")
    Fraction(7447, 2)
    """
    match = TIME.fullmatch(text)
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups()) if match else (0, 0, Fraction(60))
    if not match or (match[1] and minutes >= 60) or (match[2] and seconds >= 60):
        raise InputError(f"{flag}: got {text!r}, wanted a time in seconds (90.5), minutes:seconds (1:30) or "
                         "hours:minutes:seconds (1:02:03.5)")  # fmt: skip
    return hours * 3600 + minutes * 60 + seconds


def parse_span(start: str, duration: str) -> Span:
    """Return the span that ``--start`` and ``--duration`` name; empty ones: from the beginning, to the end.

    Raises:
        InputError: one is no time, or the duration is 0.
    """
    begin = parse_time(start, "--start") if start else Fraction(0)
    if not duration:
        return Span(begin)
    length = parse_time(duration, "--duration")
    if not length:
        raise InputError(f"--duration: got {duration}, wanted more than 0 seconds")
    return Span(begin, begin + length)


def written(seconds: Fraction) -> str:
    """``seconds`` in short.

    >>> written(Fraction(181, 2))
    '90.5'
    """
    return f"{float(seconds):.12g}"
