"""How many processes a launcher asked for. No torch."""

import os

from realis.errors import InputError


def processes_asked() -> int:
    """Number of processes of the run, as torchrun and accelerate tell each of them; 1 if it was started by itself.

    Raises:
        InputError: there is an address to meet at, but no number.
    """
    environment = os.environ  # noqa: TID251 - how many processes there are, never the maths
    if "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment:
        raise InputError(
            "MASTER_ADDR is set, but WORLD_SIZE is not: this would be one process on its own; start with `accelerate "
            "launch` or torchrun, or unset MASTER_ADDR"
        )
    return int(environment.get("WORLD_SIZE", 1))


def check_processes(working: int) -> None:
    """Compare what the launcher asked for with the number of processes that really work together.

    Left alone, each process would train by itself, and all would write to one folder.

    Raises:
        InputError: another number.
    """
    if working != processes_asked():
        raise InputError(
            f"launched as one of {processes_asked()} processes (WORLD_SIZE), but accelerate formed a group of {working}; "
            "on machines without GPUs only plain data parallel and DeepSpeed work: torchrun with ACCELERATE_USE_CPU=true, "
            "no FSDP"
        )
