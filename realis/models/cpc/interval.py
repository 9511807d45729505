"""Which control block serves which main block: RealisVSR Eq. 1. Whole numbers only, no torch."""

import math

from realis.core.errors import InputError


def block_interval(num_main_layers: int, num_control_layers: int) -> int:
    """Return ``r = ceil(L_main / L)``, the number of main blocks that one control block serves.

    Raises:
        InputError: some control block would be read by no main block (its parameters would never get a gradient).

    >>> block_interval(30, 4)
    8
    """
    useful = useful_control_layers(num_main_layers)
    if num_control_layers not in useful:
        raise InputError(
            f"control blocks: got {num_control_layers} over {num_main_layers} main blocks, of which some would never "
            f"be read; wanted one of {', '.join(map(str, useful))}"
        )
    return math.ceil(num_main_layers / num_control_layers)


def useful_control_layers(num_main_layers: int) -> list[int]:
    """Every L of which each control block is read.

    >>> useful_control_layers(30)
    [1, 2, 3, 4, 5, 6, 8, 10, 15, 30]
    """
    intervals = {n: math.ceil(num_main_layers / n) for n in range(1, num_main_layers + 1)}
    return [n for n, r in intervals.items() if (num_main_layers - 1) // r + 1 == n]


def default_control_layers(num_main_layers: int) -> int:
    """4, which gives the paper's "1.6 B" over Wan2.1-1.3B; over shallower models the most that fits below."""
    return max(n for n in useful_control_layers(num_main_layers) if n <= 4)
