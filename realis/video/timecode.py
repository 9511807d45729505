"""Timecodes of SMPTE ST 12-1: the number of a frame, written as a time of day."""

import re
from fractions import Fraction

TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)", re.ASCII)
MOST_RATE = 60  # frames a second of which a number has two digits


def advance_timecode(timecode: str, frames: int, rate: Fraction) -> str:
    """Return the timecode ``frames`` after another one.

    A text that is no timecode is returned as it is, and so are those of more than :data:`MOST_RATE` frames a second,
    which are written in other ways.

    A last separator that is no colon means drop-frame: to keep up with a clock at 30000/1001 frames a second, the first
    two numbers of every minute are dropped, except in each tenth minute; twice as many at twice the rate.

    >>> advance_timecode("00:00:59;29", 1, Fraction(30000, 1001))
    '00:01:00;02'
    """
    match, a_second = TIMECODE.fullmatch(timecode), round(rate)
    if not match or not 0 < a_second <= MOST_RATE:
        return timecode
    hours, minutes, seconds, number = (int(match[i]) for i in (1, 2, 3, 5))
    mark = match[4]
    dropped = 0 if mark == ":" or a_second % 30 else 2 * a_second // 30
    minutes += 60 * hours
    count = (60 * minutes + seconds) * a_second + number - dropped * (minutes - minutes // 10) + frames
    tens, rest = divmod(count, 600 * a_second - 9 * dropped)
    count += dropped * (9 * tens + max(0, rest - dropped) // (60 * a_second - dropped))
    seconds, number = divmod(count, a_second)
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{number:02d}"
