"""A part of a video, in seconds of a player's clock, which shows 0 when the first picture or sound is presented."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from realis.core.errors import InputError

TIME = re.compile(r"(?:(?:(\d{1,9}):(?=\d\d?:))?(\d{1,9}):(?=\d\d?(?:\.|$)))?(\d{1,9}(?:\.\d{1,18})?)", re.ASCII)


@dataclass(frozen=True)
class Span:
    """The frames whose times of presentation are in [start, stop), in seconds; ``stop`` = ``None``: to the end."""

    start: Fraction = Fraction(0)
    stop: Fraction | None = None

    def __str__(self) -> str:
        """Describe it in words.

        >>> str(Span(Fraction(90), Fraction(201, 2)))
        'from 90s to 100.5s'
        """
        if self == WHOLE:
            return "all"
        return f"from {format_seconds(self.start)}s" + (
            f" to {format_seconds(self.stop)}s" if self.stop is not None else ""
        )

    def holds(self, time: Fraction) -> bool:
        """Whether ``time``, in seconds, is in it."""
        return self.start <= time and not self.is_over(time)

    def is_over(self, time: Fraction) -> bool:
        """Whether ``time``, in seconds, is after it."""
        return self.stop is not None and time >= self.stop

    def shifted(self, seconds: Fraction) -> "Span":
        """Return the span with ``seconds`` added to both ends; :data:`WHOLE` stays as it is."""
        if self == WHOLE:
            return self
        return Span(self.start + seconds, None if self.stop is None else self.stop + seconds)

    def count(self, rate: Fraction, frames: int) -> int:
        """Count how many of ``frames``, which begin every 1 / ``rate`` seconds from 0 on, begin in it."""
        stop = frames if self.stop is None else min(frames, ceil(self.stop * rate))
        return max(0, stop - ceil(self.start * rate))

    def clipped(self, begin: Fraction, end: Fraction) -> tuple[Fraction, Fraction]:
        """Return the part of [begin, end) in it, in seconds from its start; empty if end <= begin."""
        end = end if self.stop is None else min(end, self.stop)
        return max(begin, self.start) - self.start, end - self.start


WHOLE = Span()


def parse_time(text: str, flag: str) -> Fraction:
    """Parse a time such as ``90.5``, ``1:30`` or ``1:02:03.5`` to exact seconds.

    Raises:
        InputError: ``text`` is no time; the message names ``flag``.

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
    """Parse ``--start`` and ``--duration`` to a span. Empty texts mean from the beginning, and to the end.

    Raises:
        InputError: a text is no time, or the duration is 0.
    """
    begin = parse_time(start, "--start") if start else Fraction(0)
    if not duration:
        return Span(begin)
    length = parse_time(duration, "--duration")
    if not length:
        raise InputError(f"--duration: got {duration}, wanted more than 0 seconds")
    return Span(begin, begin + length)


def format_seconds(seconds: Fraction) -> str:
    """Format ``seconds`` as a short decimal.

    >>> format_seconds(Fraction(181, 2))
    '90.5'
    """
    return f"{float(seconds):.12g}"
