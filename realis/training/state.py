"""What a run carries from step to step, as whole tensors by name, however it is sharded.

Weights, their average and AdamW's two moments: the same files whatever trained them, so that a run can go on with
another number of processes, or with another way of sharding.
"""

from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from realis.core.errors import InputError
from realis.training.players import Player
from realis.training.settings import OptimizerConfig

ADAMW = ("exp_avg", "exp_avg_sq")  # its two moments
Tensors = dict[str, torch.Tensor]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return the whole of a tensor that may be sharded (then all processes must ask for it)."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a whole tensor, which every process has, on the device of ``like`` and sharded as it is."""
    tensor = tensor.to(like.device, like.dtype)
    if isinstance(like, DTensor):
        return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)
    return tensor


class TrainingState:
    """State of one player in plain, DDP and FSDP2 training.

    Args:
        player: of the step after ``accelerator.prepare``.
        optimizer: AdamW over its parameters, prepared as well.
        config: of the optimizer; says whether an average of the weights is kept.
    """

    def __init__(self, player: Player, optimizer: Any, config: OptimizerConfig) -> None:
        self.player, self.parameters, self.optimizer, self.config = player, player.parameters, optimizer, config
        self.average: Tensors = {}
        if config.ema:
            self.average = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update_average(self, turns: int) -> None:
        """Move the exponential moving average of the weights after a turn, before which there were ``turns``: faster in
        the first ones."""
        if self.average:
            share = 1 - min(self.config.ema, (turns + 1) / (turns + 11))
            for mean, p in zip(self.average.values(), self.parameters.values(), strict=True):
                mean.lerp_(p.detach(), share)

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the weights, one whole tensor after the other. All processes must walk through it together."""
        for name, p in self.parameters.items():
            yield name, whole(p.detach())

    def averages(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield their averages, likewise; none without averaging."""
        for name, mean in self.average.items():
            yield name, whole(mean)

    def moments(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield AdamW's moments as ``NAME.exp_avg`` and ``NAME.exp_avg_sq``, likewise; none before the first step."""
        for name, p in self.parameters.items():
            for key in ADAMW:
                if p in self.optimizer.state:
                    yield f"{name}.{key}", whole(self.optimizer.state[p][key])

    @torch.no_grad()
    def load(self, moments: Tensors, averages: Tensors, turns: int) -> None:
        """Take up AdamW's moments after ``turns`` of the player, and averages. (Weights are loaded before they are
        sharded.)"""
        for name, mean in self.average.items():
            mean.copy_(sharded_like(averages[name], mean))
        for name, p in self.parameters.items() if moments else ():
            self.optimizer.state[p] = {"step": torch.tensor(float(turns))} | {
                key: sharded_like(moments[f"{name}.{key}"], p) for key in ADAMW
            }


class DeepSpeedState(TrainingState):
    """State under DeepSpeed ZeRO 1 to 3, whose optimizer holds flat pieces of all parameters in float32.

    Raises:
        InputError: averaging is asked for, which would gather every weight at every step.
    """

    def __init__(self, player: Player, optimizer: Any, config: OptimizerConfig, zero: Any) -> None:
        if config.ema:
            raise InputError("--optimizer.ema: not available under DeepSpeed; launch with FSDP or DDP, or set it to 0")
        super().__init__(player, optimizer, config)
        self.zero = zero  # DeepSpeed's optimizer around AdamW
        self.in_pieces = hasattr(zero, "fp32_partitioned_groups_flat")  # stage 3

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        from deepspeed.utils import safe_get_full_fp32_param

        for name, p in self.parameters.items():
            weight: Any = safe_get_full_fp32_param(p)
            yield name, weight

    def moments(self) -> Iterator[tuple[str, torch.Tensor]]:
        from deepspeed.utils import safe_get_full_optimizer_state

        for name, p in self.parameters.items() if self.zero.optimizer.state else ():
            for key in ADAMW:
                moment: Any = safe_get_full_optimizer_state(p, key)
                yield f"{name}.{key}", moment

    @torch.no_grad()
    def load(self, moments: Tensors, averages: Tensors, turns: int) -> None:
        if not moments:
            return
        zero = self.zero
        for flat in zero.fp32_partitioned_groups_flat if self.in_pieces else zero.single_partition_of_fp32_groups:
            zero.optimizer.state[flat] = {"step": torch.tensor(float(turns))} | {
                key: torch.zeros_like(flat) for key in ADAMW
            }
        if not self.in_pieces:
            zero._lazy_init_hp_params_optimizer_state()
        for name, p in self.parameters.items():
            for key in ADAMW:
                self._set_moment(p, key, moments[f"{name}.{key}"].to(p.device))

    def _set_moment(self, p: nn.Parameter, key: str, value: torch.Tensor) -> None:
        from deepspeed.utils import safe_get_local_optimizer_state, safe_set_full_optimizer_state

        if not self.in_pieces:
            safe_set_full_optimizer_state(p, value, key)
            return
        # DeepSpeed's own setter of stage 3 runs over the end of a tensor whose size the processes do not divide.
        piece = safe_get_local_optimizer_state(p, key)
        first = torch.distributed.get_rank() * piece.numel()
        mine = value.flatten()[first : first + piece.numel()]
        piece[: mine.numel()].copy_(mine)


def training_state(accelerator: Accelerator, player: Player, optimizer: Any, config: OptimizerConfig) -> TrainingState:
    """Return the state of a player after ``accelerator.prepare``."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return DeepSpeedState(player, optimizer, config, optimizer.optimizer)
    return TrainingState(player, optimizer, config)
