"""Configuration of a command: frozen dataclasses, a command line made from them, YAML recipes.

A recipe is flattened into flags that come before the user's own, so there is one parser and one kind of error; the
resolved configuration that a run writes is itself a recipe.
"""

import contextlib
import dataclasses
import difflib
import inspect
import io
import math
import os
import re
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
import yaml

from realis.core.errors import InputError, file_error, reason
from realis.core.files import whole_file

Config = TypeVar("Config")
# The mark of a field, Annotated[str, RUN]
RUN = "not in the key of a result: it says how the run goes, or names what the key holds by content"
RECIPES = (".yaml", ".yml")
END_OF_RECIPE = "--end-of-recipe"  # a flag that tyro does not know: it ends a list, and comes back among unknown words
TYRO_MESSAGES = {  # pattern of a message of tyro: the same in the words of our own errors
    r"^Error parsing (--\S+): invalid literal for int\(\) with base 10: (.*)": r"\1: got \2, wanted a whole number",
    r"^Error parsing (--\S+): could not convert string to float: (.*)": r"\1: got \2, wanted a number",
    r"^Error parsing (--\S+): no type matching FLOAT\|\{(.*)\} could be instantiated from \[(.*?)\]\..*": (
        r"\1: got \3, wanted a number or \2"
    ),
    r"^Error parsing (--\S+): no type matching INT\|\{(.*)\} could be instantiated from \[(.*?)\]\..*": (
        r"\1: got \3, wanted a whole number or \2"
    ),
    r"^invalid choice ('.*') for argument '(\S+)'\. Expected one of \((.*)\)\.": r"\2: got \1, wanted one of \3",
    r"^Missing value for argument '(\S+)'\. Expected (\d+) values\.": r"\1: got too few values, wanted \2",
    r"^Missing from .*?: (--\S+) .*": r"\1: got nothing, wanted a value",
    r"^Error parsing (--\S+): Could not [^[]*(\[.*?\]).*": r"\1: got \2, wanted numbers",
    r"^Error parsing (?!--)\S+: ": "",
}


def parse(
    config: type[Config], argv: Sequence[str], prog: str, default: Config | None = None, remark: str = ""
) -> Config:
    """Build ``config`` from ``[recipe.yaml] [--flags]``, and from words without a flag if it has a field for them.

    Args:
        config: a frozen dataclass; its docstring is the description in ``--help``, comments beside its fields explain
            the flags. Its ``POSITIONAL``, if it has one, names the field that takes words without a flag.
        argv: arguments after the program's name.
        prog: the program's name, for ``--help``.
        default: the configuration if no flag is given; ``None``: the defaults of its fields.
        remark: last paragraph of the description in ``--help``.

    Raises:
        InputError: unknown flag, wrong type, unreadable recipe, contradictory values.
    """
    words, recipe, hint = list(argv), [], "see --help"
    positional = getattr(config, "POSITIONAL", "")
    if {"-h", "--help"}.intersection(words):
        usage = f"{prog} [recipe.yaml]" + (f" [{positional.upper()} ...]" if positional else "")
        head = inspect.getdoc(typing.get_origin(config) or config)
        tyro.cli(config, args=["--help"], prog=usage, default=default, description=f"{head}\n\n{remark}".rstrip())
    try:
        if words and words[0].endswith(RECIPES):
            hint += f"; recipe {words[0]}"
            recipe = recipe_flags(Path(words.pop(0)))
        if bad := next((word for word in (*recipe, *words) if "\0" in word), None):
            raise InputError(f"got {bad!r:.80}, wanted no null byte in it")
        _check_numbers([*recipe, *words], flag_types(config))
        _check_flags([*recipe, *words], flag_types(config))
        parsed, rest = _read(config, [*recipe, END_OF_RECIPE, *words], default)
        if end := rest.index(END_OF_RECIPE):
            raise InputError(f"got {rest[0]!r} beside another value; wanted one")
        return _with_positional(parsed, config, positional, rest[end + 1 :], words)
    except InputError as error:
        raise InputError(f"{error} ({hint})") from error


def _with_positional(config: Config, kind: type[Config], field: str, found: list[str], words: list[str]) -> Config:
    """Return ``config`` with ``found``, the words without a flag among ``words``, as its ``field``; if any."""
    if not found:
        return config
    if late := next((word for word in found if word.endswith(RECIPES)), None):
        raise InputError(f"recipe {late}: got it after other words, wanted it before all of them")
    if not field:
        flag = next(iter(flag_types(kind)))
        raise InputError(f"got {found[0]!r} without a flag; wanted one before it, such as {flag} {found[0]}")
    if any(word.partition("=")[0] == f"--{field}" for word in words):
        raise InputError(f"got --{field} and, without a flag, {found[0]!r}; wanted one or the other")
    plain: Any = config  # for the type checker, a dataclass as any other
    return dataclasses.replace(plain, **{field: tuple(found)})


