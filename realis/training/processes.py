"""The processes of a run: how many there are, which samples each works on, and the split of a clip's tokens.

``world`` processes form a grid of data-parallel rows times ``sequence_parallel`` columns. The processes of a row work
on the same samples, each on its share of the tokens; they are neighbours in rank, so that a row stays on one machine.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from accelerate import Accelerator
from diffusers import ContextParallelConfig, ParallelConfig
from diffusers.hooks import apply_context_parallel
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.modeling_utils import ModelMixin
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from realis.errors import require
from realis.training.state import Tensors


@dataclass(frozen=True)
class Processes:
    """This process in the grid: its row among ``rows``, its column among ``columns`` (sequence parallel)."""

    row: int = 0
    rows: int = 1
    column: int = 0
    columns: int = 1
    mesh: DeviceMesh | None = None  # of this row: dimensions ring (always 1) and ulysses

    def share(self, tensors: Tensors | None, column: int) -> Tensors:
        """What the process in ``column`` of this row has, for all of the row."""
        if self.mesh is None:
            assert tensors is not None
            return tensors
        group = self.mesh["ulysses"].get_group()
        source = dist.get_global_rank(group, column)
        here: list = [{name: (x.shape, x.dtype, x.device.type) for name, x in tensors.items()}] if tensors else [None]
        dist.broadcast_object_list(here, source, group)
        device = self.mesh.device_type
        shared = {}
        for name, (shape, dtype, kind) in here[0].items():
            x = tensors[name] if tensors else torch.empty(shape, dtype=dtype)
            x = x.to(device).contiguous()
            dist.broadcast(x, source, group)
            shared[name] = x if kind != "cpu" else x.cpu()
        return shared


def form_grid(accelerator: Accelerator, sequence_parallel: int) -> Processes:
    """The grid of a run.

    Raises:
        InputError: the processes do not divide into rows of ``sequence_parallel``.
    """
    world = accelerator.num_processes
    require(world % sequence_parallel == 0, "--run.sequence-parallel", sequence_parallel,
            f"a divisor of the number of processes, which is {world}; "
            "train/launch/ has accelerate files for several GPUs")  # fmt: skip
    rows, rank = world // sequence_parallel, accelerator.process_index
    mesh = None
    if sequence_parallel > 1:
        grid = init_device_mesh(
            accelerator.device.type, (rows, 1, sequence_parallel), mesh_dim_names=("data", "ring", "ulysses")
        )
        mesh = grid["ring", "ulysses"]
    return Processes(rank // sequence_parallel, rows, rank % sequence_parallel, sequence_parallel, mesh)


def split_sequence(model: ModelMixin, processes: Processes) -> None:
    """Let the processes of a row share the tokens of ``model`` by its ``_cp_plan`` (Ulysses attention).

    As ``enable_parallelism`` of diffusers does, which on machines without accelerators divides by their number.

    Raises:
        InputError: the heads do not divide among the processes.
    """
    heads, mesh = model.config.num_attention_heads, processes.mesh
    require(heads % processes.columns == 0, "--run.sequence-parallel", processes.columns,
            f"a divisor of the {heads} attention heads")  # fmt: skip
    assert mesh is not None
    context = ContextParallelConfig(ulysses_degree=processes.columns, mesh=mesh)
    config = ParallelConfig(context_parallel_config=context)
    config.setup(dist.get_rank(), dist.get_world_size(), torch.device(mesh.device_type), mesh=mesh)
    for module in model.modules():
        if isinstance(module, AttentionModuleMixin):
            module.processor._parallel_config = config
    plan = {name: split for name, split in model._cp_plan.items() if name}  # "": timesteps of single tokens, not used
    apply_context_parallel(model, context, plan)
