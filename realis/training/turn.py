"""One player's turn: forward and backward over the batches of a step, and one clipped step of its optimizer."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate.utils import DistributedType
from safetensors.torch import save_file
from torch import nn

from realis.core.files import whole_file
from realis.core.log import logger
from realis.data.batch import Batch
from realis.training.checkpoints import save
from realis.training.run import Run
from realis.training.state import Tensors, TrainingState, whole


class Round(NamedTuple):
    """An optimizer step, in which each player may take its turn.

    Args:
        number: counted from 0.
        module: the training step, prepared.
        states: of all players.
        load: the encoded batch of some sample numbers, loaded anew.
    """

    number: int
    module: nn.Module
    states: Sequence[TrainingState]
    load: Callable[[range], Batch]


def take_turn(
    run: Run, this: Round, state: TrainingState, batches: Iterable[Batch], is_first: bool
) -> tuple[Tensors, torch.Tensor]:
    """Take the turn of one player.

    Args:
        batches: of the step, one a pass.
        is_first: whether no other player has taken its turn in this step.

    Returns:
        the mean of each loss over the batches, and the gradient norm before clipping, on the device.

    Raises:
        FloatingPointError: a loss or the gradient is not finite.
    """
    accelerator, player, count = run.accelerator, state.player, run.config.accumulation
    is_deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
    sums, norm, losses, numbers = {}, torch.zeros(()), [], []
    for batch in batches:
        with accelerator.accumulate(this.module):
            terms = this.module(batch, player.losses)
            losses.append(terms["loss"].detach().float())
            numbers.append(batch["number"].tolist())
            del batch
            if is_deepspeed and accelerator.sync_gradients:  # with the last backward pass it takes its step
                stop_unless_finite(run, this, losses, numbers, is_first)
            # Every process of a row has the gradient of its own tokens only; the mean over all processes is too
            # small by the length of the row.
            accelerator.backward(terms["loss"] * run.processes.columns)
            if accelerator.sync_gradients:
                clipped = accelerator.clip_grad_norm_(player.parameters.values(), state.config.clip)
                norm = whole(torch.as_tensor(clipped)).detach().float()
                stop_unless_finite(run, this, [*losses, norm.to(losses[0])], numbers, is_first and not is_deepspeed)
            state.optimizer.step()
            for each in this.states:  # a loss may have left gradients in what it is not to move
                each.optimizer.zero_grad()
        sums = {name: sums.get(name, 0) + value.detach().float() / count for name, value in terms.items()}
    state.update_average(player.turns_before(this.number))
    return sums, norm


def stop_unless_finite(
    run: Run, this: Round, values: list[torch.Tensor], numbers: list[list[int]], is_before: bool
) -> None:
    """Stop all processes if a value is not finite in one of them, and keep what reproduces it: the batch, which follows
    from the numbers of its samples, and a checkpoint from before this step. The device is read once.

    Args:
        values: the loss of each pass, and the norm of the gradient if there is one yet.
        numbers: of the samples of each pass.
        is_before: whether the weights are still those from before this step.

    Raises:
        FloatingPointError: one is not.
    """
    own = (~torch.stack(values).isfinite()).float()
    bad, bad_here = torch.stack([run.accelerator.reduce(own.clone(), "sum"), own]).tolist()
    if not any(bad):
        return
    found = next(i for i, count in enumerate(bad) if count)
    what, kept = ("loss", [numbers[found]]) if found < len(numbers) else ("gradient", numbers)
    is_here = bool(bad_here[found])
    fault = f"the {what} of another process is not finite at step {this.number}"
    if is_here:
        fault = f"the {what} is {float(values[found])} at step {this.number}, samples {[*chain.from_iterable(kept)]}"
    folder = Path(run.config.output) / f"stopped-{this.number:06d}"
    if is_before:
        save(run, this.states, folder, this.number)
    if is_here:
        folder.mkdir(parents=True, exist_ok=True)
        for i, one in enumerate(kept):
            name = f"batch-of-process-{run.accelerator.process_index}" + f"-pass-{i}" * (len(kept) > 1)
            keep_batch(this.load, range(one[0], one[-1] + 1), folder / f"{name}.safetensors")
    run.accelerator.wait_for_everyone()
    if is_before:
        raise FloatingPointError(f"{fault}; the batch and a checkpoint from before this step are in {folder}: resume from "
                                 "that (--run.resume) to run the step again")  # fmt: skip
    raise FloatingPointError(f"{fault}; the batch is in {folder}; some weights have moved in this step already: resume from "
                             "the last checkpoint")  # fmt: skip


def keep_batch(load: Callable[[range], Batch], numbers: range, file: Path) -> None:
    """Write the batch of some samples to ``file``, or say why it cannot be kept: other processes wait for this one."""
    try:
        batch = load(numbers)
        with whole_file(file) as temporary:
            save_file({name: x.cpu().contiguous() for name, x in batch.items()}, temporary)
    except Exception as error:  # noqa: BLE001 - whatever it is, the fault that stops the run is another
        logger.warning("%s: the batch cannot be kept (%s)", file, error)
