"""Make the times of packets rise, as containers require: a wrong time is moved between those of its neighbours."""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import av

from realis.core.log import logger

LONGEST = 2**31 - 1  # ticks of the longest duration in .mp4; Ogg has some of "-576", which come as 2**32 - 576
AHEAD = 128  # later packets of all streams by which a time is judged: about a second with two tracks of sound


def with_rising_times(packets: Iterable[av.Packet], steps: Mapping[int, int]) -> Iterator[av.Packet]:
    """Yield ``packets`` in order, with decoding times that rise in each stream. See :func:`repaired_time`.

    Args:
        packets: none of them empty.
        steps: stream -> ticks of the source by which its times must rise at least; 0: they may be equal.
    """
    waiting: deque[av.Packet] = deque()
    times: defaultdict[int, deque[int | None]] = defaultdict(deque)  # of those waiting, by stream
    last: dict[int, int] = {}
    moved: set[int] = set()

    def settle(packet: av.Packet) -> av.Packet:
        index, old, before = packet.stream_index, packet.dts, last.get(packet.stream_index)
        if packet.stream.type == "audio" and not 0 < (packet.duration or 0) <= LONGEST:
            # assume the length of the packet before: .mp4 hides a last packet that has no duration
            packet.duration = 0 if old is None or before is None else max(0, old - before)
        new = repaired_time(times[index], before, steps[index], packet.duration or 0)
        if new != old and index not in moved:
            logger.warning(
                "stream %d of the input has timestamps that do not rise: put between their neighbours", index
            )
            moved.add(index)
        later = 0 if packet.pts is None or old is None else packet.pts - old
        packet.dts, packet.pts = new, new + later
        last[index] = new
        times[index].popleft()
        return packet

    for packet in packets:
        waiting.append(packet)
        times[packet.stream_index].append(packet.dts)
        if len(waiting) > AHEAD:
            yield settle(waiting.popleft())
    while waiting:
        yield settle(waiting.popleft())


def repaired_time(times: Sequence[int | None], last: int | None, step: int, duration: int) -> int:
    """Return the first of ``times``, or a time between its neighbours if more times rise together without it.

    So a few wrong times move no other packet.

    Args:
        times: of a packet and those after it; ``None``: not known.
        last: the time given to the packet before.
        step: ticks by which times must rise at least.
        duration: of the packet; 0: not known.

    >>> repaired_time([500, 80, 120], last=0, step=1, duration=40)
    40
    """
    first, *later = times
    known = [time for time in later if time is not None]
    rises = first is not None and (last is None or last + step <= first)
    if first is not None and rises and (not known or first + step <= min(known)):
        return first
    kept = longest_rising(later, last, step)
    if first is not None and rises and 1 + len(longest_rising(later, first, step)) >= len(kept):
        return first
    if not kept:
        return 0 if last is None else last + max(step, duration)
    place, time = kept[0]
    return (
        time - (place + 1) * max(step, duration)
        if last is None
        else max(last + step, last + (time - last) // (place + 2))
    )


def longest_rising(times: Sequence[int | None], last: int | None, step: int) -> list[tuple[int, int]]:
    """Return the longest subsequence of ``times`` that rises by ``step`` or more from ``last`` on: pairs (index, time).

    Patience sorting, in O(n log n).
    """
    ends: list[int] = []  # [n]: the least last time of a rising subsequence of length n + 1
    places: list[int] = []  # their indices in ``times``
    before: dict[int, int | None] = {}
    for i, time in enumerate(times):
        if time is None or (last is not None and time < last + step):
            continue
        n = bisect_right(ends, time - step)
        before[i] = places[n - 1] if n else None
        if n == len(ends):
            ends.append(time)
            places.append(i)
        elif time < ends[n]:
            ends[n], places[n] = time, i
    kept, place = [], places[-1] if places else None
    while place is not None:
        kept.append((place, times[place]))
        place = before[place]
    return kept[::-1]
