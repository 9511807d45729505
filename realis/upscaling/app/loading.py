"""The method on its device, loaded once; and the error for a device that runs out of memory."""

from collections.abc import Sequence
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
        prompts: of all inputs that can be upscaled, as far as it is known before the method is loaded.
    """

    def __init__(self, method: Method[Any], config: UpscaleConfig, prompts: Sequence[str]) -> None:
        self.method, self.config, self.prompts = method, config, prompts
        self._needs: dict[bool, Needs] = {}

    def needs(self, prompted: bool) -> Needs:
        """Return what the method needs for an input with or without a prompt.

        Raises:
            InputError: its files are missing, damaged, or do not fit what was asked for.
        """
        if prompted not in self._needs:
            self._needs[prompted] = self.method.needs(self.config.options, prompted)
        return self._needs[prompted]

    @cached_property
    def device(self) -> str:
        """The device that the configuration names.

        Raises:
            InputError: there is none here.
        """
        return usable_device(self.config.device)

    @cached_property
    def upscaler(self) -> Upscaler:
        """The method with its weights, loaded at the first use.

        Raises:
            InputError: they cannot be opened.
        """
        c = self.config
        place = Place(self.device, c.dtype, c.offload, c.fp8, c.attention, c.compile)
        return self.method.load(c.options, place, list(dict.fromkeys(self.prompts)))


def usable_device(name: str) -> str:
    """Return ``name``, or for ``auto`` cuda if there is one, else cpu.

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
    """Return whether torch, which may not be imported, has found too little memory: on a GPU by a class of its own, on a CPU
    by what it says."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error)


def out_of_memory_error(plan: Plan) -> RunError:
    """Return the error that says which flags need less memory."""
    remedies = ", ".join(filter(None, [plan.needs.less_memory, "--offload", "or --device cpu"]))
    return RunError(f"--device: out of memory with tiles of {plan.tile[1]}x{plan.tile[0]}; give {remedies}")
