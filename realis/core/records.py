"""Records in JSON that outlive a kill: read strictly, by the types of their fields, and appended line by line."""

import errno
import hashlib
import json
import math
import os
from dataclasses import fields
from types import UnionType
from typing import Any, BinaryIO, Literal, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def load_json(text: str | bytes) -> Any:
    """Parse JSON, and nothing that Python's parser takes besides it or chokes on.

    Raises:
        ValueError: not JSON, NaN and infinities (``1e999`` among them), whole numbers of more than 64 bits, or nested too
            deep.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_of_64_bits)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits[:40])


def _of_64_bits(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else 2**64
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{digits[:40]} has more than 64 bits")
    return number


def build_record(kind: type[Record], values: Any) -> Record:
    """Make the dataclass ``kind`` of ``values`` by name, lists for tuples, each of just the type that is announced.

    Raises:
        ValueError: no such fields, or of other types.
        TypeError: some are missing.
    """
    if not isinstance(values, dict):
        raise ValueError(f"got {type(values).__name__}, wanted an object")
    types = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType] - a dataclass
    given = {name: _tuples(value) for name, value in values.items()}
    for name, value in given.items():
        if name not in names:
            raise ValueError(f"got a field {name!r}, wanted no other than {', '.join(names)}")
        if not _is_of(value, types[name]):
            raise ValueError(f"{name}: got {str(value)[:60]!r}, wanted {getattr(types[name], '__name__', types[name])}")
    return kind(**given)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tuples(one) for name, one in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _is_of(value: Any, kind: Any) -> bool:
    """Whether ``value``, out of JSON, is of an annotated type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in inner
    if origin is UnionType:
        return any(_is_of(value, one) for one in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_is_of(one, inner[1]) for one in value.values())
    if origin is tuple:
        kinds = (inner[0],) * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is_of, value, kinds))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind


def digest(facts: Any) -> str:
    """Return 32 hexadecimal digits that change with ``facts``, which JSON can hold; not with the order of names."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def to_line(row: Any) -> bytes:
    """Return ``row`` as a line of JSON; the name of a file keeps its bytes where they are no UTF-8."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode(errors="surrogateescape")


def whole_lines(content: bytes) -> list[str]:
    """Return the lines of a file that :func:`append_row` writes, for :func:`load_json`. What follows the last line feed is
    left out: its writer has died, or is still at it."""
    return content.decode(errors="surrogateescape").split("\n")[:-1]


def append_row(file: BinaryIO, row: Any) -> None:
    """Write ``row`` as a line at the end of a file, after cutting off what a writer that died has left there. It is on disk
    when this returns.

    Args:
        file: open for reading and appending, without a buffer.
        row: that JSON can hold.

    Raises:
        OSError: it cannot be written; no half of it is left.
    """
    line, whole = to_line(row), _end_of_lines(file)
    file.truncate(whole)
    try:
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError as error:
        file.truncate(whole)
        error.filename = file.name  # which no error of writing has
        raise


def _end_of_lines(file: BinaryIO) -> int:
    """How many bytes of it are whole lines."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - 4096, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