def flag_types(config: Any, prefix: str = "--") -> dict[str, Any]:
    """Return the flags of a configuration, each with the type of its value.

    Flags of a nested configuration are ``--nested.field``, or ``--PREFIX.field`` if it has a ``PREFIX``. The type
    parameters of a generic one, ``Config[Nested]``, are resolved.
    """
    plain = typing.get_origin(config) or config
    found, types = {}, typing.get_type_hints(plain)
    parameters = dict(zip(getattr(plain, "__parameters__", ()), typing.get_args(config), strict=True))
    for field in dataclasses.fields(plain):
        kind = parameters.get(types[field.name], types[field.name])
        kind = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(kind):
            nested = getattr(kind, "PREFIX", name)
            found |= flag_types(kind, f"{prefix}{nested}." if nested else prefix)
        else:
            found |= dict.fromkeys([prefix + name] + [f"{prefix}no-{name}"] * (kind is bool), kind)
    return found


def flag_name(config: Any, field: str) -> str:
    """Return the flag of a field of a configuration: ``--PREFIX.field``, or ``--field`` if its ``PREFIX`` is empty."""
    return f"--{config.PREFIX and f'{config.PREFIX}.'}{field.replace('_', '-')}"


def flag_words(argv: Sequence[str]) -> list[str]:
    """Return ``[recipe.yaml] [--flags]`` with the recipe replaced by its flags. :func:`parse` reports what is wrong."""
    words = list(argv)
    if words and words[0].endswith(RECIPES):
        with contextlib.suppress(InputError):
            words[:1] = recipe_flags(Path(words[0]))
    return words


def value_of(flag: str, words: Sequence[str], default: str) -> str:
    """Return the last value that ``words`` give to ``flag``, or ``default``; no other flag need be known."""
    for word, following in zip(words, [*words[1:], default], strict=False):
        name, equals, value = word.partition("=")
        if name == flag:
            default = value if equals else following
    return default


def key_fields(config: Any, without: Iterable[str] = (RUN,)) -> dict[str, Any]:
    """Return the fields of a configuration that go into the key of a result, because it depends on them: all but nested
    configurations and the fields marked with one of ``without``."""
    left_out = {name for mark in without for name in marked(type(config), mark)}
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: value for name, value in fields.items() if not (dataclasses.is_dataclass(value) or name in left_out)}


def marked(config: type, mark: str) -> set[str]:
    """Return the names of the fields of a configuration that are ``Annotated`` with ``mark``; a field of a nested one
    is ``nested.field``."""
    found = set()
    for name, hint in typing.get_type_hints(config, include_extras=True).items():
        if mark in getattr(hint, "__metadata__", ()):
            found.add(name)
        elif dataclasses.is_dataclass(hint):
            found |= {f"{name}.{field}" for field in marked(typing.cast(type, hint), mark)}
    return found


def _check_flags(words: Sequence[str], flags: dict[str, Any]) -> None:
    """Raise an InputError for a flag that is not one of ``flags``, or that is given a value and takes none."""
    for before, word in zip(["", *words], words, strict=False):
        flag, equals, value = word.partition("=")
        if not re.match("--?[A-Za-z]", flag):  # a value, which may be negative
            continue
        kind = flags.get(flag.replace("_", "-"))
        if kind is None:
            near = _similar_flags(flag.lstrip("-"), flags)
            takes_value = flags.get(before.replace("_", "-"), bool) is not bool
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            hint = hint or (f"; if it is a value, write {before}={word!r}" if takes_value else "")
            raise InputError(f"{flag}: no such flag{hint}")
        if equals and kind is bool:
            raise InputError(f"{flag}: got {value!r}, wanted no value")


def _check_numbers(words: Iterable[str], flags: dict[str, Any]) -> None:
    """Raise an InputError for ``nan``, or a number that is too large to be one, where a flag takes numbers.

    This comes before the configuration is built, whose own checks may let such a number pass.
    """
    flag = ""  # that the next words are values of
    for word in words:
        name, _, value = word.partition("=")
        if name.replace("_", "-") in flags:
            flag = name.replace("_", "-")
        else:
            value = word
        if flag and _takes_float(flags[flag]) and not _is_finite(value):
            raise InputError(f"{flag}: got {value}, wanted a finite number")


def _takes_float(kind: Any) -> bool:
    """Whether ``kind`` is float, or a tuple or union with one in it."""
    return kind is float or any(map(_takes_float, typing.get_args(kind)))


