"""The one training loop: batches by global sample number, accumulation, schedule, averages, checkpoints."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol, cast

import torch
from accelerate.utils import DistributedType
from safetensors.torch import save_file
from torch import nn

from realis.core.errors import InputError, TerminatedError
from realis.core.files import whole_file
from realis.core.log import logger
from realis.data.batch import PIXELS, Batch
from realis.ops.pixels import signed
from realis.training.checkpoints import load_state, load_weights, on_main, rotate, save
from realis.training.run import Run
from realis.training.run_folder import find_checkpoint, write_config
from realis.training.settings import OptimizerConfig
from realis.training.state import Tensors, TrainingState, trainable, training_state, whole
from realis.training.steps.base import TrainingStep
from realis.training.termination import Termination
from realis.training.tracking import Tracker


class Source(Protocol):
    """Where batches come from."""

    def batches(self, plan: Iterator[range]) -> Generator[Batch, None, None]:
        """A batch for each range of global sample numbers, in that order; pixels may be uint8."""
        ...


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Share of the full rate at optimizer step ``step`` of ``steps``, counted from 0: linear warm-up, then linear from 1 at
    the first step after it to ``final_lr`` at the last one. A single step after the warm-up has the full rate."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    decayed = (step - config.warmup) / max(1, steps - 1 - config.warmup)
    return 1 - decayed + decayed * config.final_lr


def fit(
    run: Run,
    step_module: TrainingStep,
    source: Source,
    encode: Callable[[Batch], Batch] = lambda batch: batch,
    pictures: Callable[[nn.Module, Batch], Tensors] | None = None,
) -> Tensors:
    """Train what requires gradients in ``step_module``.

    Args:
        run: from :func:`~realis.training.run.start_run`.
        step_module: batch -> dict of scalars with ``loss``.
        source: where batches come from.
        encode: what happens to a batch on the device before the step, without gradients; its pixels are still 8-bit.
        pictures: the prepared step and a batch -> clips (B, 3, F, H, W) in [-1, 1] by what they are. All processes
            call it, as all have to run the step; what the main one returns is shown.

    Returns:
        The trained weights (averaged if asked) by name, in the main process' memory; empty in the others.

    Raises:
        InputError: ``resume`` names a checkpoint of another model, or none.
        FloatingPointError: the loss or its gradient is not finite; the message says where what reproduces it lies.
        TerminatedError: SIGTERM came; there is a checkpoint of the step that it came in.
    """
    c, output = run.config, Path(run.config.output)

    # 1. Weights to go on from, sharding, the rest of the checkpoint
    found = find_checkpoint(c)
    start = load_weights(run, found, step_module) if found else 0
    if c.resume:
        logger.info("going on from %s", found or "the start: no checkpoint yet")
    check_same_start(run, start)
    module, state = prepare_training(run, step_module)
    if found:
        load_state(found, state, start)

    # 2. Steps
    plan = (numbers for numbers, turns in own_turns(run, start) if run.processes.column < turns)
    with Termination() as termination, closing(source.batches(plan)) as loaded:
        write_config(run.recipe)
        tracker = Tracker(run, start)
        incoming = device_batches(run, tracker.timed(loaded), start, encode)
        for step in tracker.bar:
            rate = run.optimizer.lr * learning_rate(step, c.steps, run.optimizer)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            losses, norm, first = optimizer_step(run, module, state, incoming, step)
            state.update_average(run.optimizer.ema, step)
            tracker.note(losses)

            # 3. Curves, pictures, checkpoints
            done = step + 1
            is_last, is_stopped = done == c.steps, termination.told_to_any(run.accelerator)
            if done % c.log_every == 0 or is_last:
                tracker.log(done, norm, rate)
            if pictures and c.sample_every and (done % c.sample_every == 0 or is_last) and not is_stopped:
                with torch.no_grad():
                    tracker.show(done, pictures(module, first))
            if done % c.save_every == 0 or is_last or is_stopped:
                save(run, state, output / f"checkpoint-{done:06d}", done)
                if run.accelerator.is_main_process:
                    rotate(output, c.keep)
            if is_stopped:
                raise TerminatedError(f"stopped by SIGTERM after step {done}; --run.resume latest goes on")
    return on_main(run.accelerator, state.averages() if state.average else state.weights())


def check_same_start(run: Run, step: int) -> None:
    """Refuse processes that found different checkpoints, as on machines with a disk of their own each.

    Raises:
        InputError: they did.
    """
    steps = run.accelerator.gather(torch.tensor([step], device=run.accelerator.device)).tolist()
    if len(set(steps)) > 1:
        raise InputError(
            f"--run.resume: processes found checkpoints of different steps ({min(steps)} to {max(steps)}); "
            f"{run.config.output} has to be one folder that all machines see"
        )


def prepare_training(run: Run, step_module: TrainingStep) -> tuple[nn.Module, TrainingState]:
    """Wrap or shard the step as it was launched, with AdamW over what trains in it."""
    c = run.optimizer
    optimizer = torch.optim.AdamW(trainable(step_module).values(), lr=c.lr, betas=c.betas, weight_decay=c.weight_decay)
    module, optimizer = run.accelerator.prepare(step_module, optimizer)
    return module, training_state(run.accelerator, step_module, optimizer, average=bool(c.ema))


def device_batches(run: Run, loaded: Iterator[Batch], start: int, encode: Callable[[Batch], Batch]) -> Iterator[Batch]:
    """Encoded batches of this process' row, from optimizer step ``start`` on.

    The processes of a row load and encode a batch each, at the same time, and then share them one after the other:
    everything but the pixels.
    """
    column = run.processes.column
    for _, turns in own_turns(run, start):
        batch: Batch = {}
        if column < turns:
            with torch.no_grad():
                batch = encode_on_device(next(loaded), run.accelerator.device, encode)
        lean = {name: x for name, x in batch.items() if name not in PIXELS}
        for turn in range(turns):
            shared = cast("Batch", run.processes.share(lean if turn == column else None, turn))
            yield cast("Batch", batch | shared) if turn == column else shared


def own_turns(run: Run, start: int) -> Iterator[tuple[range, int]]:
    """For each turn of loading from step ``start`` on: what this process loads (nothing if there are fewer passes left
    in the step than processes in its row), and how many processes load."""
    columns, passes = run.processes.columns, run.config.accumulation
    for step in range(start, run.config.steps):
        for first in range(0, passes, columns):
            turns = min(columns, passes - first)
            yield run.sample_numbers(step, first + run.processes.column), turns


def encode_on_device(batch: Batch, device: torch.device, encode: Callable[[Batch], Batch]) -> Batch:
    """The batch on ``device``, encoded there, then its pixels in [-1, 1]; ``number`` stays on the CPU, where random draws
    are made."""
    moved = {name: x if name == "number" else x.to(device, non_blocking=True) for name, x in batch.items()}
    encoded = encode(cast("Batch", moved))
    return cast("Batch", {name: signed(x) if x.dtype == torch.uint8 else x for name, x in encoded.items()})


def optimizer_step(
    run: Run, module: nn.Module, state: TrainingState, incoming: Iterator[Batch], step: int
) -> tuple[Tensors, float, Batch]:
    """Forward and backward over a step's batches, then one clipped step of the optimizer.

    Returns:
        the terms' mean over the batches, the gradient norm before clipping, and the first batch.
    """
    accelerator, passes = run.accelerator, run.config.accumulation
    sums, norm, first = {}, torch.zeros(()), Batch()
    for _ in range(passes):
        batch = next(incoming)
        first = first or batch
        with accelerator.accumulate(module):
            losses = module(batch)
            stop_unless_finite(run, state, step, "loss", losses["loss"], batch)
            # Every process of a row has the gradient of its own tokens only; the mean over all processes is too
            # small by the length of the row.
            accelerator.backward(losses["loss"] * run.processes.columns)
            if accelerator.sync_gradients:
                norm = whole(torch.as_tensor(accelerator.clip_grad_norm_(module.parameters(), run.optimizer.clip)))
                stop_unless_finite(run, state, step, "gradient", norm, batch)
            state.optimizer.step()
            state.optimizer.zero_grad()
        sums = {name: sums.get(name, 0) + value.detach().float() / passes for name, value in losses.items()}
    return sums, float(norm), first


def stop_unless_finite(run: Run, state: TrainingState, step: int, what: str, value: torch.Tensor, batch: Batch) -> None:
    """Stop all processes if ``value`` is not finite in one of them, and keep what reproduces it: a checkpoint from
    before this step, and the batch.

    Raises:
        FloatingPointError: it is not.
    """
    accelerator, value = run.accelerator, value.detach()
    bad = (~value.isfinite()).float().to(accelerator.device)
    if not accelerator.reduce(bad, "sum"):
        return
    fault = f"the {what} {f'is {float(value)}' if bad else 'of another process is not finite'} at step {step}"
    if what == "gradient" and accelerator.distributed_type == DistributedType.DEEPSPEED:  # has taken its step already
        raise FloatingPointError(f"{fault}; resume from the last checkpoint")
    folder = Path(run.config.output) / f"stopped-{step:06d}"
    save(run, state, folder, step)
    if bad:
        kept = folder / f"batch-of-process-{accelerator.process_index}.safetensors"
        with whole_file(kept) as temporary:
            save_file({name: x.cpu().contiguous() for name, x in batch.items()}, temporary)
    accelerator.wait_for_everyone()
    raise FloatingPointError(
        f"{fault}, samples {batch['number'].tolist()}; the batch and a checkpoint from before this step are in {folder}: "
        "resume from that (--run.resume) to run the step again"
    )
