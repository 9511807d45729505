"""The method on its device; and what to say where the device's memory does not do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from realis.core.errors import InputError, RunError
from realis.upscaler import Method, Needs, Place, Upscaler
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.plan import Plan


class Loader:
    """A method, loaded when the first input needs it, once for all.

    Args:
        method: which.
        config: of the command.
        prompts: of all inputs.
    """

    def __init__(self, method: Method[Any], config: UpscaleConfig, prompts: Sequence[str]) -> None:
        self.method, self.config, self.prompts = method, config, prompts

    def needs(self, prompted: bool) -> Needs:
        """What the method needs for an input with or without a prompt.

        Raises:
            InputError: its files are missing, damaged, or do not fit what was asked for.
        """
        return self.method.needs(self.config.options, prompted)

    @cached_property
    def device(self) -> str:
        """The device that the configuration names.

        Raises:
            InputError: there is none here.
        """
        return usable_device(self.config.device)

    @cached_property
    def upscaler(self) -> Upscaler:
        """The method with its weights.

        Raises:
            InputError: they cannot be opened.
        """
        c = self.config
        place = Place(self.device, c.dtype, c.offload, c.fp8, c.attention, c.compile)
        return self.method.load(c.options, place, list(dict.fromkeys(self.prompts)))


def usable_device(name: str) -> str:
    """``name``, or for ``auto`` cuda if there is one, else cpu.

    Raises:
        InputError: no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: cannot be used here ({str(error).splitlines()[0]}); try cpu") from error
    return name


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch, which may not be imported, has found too little memory: on a GPU by a class of its own, on a CPU by what
    it says."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error)


def no_memory(plan: Plan) -> RunError:
    """The error of a device that is out of memory, with what to do."""
    return RunError(f"--device: out of memory with tiles of {plan.tile[1]}x{plan.tile[0]}; give smaller ones "
                    "(--tile-height, --tile-width), fewer --segment-frames, --offload, or --device cpu")  # fmt: skip


@contextmanager
def memory_in_one_line(plan: Plan) -> Iterator[None]:
    """Turn torch's error of a device that is out of memory into one that says what to do.

    Raises:
        RunError: it is.
    """
    try:
        yield
    except RuntimeError as error:
        raise (no_memory(plan) if is_out_of_memory(error) else error) from None