def _is_finite(text: str) -> bool:
    """Whether ``text`` is a finite number, or no number at all, which tyro reports."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return True


def _similar_flags(name: str, flags: Iterable[str]) -> list[str]:
    """Return up to three flags that may be meant: of that name in a nested configuration, beginning with it, or else of
    similar spelling."""
    same = [flag for flag in flags if flag.endswith(f".{name}") or flag.startswith(f"--{name}")]
    return (same or difflib.get_close_matches(f"--{name}", flags, cutoff=0.75))[:3]


def _read(config: type[Config], words: list[str], default: Any) -> tuple[Config, list[str]]:
    """Return the configuration that tyro parses ``words`` to, and the words that it does not know.

    Raises:
        InputError: with the message that tyro would print.
    """
    printed, environment = io.StringIO(), os.environ  # noqa: TID251 - how wide a message is, never the maths
    columns = environment.get("COLUMNS")
    environment["COLUMNS"] = "10000"  # tyro breaks its messages at this width, also where no terminal reads them
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            return tyro.cli(config, args=words, default=default, return_unknown_args=True)
    except SystemExit:
        _title, message, *_more = re.split(r"\n *-{5,} *\n", printed.getvalue())
        message = " ".join(message.split())
        for pattern, ours in TYRO_MESSAGES.items():
            message = re.sub(pattern, ours, message)
        raise InputError(message) from None
    finally:
        environment.pop("COLUMNS")
        if columns is not None:
            environment["COLUMNS"] = columns


def recipe_flags(file: Path) -> list[str]:
    """Return the flags that a YAML recipe stands for.

    Raises:
        InputError: as :func:`read_recipe` and :func:`flags_of`.
    """
    return flags_of(read_recipe(file))


def flags_of(values: dict[str, Any]) -> list[str]:
    """Return the flags that the names and values of a recipe stand for.

    Raises:
        InputError: a name has no value.

    >>> flags_of({"run": {"steps": 3}, "scales": [4, 2], "static": False})
    ['--run.steps=3', '--scales', '4', '2', '--no-static']
    """
    return list(_flatten(values, ()))


def read_recipe(file: Path) -> dict[str, Any]:
    """Read the names and values of a YAML recipe.

    Raises:
        InputError: the file is missing, cannot be read, or holds no mapping.
    """
    if not file.is_file():
        raise InputError(f"recipe {file}: nothing there; wanted a YAML file")
    try:
        recipe = yaml.load(file.read_text(encoding="utf-8"), _StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"recipe {file}{line}: wanted YAML, but {error.problem}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: not UTF-8, an impossible date, ...
        raise file_error(f"recipe {file}: cannot be read as YAML ({reason(error)})", error) from error
    except RecursionError as error:
        raise InputError(f"recipe {file}: nested too deeply; wanted names and values") from error
    if not isinstance(recipe, dict):
        got = "nothing" if recipe is None else f"a {type(recipe).__name__}"
        raise InputError(f"recipe {file}: got {got}, wanted names and values")
    return recipe


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys, of which YAML would take the last; anchors, by which a few lines can
    expand to more values than fit into memory; and tags, for which recipes have no use."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "anchor", None) or getattr(event, "tag", None):  # an alias is an event with an anchor
            problem = "with an anchor, an alias or a tag (&, *, !), which recipes do without; write the value out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if number.bit_length() > 64:
            raise yaml.MarkedYAMLError(problem="a number has more than 64 bits", problem_mark=node.start_mark)
        return number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)


def _flatten(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for name, value in values.items():
        full = (*path, str(name).replace("_", "-"))
        if value is None or value == {}:
            raise InputError(f"recipe: {'.'.join(full)} has no value; give it one or leave it out")
        if isinstance(value, dict):
            yield from _flatten(value, full)
        elif isinstance(value, bool):
            yield "--" + ".".join((*path, full[-1] if value else f"no-{full[-1]}"))
        elif isinstance(value, list):
            yield "--" + ".".join(full)
            yield from map(str, value)
        else:
            yield f"--{'.'.join(full)}={value}"  # one word: it may begin with a dash


def dump(config: Any, file: Path) -> None:
    """Write ``config`` as a recipe that :func:`parse` reads back to an equal one.

    Raises:
        InputError: it cannot be written there.
        RunError: the disk is full or fails.
    """
    with whole_file(file) as temporary:
        content = yaml.safe_dump(as_plain(config), sort_keys=False, allow_unicode=True)
        temporary.write_text(content, encoding="utf-8")


def as_plain(config: Any) -> dict[str, Any]:
    """Return a configuration as nested dictionaries of lists and plain values, as in a recipe."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            name, nested = getattr(value, "PREFIX", field.name), as_plain(value)
            values |= nested if not name else {name: nested} if nested else {}  # a recipe has no empty part
        else:
            values[field.name] = _plain_values(value)
    return values


def _plain_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_values(v) for name, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
