"""How large the result is to be: ``4k``, ``2x``, ``1280x720``."""

import re

from realis.errors import InputError

LARGEST = 8192  # pixels a side, level 6 of H.264
LARGEST_FACTOR = 16
NAMED = {"4k": (3840, 2160), "1080p": (1920, 1080), "720p": (1280, 720)}


def target_size(target: str, width: int, height: int) -> tuple[int, int]:
    """Height and width of the result for an input of ``width`` x ``height``.

    A named target is the largest even size of the input's aspect that fits 3840x2160 (``4k``), 1920x1080 or 1280x720,
    turned by 90 degrees for portrait. ``WIDTHxHEIGHT`` is taken as it is.

    Raises:
        InputError: an unknown target, an odd size, or one smaller than the input.

    >>> target_size("4k", 960, 540)
    (2160, 3840)
    """
    name = target.lower()
    if name in NAMED:
        box = NAMED[name] if width >= height else NAMED[name][::-1]
        scale = min(box[0] / width, box[1] / height)
        size = (_even(height * scale), _even(width * scale))
    elif match := re.fullmatch(r"(\d+(?:\.\d+)?)x", name):
        if float(match[1]) > LARGEST_FACTOR:
            raise InputError(f"--target: got the factor {match[1]}, wanted up to {LARGEST_FACTOR}, or WIDTHxHEIGHT")
        size = (_even(height * float(match[1])), _even(width * float(match[1])))
    elif match := re.fullmatch(r"(\d+)x(\d+)", name):
        size = (int(match[2]), int(match[1]))
    else:
        raise InputError(
            f"--target: got {target!r}, wanted {', '.join(NAMED)}, a factor such as 2x or 4x, or WIDTHxHEIGHT"
        )
    if size[0] % 2 or size[1] % 2:
        raise InputError(f"--target: got {size[1]}x{size[0]}, wanted even numbers (the video is stored as 4:2:0)")
    if max(size) > LARGEST:
        raise InputError(
            f"--target {target}: {size[1]}x{size[0]} is too large for H.264; wanted up to {LARGEST} pixels a side"
        )
    if size[0] < height - 1 or size[1] < width - 1:
        raise InputError(
            f"--target {target}: {size[1]}x{size[0]} is smaller than the input, {width}x{height}; choose a larger one"
        )
    return size


def _even(length: float) -> int:
    """The largest even number that is not above ``length`` (nor 0)."""
    return max(2, int(length + 1e-6) // 2 * 2)
