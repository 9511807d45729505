"""The configuration of ``upscale`` with the flags of a method, which depend on ``--method``."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any

import tyro

from realis.core.config import flag_types, flag_words, parse, value_of
from realis.core.errors import InputError
from realis.methods.registry import DEFAULT, METHODS, find_method
from realis.upscaling.app.config import UpscaleConfig


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
    try:
        default = make_config(value_of("--method", flag_words(argv), DEFAULT))
    except InputError as error:
        raise InputError(f"{error} (see --help)") from error
    kind = type(default.options)
    check_flags_of_methods(flag_words(argv), default.method)
    remark = (f"Methods: {', '.join(METHODS)}.\n\n"
              f"Below are the flags of {default.method}; --method NAME --help shows another's.")  # fmt: skip
    return parse(UpscaleConfig[Annotated[kind, tyro.conf.arg(name=kind.PREFIX)]], argv, prog, default, remark)


def check_flags_of_methods(words: Sequence[str], method: str) -> None:
    """Check that none of ``words`` is a flag of another method than ``method``.

    Raises:
        InputError: one of them is.
    """
    given = {word.partition("=")[0].replace("_", "-") for word in words}
    for other in METHODS.keys() - {method}:
        kind = find_method(other).Config
        if strays := given & flag_types(kind, f"--{kind.PREFIX}." if kind.PREFIX else "--").keys():
            raise InputError(f"{min(strays)}: is a flag of --method {other}, not of {method} (see --help)")
