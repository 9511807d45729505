"""The registry of upscaling methods, and of comparators that train, by name; one is imported when it is asked for."""

from importlib import import_module
from typing import Any

from realis.core.errors import require
from realis.training.comparator import TrainableComparator
from realis.upscaler import Method

METHODS = {
    "cpc": "realis.upscaling.cpc_method:METHOD",
    "bicubic": "realis.upscaling.interpolation:BICUBIC",
    "lanczos": "realis.upscaling.interpolation:LANCZOS",
    "basicvsr": "realis.comparators.basicvsr.method:METHOD",
    "sd_x4": "realis.comparators.sd_x4.method:METHOD",
    "stablevsr": "realis.comparators.stablevsr.method:METHOD",
    "dgaf_vsr": "realis.comparators.dgaf_vsr.method:METHOD",
    "videogigagan": "realis.comparators.videogigagan.method:METHOD",
    "image": "realis.comparators.image.method:METHOD",
}
DEFAULT = "cpc"
TRAININGS = {
    "sd_x4": "realis.comparators.sd_x4.training:TRAINING",
    "stablevsr": "realis.comparators.stablevsr.training:TRAINING",
    "dgaf_vsr": "realis.comparators.dgaf_vsr.training:TRAINING",
    "videogigagan": "realis.comparators.videogigagan.training:TRAINING",
    "basicvsr": "realis.comparators.basicvsr.training:TRAINING",
}


def find_method(name: str) -> Method[Any]:
    """Import and return the method called ``name``.

    Raises:
        InputError: there is no such method.
    """
    return _find(name, METHODS)


def find_training(name: str) -> TrainableComparator[Any]:
    """Import and return how the comparator called ``name`` is trained.

    Raises:
        InputError: there is no such comparator.
    """
    return _find(name, TRAININGS)


def _find(name: str, places: dict[str, str]) -> Any:
    require(name in places, "--method", repr(name), f"one of {', '.join(map(repr, places))}")
    module, _, attribute = places[name].partition(":")
    return getattr(import_module(module), attribute)
