"""Read from the environment how many processes, and which sharding, a launcher asked for. No torch."""

import os

from realis.core.errors import InputError


def processes_asked() -> int:
    """Return the number of processes that torchrun or accelerate launched; 1 if there was no launcher.

    Raises:
        InputError: ``MASTER_ADDR`` is set, but ``WORLD_SIZE`` is not.
    """
    environment = os.environ  # noqa: TID251 - how many processes there are, never the maths
    if "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment:
        raise InputError(
            "MASTER_ADDR is set, but WORLD_SIZE is not: this would be one process on its own; start with torchrun or "
            "`accelerate launch` (without its --cpu, which starts one process whatever is asked), or unset MASTER_ADDR"
        )
    return int(environment.get("WORLD_SIZE", 1))


def asked_for(name: str) -> bool:
    """Whether the launch file asks for ``name``, which is FSDP or DEEPSPEED."""
    return os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true"  # noqa: TID251 - as above


def check_processes(working: int, kind: str) -> None:
    """Check that accelerate formed the group that was launched.

    Otherwise N processes might each train alone, all into one folder.

    Args:
        working: processes that accelerate put into one group.
        kind: accelerate's name for how they work together (its ``DistributedType``).

    Raises:
        InputError: it is another number, or another kind, than asked for.
    """
    asked = processes_asked()
    if working != asked or (asked > 1 and kind == "NO"):
        raise InputError(
            f"launched as one of {asked} processes (WORLD_SIZE), but accelerate formed a group of "
            f"{1 if kind == 'NO' else working}; check the launch file (train/launch/ has some), and that its GPUs are there"
        )
    if asked_for("FSDP") and kind != "FSDP":
        raise InputError(
            f"the launch file asks for FSDP, but accelerate formed {kind}: it shards on GPUs only; without them use plain "
            "data parallel (train/launch/ddp_8gpu.yaml) or DeepSpeed"
        )
