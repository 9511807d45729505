"""The method on its device; and what to say where the device's memory does not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from realis.commands.plan import Plan
from realis.errors import InputError

if TYPE_CHECKING:
    from realis.commands.upscale import UpscaleConfig
    from realis.upscaler import Upscaler


def load(config: "UpscaleConfig", plan: Plan) -> "Upscaler":
    """Load the method."""
    from realis.methods import MethodOptions, load_method

    def file(name: str) -> Path | None:
        return Path(name) if name else None

    options = MethodOptions(
        folder=plan.folder, cpc=plan.cpc, decoder=config.decoder, prompt=config.prompt,
        negative_prompt=config.negative_prompt, prompt_embeds=file(config.prompt_embeds),
        empty_prompt_embeds=file(config.empty_prompt_embeds), **plan.sampling,
        guidance=config.guidance, cpc_scale=config.cpc_scale, segments=plan.segments,
        device=usable_device(config.device), dtype=config.dtype, offload=config.offload, fp8=config.fp8,
        attention=config.attention, compiled=config.compile,
    )  # fmt: skip
    return load_method(config.method, options)


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
    """Whether it is torch's, which may not be imported."""
    return type(error).__name__ == "OutOfMemoryError"


def no_memory(plan: Plan) -> InputError:
    """What to do where memory does not do."""
    return InputError(f"--device: out of memory with tiles of {plan.tile[1]}x{plan.tile[0]}; give smaller ones "
                      "(--tile-height, --tile-width), fewer --segment-frames, --offload, or --device cpu")  # fmt: skip


@contextmanager
def memory_in_one_line(plan: Plan) -> Iterator[None]:
    """Where memory does not do, say what to do."""
    try:
        yield
    except RuntimeError as error:
        raise (no_memory(plan) if is_out_of_memory(error) else error) from None
