"""One player's turn: forward and backward over the batches of a step, and one clipped step of its optimizer."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate.utils import DistributedType
from safetensors.torch import save_file
from torch import nn

from realis.core.files import whole_file
from realis.data.batch import Batch
from realis.training.checkpoints import save
from realis.training.run import Run
from realis.training.state import TrainingState, whole


class Step(NamedTuple):
    """An optimizer step, as far as all of its turns have it in common.

    Args:
        number: counted from 0.
        module: the step that trains, prepared.
        states: of all players.
        load: the encoded batch of some sample numbers, loaded anew.
    """

    number: int
    module: nn.Module
    states: Sequence[TrainingState]
    load: Callable[[range], Batch]


def take_turn(
    run: Run, step: Step, state: TrainingState, batches: Iterable[Batch]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Take the turn of one player.

    Returns:
        the mean of each loss over the batches, and the gradient norm before clipping, on the device.

    Raises:
        FloatingPointError: a loss or the gradient is not finite.
    """
    accelerator, player, count = run.accelerator, state.player, run.config.accumulation
    is_deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
    sums, norm, losses, numbers = {}, torch.zeros(()), [], []
    for batch in batches:
        with accelerator.accumulate(step.module):
            terms = step.module(batch, player.losses)
            losses.append(terms["loss"].detach().float())
            numbers.append(batch["number"].tolist())
            if is_deepspeed and accelerator.sync_gradients:  # with the last backward pass it takes its step
                stop_unless_finite(run, step, losses, numbers)
            # Every process of a row has the gradient of its own tokens only; the mean over all processes is too
            # small by the length of the row.
            accelerator.backward(terms["loss"] * run.processes.columns)
            if accelerator.sync_gradients:
                clipped = accelerator.clip_grad_norm_(player.parameters.values(), state.config.clip)
                norm = whole(torch.as_tensor(clipped)).detach().float()
                stop_unless_finite(run, step, [*losses, norm.to(losses[0])], numbers)
            state.optimizer.step()
            for each in step.states:  # a loss may have left gradients in what it is not to move
                each.optimizer.zero_grad()
        sums = {name: sums.get(name, 0) + value.detach().float() / count for name, value in terms.items()}
    state.update_average(player.turns_before(step.number))
    return sums, norm


def stop_unless_finite(run: Run, step: Step, values: list[torch.Tensor], numbers: list[list[int]]) -> None:
    """Stop all processes if a value is not finite in one of them, and keep what reproduces it: a checkpoint from
    before this step, and the batch, which follows from the numbers of its samples. The device is read once.

    Args:
        values: the loss of each pass, and the norm of the gradient if there is one yet.
        numbers: of the samples of each pass.

    Raises:
        FloatingPointError: one is not.
    """
    accelerator = run.accelerator
    own = (~torch.stack(values).isfinite()).float()
    bad, bad_here = torch.stack([accelerator.reduce(own.clone(), "sum"), own]).tolist()
    if not any(bad):
        return
    found = next(i for i, count in enumerate(bad) if count)
    what, batch = ("loss", numbers[found]) if found < len(numbers) else ("gradient", numbers[-1])
    is_here = bool(bad_here[found])
    fault = f"the {what} {f'is {float(values[found])}' if is_here else 'of another process is not finite'} at step {step.number}"
    if what == "gradient" and accelerator.distributed_type == DistributedType.DEEPSPEED:  # has taken its step already
        raise FloatingPointError(f"{fault}; resume from the last checkpoint")
    folder = Path(run.config.output) / f"stopped-{step.number:06d}"
    save(run, step.states, folder, step.number)
    if is_here:
        kept = folder / f"batch-of-process-{accelerator.process_index}.safetensors"
        with whole_file(kept) as temporary:
            again = step.load(range(batch[0], batch[-1] + 1))
            save_file({name: x.cpu().contiguous() for name, x in again.items()}, temporary)
    accelerator.wait_for_everyone()
    raise FloatingPointError(
        f"{fault}, samples {batch}; the batch and a checkpoint from before this step are in {folder}: "
        "resume from that (--run.resume) to run the step again"
    )
