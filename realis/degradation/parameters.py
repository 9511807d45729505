"""What a degradation does to one clip, in plain numbers: an ordered list of operations that JSON keeps exactly.

Sequences in an operation have one entry a frame. A list written by hand works like a drawn one.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from realis.errors import InputError, require
from realis.ops.codec import Codec
from realis.ops.kernels import Filter

Kernel = Literal[
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"
]  # fmt: skip
Size = tuple[int, int]  # height, width


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


@dataclass(frozen=True)
class Resize:
    """Resize each frame to its size."""

    filter: Filter
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Noise:
    """Add noise: ``strength`` is the standard deviation in units of [0, 1], or the scale of the Poisson noise."""

    kind: Literal["gaussian", "poisson"]
    strength: tuple[float, ...]
    grey: bool
    seed: int


@dataclass(frozen=True)
class Jpeg:
    """Compress each frame by JPEG."""

    quality: tuple[int, ...]


@dataclass(frozen=True)
class Video:
    """Compress the clip by a video codec; frames of other sizes take that of the first."""

    codec: Codec
    bits_per_pixel: float


Operation = Blur | Resize | Noise | Jpeg | Video
OPERATIONS = {kind.__name__.lower(): kind for kind in (Blur, Resize, Noise, Jpeg, Video)}


@dataclass(frozen=True)
class DegradationParameters:
    """One draw: ``operations``, in order, take ``frames`` frames of ``size`` to ``target``; ``sharpen`` goes first."""

    frames: int
    size: Size
    target: Size
    sharpen: bool
    operations: tuple[Operation, ...]

    def to_json(self) -> str:
        """All of it; :meth:`from_json` gives an equal object."""
        operations = [{"operation": type(op).__name__.lower()} | asdict(op) for op in self.operations]
        return json.dumps(asdict(self) | {"operations": operations})

    @classmethod
    def from_json(cls, file: Path) -> "DegradationParameters":
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: it cannot be read, or is something else.
        """
        try:
            values = json.loads(file.read_text())
            operations = tuple(_build(OPERATIONS[op.pop("operation")], op) for op in values.pop("operations"))
            return _build(cls, values | {"operations": operations})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{file}: not the parameters of a degradation ({error!r})") from error


def _build(kind: type, values: dict[str, Any]) -> Any:
    names = {field.name for field in fields(kind)}
    require(set(values) <= names, f"fields of {kind.__name__}", sorted(values), f"no other than {sorted(names)}")
    return kind(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
