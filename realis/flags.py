"""Command-line flags of a configuration: one for each field, ``--nested.field`` for those of a nested dataclass.

Read and explained by argparse, whose messages are plain text on every terminal.
"""

import argparse
import difflib
import inspect
import re
import shutil
import sys
import textwrap
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any, Literal, NoReturn

from realis.errors import InputError

ITS_WORDS = {
    r"^argument ": "",
    r"expected one argument$": "got no value, wanted one",
    r"expected (\d+) arguments$": r"got too few values, wanted \1",
    r"ignored explicit argument (.*)$": r"got \1, wanted no value",
}
WANTED = {int: "a whole number", float: "a number"}


class FlagParser(argparse.ArgumentParser):
    """Flags of a configuration; what is wrong with them is raised, not printed.

    Args:
        config: a dataclass of plain values, tuples of them and dataclasses; its docstring heads the help, the comments
            beside its fields explain the flags.
        usage: the first line of the help.
    """

    def __init__(self, config: type, usage: str) -> None:
        paragraphs = inspect.cleandoc(config.__doc__ or "").split("\n\n")
        super().__init__(
            usage=usage,
            description="\n\n".join(text if text.startswith(" ") else wrapped(text) for text in paragraphs),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.names: list[str] = []
        self._add_fields(self, config, "")

    def _add_fields(self, group: Any, config: Any, prefix: str) -> None:
        kind = config if isinstance(config, type) else type(config)
        kinds, texts = typing.get_type_hints(kind), comments(kind)
        nested = [one for one in fields(kind) if is_dataclass(kinds[one.name])]
        for one in [one for one in fields(kind) if one not in nested]:
            text = help_text(texts.get(one.name, ""), default_of(config, one))
            self._add_flag(group, prefix, one.name, kinds[one.name], text)
        for one in nested:
            inner = f"{prefix}{flag_name(one.name)}"
            summary = wrapped((kinds[one.name].__doc__ or "").partition("\n\n")[0])
            section = self.add_argument_group(f"{inner}, as --{inner}.NAME", summary)
            self._add_fields(section, default_of(config, one), f"{inner}.")

    def _add_flag(self, group: Any, prefix: str, field: str, kind: Any, text: str) -> None:
        name = flag_name(field)
        options: dict[str, Any] = {"dest": prefix + name, "default": argparse.SUPPRESS, "help": text}
        names = [f"--{prefix}{name}"]
        if kind is bool:
            names.append(f"--{prefix}no-{name}")
            options["action"] = _Switch
        elif typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)
            options |= value_options(inner[0]) | {"nargs": "*" if inner[-1] is Ellipsis else len(inner)}
        else:
            options |= value_options(kind)
        group.add_argument(*names, **options)
        self.names += names

    def error(self, message: str) -> NoReturn:
        """Raise what argparse has to say, in the words of our own messages."""
        for its, ours in ITS_WORDS.items():
            message = re.sub(its, ours, message)
        raise InputError(message)

    def read(self, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """The values that ``words`` give, by the name of the flag, and the words that belong to no flag.

        Raises:
            InputError: a flag is unknown, lacks a value, or has one that it cannot take.
        """
        found, rest = self.parse_known_args([with_hyphens(word) for word in words])
        if unknown := next((word.partition("=")[0] for word in rest if word.startswith("-")), None):
            near = self.near(unknown)
            raise InputError(f"{unknown}: no such flag" + (f"; did you mean {one_of(near)}?" if near else ""))
        return vars(found), rest

    def near(self, unknown: str) -> list[str]:
        """The flags that may be meant by ``unknown``, three at most: with that name within a nested configuration, or
        beginning with it, or else spelled nearly so."""
        name = unknown.lstrip("-")
        same = [flag for flag in self.names if flag.endswith(f".{name}") or flag.startswith(f"--{name}")]
        return (same or difflib.get_close_matches(f"--{name}", self.names, cutoff=0.75))[:3]


class _Switch(argparse.Action):
    """A flag without a value, and the one that takes it back: ``--nested.strict``, ``--nested.no-strict``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, option_string == self.option_strings[0])


def build(config: Callable[..., Any], values: dict[str, Any], prefix: str = "") -> Any:
    """A configuration of ``values`` by the name of the flag, and of defaults for the rest.

    Args:
        config: a dataclass, or an instance of one, whose values are then the defaults.
        values: as :meth:`FlagParser.read` returns them.
        prefix: of the flags of this configuration.

    Raises:
        InputError: a value without a default is missing, or the values contradict each other.
    """
    given = {}
    for one in fields(config):
        name = prefix + flag_name(one.name)
        if any(flag.startswith(f"{name}.") for flag in values):
            given[one.name] = build(default_of(config, one), values, f"{name}.")
        elif name in values:
            given[one.name] = tuple(values[name]) if isinstance(values[name], list) else values[name]
        elif default_of(config, one) is MISSING:
            raise InputError(f"--{name}: got nothing, wanted a value")
    return config(**given) if isinstance(config, type) else replace(config, **given)


def one_of(words: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def flag_name(field: str) -> str:
    """The name of a field as it is written in a flag."""
    return field.replace("_", "-")


def with_hyphens(word: str) -> str:
    """``--tile_height=8`` as ``--tile-height=8``; what is no flag as it is."""
    name, equals, value = word.partition("=")
    return flag_name(name) + equals + value if word.startswith("--") else word


def value_options(kind: Any) -> dict[str, Any]:
    """How argparse is to read a value: a whole number, a number, one of several words, or any text."""
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()

    def read(word: str) -> Any:
        try:
            if not choices:
                return kind(word)
            return choices[choices.index(word)]
        except ValueError:
            wanted = one_of(choices) if choices else WANTED[kind]
            raise argparse.ArgumentTypeError(f"got {word!r}, wanted {wanted}") from None

    return {"type": read, "metavar": f"{{{','.join(choices)}}}" if choices else kind.__name__.upper()}


def default_of(config: Any, field: Field) -> Any:
    """The default of a field of a dataclass, ``MISSING`` if it has none; the value of that field of an instance."""
    if not isinstance(config, type):
        return getattr(config, field.name)
    return field.default if field.default_factory is MISSING else field.default_factory()


def wrapped(text: str) -> str:
    """Text in lines of the width that argparse gives to the rest of the help."""
    return textwrap.fill(" ".join(text.split()), max(shutil.get_terminal_size().columns - 4, 20))


def help_text(comment: str, default: Any) -> str:
    """What the help says of a flag: the comment beside the field, and the default if it is not empty."""
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    shown = "" if default is False or default is MISSING else shown
    return (f"{comment} (default: {shown})" if shown else comment).strip().replace("%", "%%")


def comments(config: type) -> dict[str, str]:
    """The comments beside the fields of a dataclass, and of those that it is derived from."""
    found = {}
    for one in reversed(config.__mro__):
        if is_dataclass(one):
            source = inspect.getsource(sys.modules[one.__module__])  # of a class it takes ten times as long
            lines = re.split(rf"^class {one.__name__}\b.*\n", source, maxsplit=1, flags=re.M)[1]
            body = re.split(r"^\S", lines, maxsplit=1, flags=re.M)[0]
            for name in one.__annotations__:
                field = re.search(rf"^    {name}: .*(?:\n(?:     .*|    [)\]].*))*", body, re.M)
                comment = re.search(r"  # (.*)$", field[0], re.M) if field else None
                found |= {name: comment[1]} if comment else {}
    return found
