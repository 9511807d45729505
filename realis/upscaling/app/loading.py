"""Load the method onto its device, once for all inputs; and the error for a device that runs out of memory."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from realis.core.errors import InputError, RunError
from realis.upscaler import Method, Needs, Placement, Upscaler
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.plan import Plan


class Loader:
    """A method that is loaded when the first input needs it, and kept for all others.

    Args:
        method: the method.
        config: of the command.
        prompts: the prompts of all inputs; may be replaced until the method is loaded.
    """

    def __init__(self, method: Method[Any], config: UpscaleConfig, prompts: Sequence[str]) -> None:
        self.method, self.config, self.prompts = method, config, prompts
        self._needs: dict[bool, Needs] = {}

    def needs(self, prompted: bool) -> Needs:
        """Return what the method needs for an input with or without a prompt.

        Raises:
            InputError: its files are missing or damaged, or do not fit the flags.
        """
        if prompted not in self._needs:
            self._needs[prompted] = self.method.needs(self.config.options, prompted)
        return self._needs[prompted]

    @cached_property
    def device(self) -> str:
        """The device that the configuration names, as torch calls it.

        Raises:
            InputError: torch cannot use it.
        """
        return usable_device(self.config.device)

    @cached_property
    def upscaler(self) -> Upscaler:
        """The method with its weights, loaded at the first use.

        Raises:
            InputError: they cannot be loaded.
        """
        config = self.config
        placement = Placement(self.device, config.dtype, config.offload, config.fp8, config.attention, config.compile)
        return self.method.load(config.options, placement, list(dict.fromkeys(self.prompts)))


def usable_device(name: str) -> str:
    """Return the device ``name``, or for ``auto`` cuda if there is one, else cpu.

    Raises:
        InputError: torch cannot use this device.
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
    """Return whether ``error`` is torch's for too little memory: on a GPU by its class, on a CPU by its message. By name, as
    torch may not have been imported."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error)


def out_of_memory_error(plan: Plan) -> RunError:
    """Return the error for a device that is out of memory, with the flags that reduce memory."""
    remedies = ", or ".join(filter(None, [plan.needs.less_memory, "--device cpu"]))
    return RunError(f"--device: out of memory with tiles of {plan.tile[1]}x{plan.tile[0]}; give {remedies}")
