"""The tokens of a clip, split among the processes of a row."""

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig, ParallelConfig
from diffusers.hooks import apply_context_parallel
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.modeling_utils import ModelMixin

from realis.core.errors import require
from realis.parallel.distributed import Processes


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
