"""What a training run stands on: accelerate, the grid of processes, its settings."""

from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs, set_seed

from realis.core.log import logger
from realis.parallel.distributed import Processes, form_grid
from realis.parallel.launch import asked_for, check_processes, processes_asked
from realis.training.settings import LoopConfig, OptimizerConfig, TrainConfig


@dataclass(frozen=True)
class Run:
    """One run in one process."""

    accelerator: Accelerator
    processes: Processes
    recipe: TrainConfig  # the command's whole configuration

    @property
    def config(self) -> LoopConfig:
        """How long, how often, where to."""
        return self.recipe.run

    @property
    def optimizer(self) -> OptimizerConfig:
        """How weights move."""
        return self.recipe.optimizer

    @property
    def samples_per_step(self) -> int:
        """Samples that one optimizer step sees, over all processes and forward passes."""
        return self.processes.rows * self.config.accumulation * self.config.batch

    def sample_numbers(self, step: int, micro: int) -> range:
        """Return the global numbers of the samples of this row's pass ``micro``: a step's set is the same for any
        split."""
        c, p = self.config, self.processes
        first = ((step * c.accumulation + micro) * p.rows + p.row) * c.batch
        return range(first, first + c.batch)


def start_run(recipe: TrainConfig, sequence_parallel: int = 1) -> Run:
    """Start accelerate and check what it was launched as.

    Args:
        recipe: the command's configuration, with a ``run`` and an ``optimizer``.
        sequence_parallel: processes that share the tokens of a clip.

    Precision is the training step's business (autocast), the same under plain, DDP, FSDP2 and DeepSpeed training:
    accelerate's own would cast the norms that the frozen model needs in float32.

    Raises:
        InputError: the processes that work together are not those that were launched, or form no grid.
    """
    config = recipe.run
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # denormals make CPU training several times slower
    set_seed(config.seed)  # initial weights; everything after is drawn by sample number
    on_cpu = processes_asked() > 1 and not torch.cuda.is_available()
    accelerator = Accelerator(
        cpu=on_cpu and not asked_for("DEEPSPEED"),  # else accelerate would let each process train by itself
        mixed_precision="no",
        gradient_accumulation_steps=config.accumulation,
        log_with=None if config.tracker == "none" else config.tracker,
        project_dir=config.output,
        step_scheduler_with_optimizer=False,
        kwargs_handlers=[InitProcessGroupKwargs(backend="gloo")] if on_cpu else [],
    )
    check_processes(accelerator.num_processes, accelerator.distributed_type.value)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:  # one place for each setting: ours
        assert accelerator.state.deepspeed_plugin is not None
        settings = accelerator.state.deepspeed_plugin.deepspeed_config
        settings["gradient_clipping"] = recipe.optimizer.clip
        settings["gradient_accumulation_steps"] = config.accumulation
        settings["train_micro_batch_size_per_gpu"] = config.batch
    grid = form_grid(accelerator.process_index, accelerator.num_processes, accelerator.device.type, sequence_parallel)
    run = Run(accelerator, grid, recipe)
    kind, p = accelerator.distributed_type.value.replace("NO", "on its own"), run.processes
    logger.info("processes: %d (%s), %d to a clip; samples a step: %d",
                p.rows * p.columns, kind, p.columns, run.samples_per_step)  # fmt: skip
    return run
