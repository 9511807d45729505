"""Configuration of a command: frozen dataclasses, a command line made from them, YAML recipes.

A recipe is flattened into flags, which the user's own override, so there is one parser and one kind of error; the
resolved configuration that a run writes is itself a recipe.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from realis.errors import InputError, reason
from realis.flags import FlagParser, build

Config = TypeVar("Config")
RECIPES = (".yaml", ".yml")


def parse(config: type[Config], argv: Sequence[str], prog: str) -> Config:
    """Build ``config`` from ``[recipe.yaml] [--flags]``, and from words without a flag if one of its fields takes them: it
    is ``positional`` in its metadata.

    Args:
        config: a frozen dataclass; its docstring heads ``--help``, comments beside its fields explain the flags.
        argv: arguments after the program's name.
        prog: the program's name, for ``--help``.

    Raises:
        InputError: unknown flag, wrong type, unreadable recipe, contradictory values.
    """
    positional = next((field.name for field in dataclasses.fields(config) if field.metadata.get("positional")), "")
    usage = f"{prog} [recipe.yaml]{f' [{positional.upper()} ...]' if positional else ''} [--flags]"
    parser, words, recipe = FlagParser(config, usage), list(argv), ""
    try:
        values = {}
        if words and words[0].endswith(RECIPES):
            flags = recipe_flags(Path(words[0]))
            recipe = f"; recipe {words.pop(0)}"
            values, rest = parser.read(flags)
            if rest:  # of a list
                raise InputError(f"got {rest[0]!r} beside another value; wanted one")
        own, rest = parser.read(words)
        if late := next((word for word in rest if word.endswith(RECIPES)), None):
            raise InputError(f"recipe {late}: got it after other words, wanted it before all of them")
        if rest and not positional:
            raise InputError(
                f"got {rest[0]!r} without a flag; wanted one before it, such as {parser.names[0]} {rest[0]}"
            )
        if rest and positional in own:
            raise InputError(f"got --{positional} and, without a flag, {rest[0]!r}; wanted one or the other")
        return build(config, values | own | ({positional: rest} if rest else {}))
    except InputError as error:
        raise InputError(f"{error} (see --help{recipe})") from error


def recipe_flags(file: Path) -> list[str]:
    """The flags that a YAML recipe stands for.

    >>> list(_flatten({"run": {"steps": 3}, "scales": [4, 2], "static": False}, ()))
    ['--run.steps=3', '--scales', '4', '2', '--no-static']
    """
    if not file.is_file():
        raise InputError(f"recipe {file}: nothing there; wanted a YAML file")
    try:
        recipe = yaml.load(file.read_text(encoding="utf-8"), _StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"recipe {file}{line}: wanted YAML, but {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"recipe {file}: cannot be read as YAML ({reason(error)})") from error
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
            raise yaml.MarkedYAMLError(problem=f"{twice!r} is there twice", problem_mark=node.start_mark)
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
        elif isinstance(value, list):
            yield "--" + ".".join(here)
            yield from map(str, value)
        else:
            yield f"--{'.'.join(here)}={value}"  # one word: it may begin with a dash


def dump(config: Any, file: Path) -> None:
    """Write ``config`` as a recipe that :func:`parse` reads back to an equal one.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        temporary.write_text(yaml.safe_dump(as_plain(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({reason(error)}); choose another output") from error


def as_plain(config: Any) -> dict[str, Any]:
    """A configuration as nested dictionaries, lists and plain values."""
    return _plain_values(dataclasses.asdict(config))


def _plain_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_values(v) for name, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
