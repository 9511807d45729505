"""The configuration of a command with the flags of a method, which depend on ``--method``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from textwrap import fill
from typing import Annotated, Any, Protocol, TypeVar

import tyro

from realis.core.config import flag_types, flag_words, parse, value_of
from realis.core.errors import InputError
from realis.methods.registry import DEFAULT, METHODS, find_method
from realis.upscaler import MethodConfig
from realis.upscaling.app.config import UpscaleConfig

COLUMNS = 78  # of help, where only an indented line stays one of its own


class MethodCommandConfig(Protocol):
    """The configuration of a command that a method, named by ``method``, adds its flags to, as ``options``."""

    @property
    def method(self) -> str: ...

    @property
    def options(self) -> Any: ...


CommandConfig = TypeVar("CommandConfig", bound=MethodCommandConfig)


def make_config(method: str = DEFAULT, **flags: Any) -> UpscaleConfig:
    """Return the configuration with the given ``flags``, those of the method among them.

    Raises:
        InputError: there is no such method, or a value is out of range.
    """
    kind = find_method(method).Config
    own = {field.name for field in fields(kind)}
    options = kind(**{name: flags.pop(name) for name in own.intersection(flags)})
    return UpscaleConfig(method=method, options=options, **flags)


def parse_upscale(argv: Sequence[str], prog: str = "upscale.py") -> UpscaleConfig:
    """Parse ``[recipe.yaml] [--flags]``; which flags there are depends on ``--method``.

    Raises:
        InputError: unknown flag, wrong type, unreadable recipe, contradictory values.
    """
    kinds = {name: lambda name=name: find_method(name).Config for name in METHODS}
    return parse_with_method(UpscaleConfig, make_config, DEFAULT, kinds, argv, prog)


def parse_with_method(
    command: type[CommandConfig],
    make: Callable[[str], CommandConfig],
    default_method: str,
    kinds: Mapping[str, Callable[[], type[MethodConfig]]],
    argv: Sequence[str],
    prog: str,
) -> CommandConfig:
    """Parse ``[recipe.yaml] [--flags]`` of a command whose flags depend on ``--method``.

    Args:
        command: its configuration, generic in that of the method.
        make: the configuration if no flag is given but the method.
        default_method: if none is given.
        kinds: how to get the class of the flags of each method.
        argv: arguments after the program's name.
        prog: the program's name, for ``--help``.

    Raises:
        InputError: unknown flag or method, wrong type, unreadable recipe, contradictory values.
    """
    try:
        default = make(value_of("--method", flag_words(argv), default_method))
    except InputError as error:
        raise InputError(f"{error} (see --help)") from error
    method, kind = default.method, type(default.options)
    methods = fill(f"Methods: {', '.join(kinds)}.", COLUMNS, subsequent_indent="  ")
    check_flags_of_methods(flag_words(argv), method, kinds)
    remark = (f"{methods}\n\n"
              f"Below are the flags of {method}; --method NAME --help shows another's.")  # fmt: skip
    generic: Any = command
    return parse(generic[Annotated[kind, tyro.conf.arg(name=kind.PREFIX)]], argv, prog, default, remark)


def check_flags_of_methods(
    words: Sequence[str], method: str, kinds: Mapping[str, Callable[[], type[MethodConfig]]]
) -> None:
    """Check that none of ``words`` is a flag of another method than ``method``.

    Raises:
        InputError: one of them is.
    """
    given = {word.partition("=")[0].replace("_", "-") for word in words}
    for other in kinds.keys() - {method}:
        kind = kinds[other]()
        if strays := given & flag_types(kind, f"--{kind.PREFIX}." if kind.PREFIX else "--").keys():
            raise InputError(f"{min(strays)}: is a flag of --method {other}, not of {method} (see --help)")
