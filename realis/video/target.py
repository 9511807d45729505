"""The size of a result from what the user asked for: ``4k``, ``2x``, ``1280x720``."""

import re

from realis.core.errors import InputError

LARGEST_FACTOR = 16
NAMED = {"8k": (7680, 4320), "4k": (3840, 2160), "1080p": (1920, 1080), "720p": (1280, 720)}


def target_size(target: str, width: int, height: int, even: bool) -> tuple[int, int]:
    """Return (height, width) of the result for an input of ``width`` x ``height``.

    Args:
        target: what the user asked for.
        width, height: of the input in square pixels.
        even: whether colours are stored at half the size, so that both must be even.

    A named target is the largest size of the input's aspect that fits 7680x4320 (``8k``), 3840x2160 (``4k``), 1920x1080
    or 1280x720, turned by 90 degrees for portrait. ``WIDTHxHEIGHT`` is taken as it is.

    Raises:
        InputError: an unknown target, an odd size, or one smaller than the input.

    >>> target_size("4k", 960, 540, even=True)
    (2160, 3840)
    """
    name, whole = target.lower(), _even if even else _whole
    if name in NAMED:
        box = NAMED[name] if width >= height else NAMED[name][::-1]
        scale = min(box[0] / width, box[1] / height)
        size = (whole(height * scale), whole(width * scale))
    elif match := re.fullmatch(r"(\d+(?:\.\d+)?)x", name):
        if float(match[1]) > LARGEST_FACTOR:
            raise InputError(f"--target: got the factor {match[1]}, wanted up to {LARGEST_FACTOR}, or WIDTHxHEIGHT")
        size = (whole(height * float(match[1])), whole(width * float(match[1])))
    elif match := re.fullmatch(r"(\d+)x(\d+)", name):
        size = (int(match[2]), int(match[1]))
    else:
        wanted = f"{', '.join(NAMED)}, a factor such as 2x or 4x, or WIDTHxHEIGHT"
        hint = f"; write {name}x for {name} times the size" if re.fullmatch(r"\d{1,2}(\.\d+)?", name) else ""
        hint = f"; write {name}p" if f"{name}p" in NAMED else hint
        raise InputError(f"--target: got {target!r}, wanted {wanted}{hint}")
    if even and (size[0] % 2 or size[1] % 2):
        raise InputError(
            f"--target: got {size[1]}x{size[0]}, wanted even numbers (the colours of a video are stored at half the size)"
        )
    if size[0] < height - 1 or size[1] < width - 1:
        raise InputError(
            f"--target {target}: {size[1]}x{size[0]} is smaller than the input, {width}x{height}; choose a larger one"
        )
    return size


def _whole(length: float) -> int:
    """Round to the nearest whole number, at least 1."""
    return max(1, round(length))


def _even(length: float) -> int:
    """Round ``length`` down to an even number, at least 2."""
    return max(2, int(length + 1e-6) // 2 * 2)
