"""The registry of upscaling methods by name; a method is imported when it is asked for."""

from importlib import import_module
from typing import Any

from realis.core.errors import require
from realis.upscaler import Method

METHODS = {
    "cpc": "realis.upscaling.cpc_method:METHOD",
    "bicubic": "realis.upscaling.interpolation:BICUBIC",
    "lanczos": "realis.upscaling.interpolation:LANCZOS",
    "basicvsr": "realis.comparators.basicvsr.method:METHOD",
    "sd_x4": "realis.comparators.sd_x4.method:METHOD",
    "image": "realis.comparators.image.method:METHOD",
}
DEFAULT = "cpc"


def find_method(name: str) -> Method[Any]:
    """Import and return the method called ``name``.

    Raises:
        InputError: there is no such method.
    """
    require(name in METHODS, "--method", repr(name), f"one of {', '.join(map(repr, METHODS))}")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(import_module(module), attribute)
