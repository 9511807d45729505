"""Format counts, durations and sizes for people."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Format a number of things; ``plural`` is needed if it is not ``noun`` with an s.

    >>> count(1, "clip"), count(0, "clip"), count(2, "group of videos", "groups of videos")
    ('1 clip', '0 clips', '2 groups of videos')
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Format a duration in the unit that suits it.

    >>> [duration(s) for s in (0.4, 45, 700, 17_520, 400_000)]
    ['0.4 s', '45 s', '12 min', '4.9 hours', '4.6 days']
    """
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("hours", 3600, 48)):
        if seconds / length < most:
            return f"{_short(seconds / length)} {unit}"
    return f"{_short(seconds / 86400)} days"


def size(amount: float) -> str:
    """Format a number of bytes in the unit that suits it.

    >>> [size(b) for b in (900, 5 * 2**20, 1.3 * 2**30, 74 * 2**30)]
    ['0.9 KiB', '5.0 MiB', '1.3 GiB', '74 GiB']
    """
    for unit, length in (("KiB", 2**10), ("MiB", 2**20)):
        if amount / length < 1000:
            return f"{_short(amount / length)} {unit}"
    return f"{_short(amount / 2**30)} GiB"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
