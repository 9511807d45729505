"""The grid of processes of a distributed run: which samples each works on, and what those of a row exchange.

``world`` processes form a grid of data-parallel rows times ``sequence_parallel`` columns. The processes of a row work
on the same samples, each on its share of the tokens; they are neighbours in rank, so that a row stays on one machine.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from realis.core.errors import require


@dataclass(frozen=True)
class Processes:
    """This process in the grid: its row among ``rows``, its column among ``columns`` (sequence parallel)."""

    row: int = 0
    rows: int = 1
    column: int = 0
    columns: int = 1
    mesh: DeviceMesh | None = None  # of this row: dimensions ring (always 1) and ulysses

    def share(self, tensors: dict[str, torch.Tensor] | None, column: int) -> dict[str, torch.Tensor]:
        """Broadcast the ``tensors`` of the process in ``column`` to all processes of this row, and return them.

        Those that were on a GPU arrive on the GPU of each process, the others on the CPU. Only the sender needs
        ``tensors``.
        """
        if self.mesh is None:
            assert tensors is not None
            return tensors
        group = self.mesh["ulysses"].get_group()
        source = dist.get_global_rank(group, column)
        specs: list = [{name: (x.shape, x.dtype, x.device.type) for name, x in tensors.items()}] if tensors else [None]
        dist.broadcast_object_list(specs, source, group)
        device = self.mesh.device_type
        shared = {}
        for name, (shape, dtype, kind) in specs[0].items():
            x = tensors[name] if tensors else torch.empty(shape, dtype=dtype)
            x = x.to(device).contiguous()
            dist.broadcast(x, source, group)
            shared[name] = x if kind != "cpu" else x.cpu()
        return shared


def form_grid(rank: int, world: int, device_type: str, sequence_parallel: int) -> Processes:
    """Form the grid of a run, and return the place of this process in it.

    Args:
        rank: of this process.
        world: number of processes.
        device_type: ``cpu`` or ``cuda``.
        sequence_parallel: number of columns.

    Raises:
        InputError: the processes do not divide into rows of ``sequence_parallel``.
    """
    require(world % sequence_parallel == 0, "--run.sequence-parallel", sequence_parallel,
            f"a divisor of the number of processes, which is {world}; "
            "train/launch/ has accelerate files for several GPUs")  # fmt: skip
    rows, mesh = world // sequence_parallel, None
    if sequence_parallel > 1:
        grid = init_device_mesh(device_type, (rows, 1, sequence_parallel), mesh_dim_names=("data", "ring", "ulysses"))
        mesh = grid["ring", "ulysses"]
    return Processes(rank // sequence_parallel, rows, rank % sequence_parallel, sequence_parallel, mesh)
