"""Configuration of a command: frozen dataclasses, a command line made from them, YAML recipes.

A recipe is flattened into flags that come before the user's own, so there is one parser and one kind of error; the
resolved configuration that a run writes is itself a recipe.
"""

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
import yaml

from realis.errors import InputError

Config = TypeVar("Config")


def parse(config: type[Config], argv: Sequence[str], prog: str) -> Config:
    """Build ``config`` from ``[recipe.yaml] [--flags]``.

    Args:
        config: a frozen dataclass; its docstring heads ``--help``, comments beside its fields explain the flags.
        argv: arguments after the program's name.
        prog: the program's name, for ``--help``.

    Raises:
        InputError: unknown flag, wrong type, unreadable recipe, contradictory values.
    """
    flags = list(argv)
    if flags and flags[0].endswith((".yaml", ".yml")):
        flags = [*recipe_flags(Path(flags[0])), *flags[1:]]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(config, args=flags, prog=f"{prog} [recipe.yaml]")
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        recipe = f"; recipe {argv[0]}" if len(flags) > len(argv) else ""
        raise InputError(f"{_plain(printed.getvalue())} (see --help{recipe})") from None


def recipe_flags(file: Path) -> list[str]:
    """The flags that a YAML recipe stands for.

    >>> list(_flatten({"run": {"steps": 3}, "scales": [4, 2], "static": False}, ()))
    ['--run.steps', '3', '--scales', '4', '2', '--no-static']
    """
    if not file.is_file():
        raise InputError(f"recipe {file}: nothing there; wanted a YAML file")
    try:
        recipe = yaml.load(file.read_text(), _StrictLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"recipe {file}: cannot be read as YAML: {error}") from error
    if not isinstance(recipe, dict):
        got = "nothing" if recipe is None else f"a {type(recipe).__name__}"
        raise InputError(f"recipe {file}: got {got}, wanted names and values")
    return list(_flatten(recipe, ()))


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"{twice!r} is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def _flatten(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for name, value in values.items():
        here = (*path, str(name).replace("_", "-"))
        if value is None or value == {}:
            raise InputError(f"recipe: {'.'.join(here)} has no value; give it one or leave it out")
        if isinstance(value, dict):
            yield from _flatten(value, here)
        elif isinstance(value, bool):
            yield "--" + ".".join((*path, here[-1] if value else f"no-{here[-1]}"))
        else:
            yield "--" + ".".join(here)
            yield from map(str, value if isinstance(value, list) else [value])


def dump(config: Any, file: Path) -> None:
    """Write ``config`` as a recipe that :func:`parse` reads back to an equal one.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        temporary.write_text(yaml.safe_dump(as_plain(config), sort_keys=False, allow_unicode=True))
        temporary.replace(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); choose another output") from error


def as_plain(config: Any) -> dict[str, Any]:
    """A configuration as nested dictionaries, lists and plain values."""
    return _plain_values(dataclasses.asdict(config))


def _plain_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_values(v) for name, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _plain(printed: str) -> str:
    """One line from the message that the parser printed under a title: framed, or between lines of dashes."""
    untitled = re.sub(r"^.*\n *-{5,} *\n", "", printed.strip())
    lines = [
        re.sub(r"[\u2500-\u257f]|-{5,}", " ", line).strip() for line in untitled.splitlines() if "\u256d" not in line
    ]
    kept = [line for line in lines if line and not line.startswith(("For full helptext", "Usage", "usage"))]
    kept[:1] = [re.sub(r"^Error parsing \w+: ", "", line) for line in kept[:1]]
    return " ".join(kept) or f"wrong arguments: {' '.join(sys.argv[1:])}"
