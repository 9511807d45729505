"""The methods by name, imported on demand."""

from importlib import import_module
from typing import Any

from realis.core.errors import require
from realis.upscaler import Method

METHODS = {
    "cpc": "realis.upscaling.cpc_method:METHOD",
    "bicubic": "realis.upscaling.bicubic:METHOD",
}
DEFAULT = "cpc"


def find_method(name: str) -> Method[Any]:
    """The method called ``name``.

    Raises:
        InputError: there is none.
    """
    require(name in METHODS, "--method", repr(name), f"one of {', '.join(map(repr, METHODS))}")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(import_module(module), attribute)
