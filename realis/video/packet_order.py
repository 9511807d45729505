"""Give packets times that rise, as containers want them: a wrong one is put between its neighbours'."""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import av

from realis.core.log import logger

LONGEST = 2**31 - 1  # ticks that .mp4 takes for a duration; Ogg has some of "-576", which come as 2**32 - 576
AHEAD = 128  # packets of all streams that tell whether a time is right: about a second with two tracks of sound


def in_order(packets: Iterable[av.Packet], steps: Mapping[int, int]) -> Iterator[av.Packet]:
    """Give the packets in the same order, each stream's decoding times rising. Few move: see :func:`settled`.

    Args:
        packets: without those that are empty.
        steps: stream -> ticks of the source by which its times have to rise at least; 0: they may stand still.
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
        new = settled(times[index], before, steps[index], packet.duration or 0)
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


def settled(times: Sequence[int | None], last: int | None, step: int, duration: int) -> int:
    """Return the first of ``times``, or, if more of them rise together without it, one between its neighbours.

    Args:
        times: of a packet and those after it; ``None``: not known.
        last: the time given to the packet before.
        step: by which they have to rise at least.
        duration: of the packet, if it is known.

    >>> settled([500, 80, 120], last=0, step=1, duration=40)
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
    """Return the most of ``times`` that rise by ``step`` each, from ``last`` on, and where they lie (patience sorting)."""
    ends: list[int] = []  # [n]: the least time that n + 1 rising ones can end with
    places: list[int] = []  # of those in ``times``
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
