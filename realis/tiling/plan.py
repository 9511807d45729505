"""Plan how a canvas is cut into equal, overlapping tiles."""

from collections.abc import Sequence

from realis.core.errors import InputError
from realis.upscaler import Needs, Tiling


def round_up(n: int, multiple: int) -> int:
    """Round ``n`` up to a multiple of ``multiple``.

    >>> round_up(178, 16)
    192
    """
    return -(-n // multiple) * multiple


def cover(length: int, tile: int, overlap: int, multiple: int, exact: bool = False) -> list[tuple[int, int]]:
    """Cover ``0..length`` by as few equal spans as possible that share at least ``overlap`` with their neighbours.

    Args:
        length: what to cover; rounded up to ``multiple``.
        tile: longest span, a multiple of ``multiple``.
        overlap: least overlap, a multiple of ``multiple``, less than ``tile``.
        multiple: spans start and stop at multiples of it.
        exact: spans are of ``tile``, and what is left over goes into their overlap; otherwise they are as short as their
            number allows, so that no work is wasted.

    Returns:
        Spans ``(start, stop)`` in order; the first starts at 0, the last stops at ``length`` rounded up. A single span
        where that is no longer than ``tile``.

    Raises:
        InputError: arguments that do not fit.

    >>> cover(600, 256, 32, 16)
    [(0, 224), (192, 416), (384, 608)]
    >>> cover(600, 256, 32, 16, exact=True)
    [(0, 256), (176, 432), (352, 608)]
    """
    total = round_up(length, multiple)
    fits = total <= tile or 0 <= overlap < tile
    if length < 1 or tile < multiple or tile % multiple or overlap % multiple or not fits:
        raise InputError(
            f"tiles: got size {tile} with overlap {overlap} for {length} pixels; wanted multiples of {multiple}, "
            "the overlap smaller than the tile"
        )
    if total <= tile:
        return [(0, total)]
    count = -(-(total - overlap) // (tile - overlap))
    span = tile if exact else round_up(-(-(total + (count - 1) * overlap) // count), multiple)
    starts = [i * (total - span) // (count - 1) // multiple * multiple for i in range(count)]
    return [(start, start + span) for start in starts]


def plan_tiles(
    size: tuple[int, int],
    tile: tuple[int, int] | None,
    overlap: int,
    multiple: int,
    *,
    exact: bool = False,
) -> Tiling:
    """Plan the tiles of a canvas of ``size`` = (height, width), as :func:`cover` does each way; ``tile=None``: one tile for
    all.

    Raises:
        InputError: as :func:`cover`.
    """
    if tile is None:
        tile, overlap = (round_up(size[0], multiple), round_up(size[1], multiple)), 0
    rows, columns = (cover(size[axis], tile[axis], overlap, multiple, exact) for axis in (0, 1))
    return Tiling(rows, columns)


def shifted(tiles: Tiling, multiple: int) -> Tiling:
    """Return the tiles moved by half the distance between them, one more each way; those at the border stay.

    >>> shifted(Tiling([(0, 64), (48, 112)], [(0, 64)]), 16).rows
    [(0, 64), (16, 80), (48, 112)]
    """

    def move(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        starts, length = [start for start, _ in spans], spans[0][1] - spans[0][0]
        between = [(one + other) // 2 // multiple * multiple for one, other in zip(starts, starts[1:], strict=False)]
        return [(start, start + length) for start in dict.fromkeys([starts[0], *between, starts[-1]])]

    return Tiling(move(tiles.rows), move(tiles.columns))


def step_grids(tiles: Tiling, needs: Needs) -> list[Tiling]:
    """Return the tiles of a sampling step and of the next: the same, or as the method needs it moved ones."""
    return [tiles, shifted(tiles, needs.multiple) if needs.tile_shift else tiles]
