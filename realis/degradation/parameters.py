"""The drawn parameters of the degradation of one clip: an ordered list of operations, stored exactly as JSON.

Sequences in an operation have one entry a frame. A list written by hand works like a drawn one.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from realis.core.errors import InputError, file_error, require
from realis.core.records import build_record, load_json
from realis.ops.codec import Codec
from realis.ops.kernels import Filter

Kernel = Literal[
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"
]  # fmt: skip
NoiseKind = Literal["gaussian", "poisson"]
Size = tuple[int, int]  # height, width
LARGEST = 2**16  # pixels of a side
LARGEST_KERNEL = 999  # pixels


def check_choice(value: str, choices: Any, name: str) -> None:
    """Raise an InputError unless ``value`` is one of a Literal's."""
    require(value in get_args(choices), name, repr(value), ", ".join(get_args(choices)))


@dataclass(frozen=True)
class Blur:
    """Filter with a kernel of :mod:`realis.ops.kernels`, ``size`` pixels wide.

    ``sigma`` (x, y) in pixels and ``rotation`` in radians for all kinds but ``sinc``, whose ``cutoff`` is in radians a
    pixel; ``beta`` for the generalised and plateau kinds. What a kind does not use is empty.
    """

    kernel: Kernel
    size: int
    sigma: tuple[tuple[float, float], ...] = ()
    rotation: tuple[float, ...] = ()
    beta: tuple[float, ...] = ()
    cutoff: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_choice(self.kernel, Kernel, "blur: kernel")
        fits = self.size % 2 == 1 and 1 <= self.size <= LARGEST_KERNEL
        require(fits, "blur: size", self.size, f"an odd number up to {LARGEST_KERNEL}")
        needed = ["cutoff"] if self.kernel == "sinc" else ["sigma", "rotation"]
        if self.kernel.startswith(("generalized", "plateau")):
            needed.append("beta")
        for name in needed:
            require(len(getattr(self, name)) > 0, f"blur: {name} of {self.kernel}", "none", "one a frame")
        positive = [*(v for pair in self.sigma for v in pair), *self.beta, *self.cutoff]
        fits = all(0 < v < math.inf for v in positive)
        require(fits, "blur: sigma, beta, cutoff", min(positive, default=0), "finite numbers above 0")
        require(all(map(math.isfinite, self.rotation)), "blur: rotation", self.rotation, "finite numbers")


@dataclass(frozen=True)
class Resize:
    """Resize each frame to its size."""

    filter: Filter
    sizes: tuple[Size, ...]

    def __post_init__(self) -> None:
        check_choice(self.filter, Filter, "resize: filter")
        fits = self.sizes and all(1 <= side <= LARGEST for size in self.sizes for side in size)
        require(bool(fits), "resize: sizes", self.sizes, f"1x1 to {LARGEST}x{LARGEST}, one a frame")


@dataclass(frozen=True)
class Noise:
    """Add noise: ``strength`` is the standard deviation in units of [0, 1], or the scale of the Poisson noise."""

    kind: NoiseKind
    strength: tuple[float, ...]
    grey: bool
    seed: int

    def __post_init__(self) -> None:
        check_choice(self.kind, NoiseKind, "noise: kind")
        fits = self.strength and all(0 <= value < math.inf for value in self.strength)
        require(bool(fits), "noise: strength", self.strength, "finite numbers, 0 or more, one a frame")
        require(self.seed >= 0, "noise: seed", self.seed, "0 or more")


@dataclass(frozen=True)
class Jpeg:
    """Compress each frame by JPEG."""

    quality: tuple[int, ...]

    def __post_init__(self) -> None:
        fits = self.quality and all(1 <= q <= 100 for q in self.quality)
        require(bool(fits), "jpeg: quality", self.quality, "1 to 100, one a frame")


@dataclass(frozen=True)
class Video:
    """Compress the clip by a video codec; frames of other sizes take that of the first."""

    codec: Codec
    bits_per_pixel: float

    def __post_init__(self) -> None:
        check_choice(self.codec, Codec, "video: codec")
        require(
            0 < self.bits_per_pixel < math.inf, "video: bits_per_pixel", self.bits_per_pixel, "a finite number above 0"
        )


Operation = Blur | Resize | Noise | Jpeg | Video
OPERATIONS = {kind.__name__.lower(): kind for kind in (Blur, Resize, Noise, Jpeg, Video)}


def sizes_after(operations: Sequence[Operation], sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    """Return the sizes of the frames after ``operations``: a resize sets them, a video codec makes them equal."""
    for operation in operations:
        if isinstance(operation, Resize):
            sizes = operation.sizes
        elif isinstance(operation, Video):
            sizes = (sizes[0],) * len(sizes)
    return sizes


@dataclass(frozen=True)
class DegradationParameters:
    """One draw: ``operations``, in order, take ``frames`` frames of ``size`` to ``target``; ``sharpen`` goes first."""

    frames: int
    size: Size
    target: Size
    sharpen: bool
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        require(self.frames >= 1, "frames", self.frames, "1 or more")
        for operation in self.operations:
            for name, value in vars(operation).items():
                fits = not isinstance(value, tuple) or len(value) in (0, self.frames)
                what = f"{type(operation).__name__.lower()}: length of {name}"
                require(fits, what, value, f"one of {self.frames} frames")
        sizes = set(sizes_after(self.operations, (self.size,)))  # of one frame: a hand-written file may claim billions
        require(sizes == {self.target}, "sizes after all operations", sorted(sizes), f"{self.target}, the target")

    def to_json(self) -> str:
        """Serialise as JSON, from which :meth:`read` restores an equal object."""
        operations = [{"operation": type(op).__name__.lower()} | asdict(op) for op in self.operations]
        return json.dumps(asdict(self) | {"operations": operations})

    @classmethod
    def read(cls, file: Path) -> "DegradationParameters":
        """Read a file that holds what :meth:`to_json` gave.

        Raises:
            InputError: it cannot be read, or is something else.
        """
        require(file.is_file(), str(file), "nothing there", "the parameters of a degradation, as JSON")
        try:
            values = load_json(file.read_text())
            operations = tuple(build_record(OPERATIONS[op.pop("operation")], op) for op in values.pop("operations"))
            return build_record(cls, values | {"operations": operations})
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise file_error(f"{file}: not the parameters of a degradation ({error!r})", error) from error
