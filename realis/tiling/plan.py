"""Plan how a canvas is cut into equal, overlapping tiles."""

from realis.core.errors import InputError
from realis.upscaler import Tiling


def round_up(n: int, multiple: int) -> int:
    """Round ``n`` up to a multiple of ``multiple``.

    >>> round_up(178, 16)
    192
    """
    return -(-n // multiple) * multiple


def cover(length: int, tile: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """Cover ``0..length`` by equal spans that share at least ``overlap`` with their neighbours.

    As many spans as spans of ``tile`` would need, each as short as that number allows, so that no work is wasted.

    Args:
        length: what to cover; rounded up to ``multiple``.
        tile: longest span, a multiple of ``multiple``.
        overlap: least overlap, a multiple of ``multiple``, less than ``tile``.
        multiple: spans start and stop at multiples of it.

    Returns:
        Spans ``(start, stop)`` in order; the first starts at 0, the last stops at ``length`` rounded up.

    Raises:
        InputError: arguments that do not fit.

    >>> cover(600, 256, 32, 16)
    [(0, 224), (192, 416), (384, 608)]
    """
    if length < 1 or tile < multiple or tile % multiple or overlap % multiple or not 0 <= overlap < tile:
        raise InputError(
            f"tiles: got size {tile} with overlap {overlap} for {length} pixels; wanted multiples of {multiple}, "
            "the overlap smaller than the tile"
        )
    total = round_up(length, multiple)
    if total <= tile:
        return [(0, total)]
    count = -(-(total - overlap) // (tile - overlap))
    span = round_up(-(-(total + (count - 1) * overlap) // count), multiple)
    starts = [i * (total - span) // (count - 1) // multiple * multiple for i in range(count)]
    return [(start, start + span) for start in starts]


def plan_tiles(size: tuple[int, int], tile: tuple[int, int] | None, overlap: int, multiple: int) -> Tiling:
    """Plan the tiles of a canvas of ``size`` = (height, width); ``tile=None``: one tile for all.

    Raises:
        InputError: as :func:`cover`.
    """
    if tile is None:
        tile, overlap = (round_up(size[0], multiple), round_up(size[1], multiple)), 0
    rows, columns = (cover(size[axis], tile[axis], overlap, multiple) for axis in (0, 1))
    return Tiling(rows, columns)
