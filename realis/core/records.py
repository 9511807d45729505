"""JSON records: parsed strictly, checked against a dataclass, and appended line by line so that they survive a kill."""

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
    """Parse strict JSON, without the extensions of Python's parser.

    Raises:
        ValueError: it is no JSON, holds NaN, an infinity (``1e999`` is one) or an integer of more than 64 bits, or is
            nested too deep.
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
    """Build the dataclass ``kind`` from the JSON object ``values``; lists become tuples, types are checked exactly.

    Raises:
        ValueError: a field is unknown, or of another type.
        TypeError: a field is missing.
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
    """Return 32 hexadecimal digits of a hash of ``facts``, which JSON can hold; the order of names does not count."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def to_line(row: Any) -> bytes:
    """Return ``row`` as a line of JSON. File names that are not UTF-8 keep their bytes."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode(errors="surrogateescape")


def whole_lines(content: bytes) -> list[str]:
    """Return the complete lines of a file written by :func:`append_row`. What follows the last line feed is left out:
    its writer was killed, or is still writing it."""
    return content.decode(errors="surrogateescape").split("\n")[:-1]


def append_row(file: BinaryIO, row: Any) -> None:
    """Append ``row`` to a file as a line of JSON, and sync it to disk.

    An incomplete last line, left by a killed writer, is cut off first.

    Args:
        file: open for reading and appending, unbuffered.
        row: what JSON can hold.

    Raises:
        OSError: it cannot be written; no part of it stays in the file.
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
    """Return the number of bytes at the beginning of ``file`` that are complete lines."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - 4096, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
