"""The one training loop: batches by global sample number, accumulation, schedule, averages, checkpoints."""

from collections.abc import Callable
from contextlib import closing
from itertools import chain, islice
from pathlib import Path

import torch
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from torch import nn

from realis.core.errors import InputError, TerminatedError, require
from realis.core.log import logger
from realis.data.batch import Batch
from realis.training.checkpoints import load_state, load_weights, on_main, rotate, save
from realis.training.feed import Encode, Source, device_batches, encoded, planned
from realis.training.run import Run
from realis.training.run_folder import find_checkpoint, write_config
from realis.training.settings import OptimizerConfig
from realis.training.state import Tensors, TrainingState, training_state
from realis.training.steps.base import TrainingStep
from realis.training.termination import Termination
from realis.training.tracking import Tracker
from realis.training.turn import Step, take_turn
from realis.training.validation import Validator, validate


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
    encode: Encode = lambda batch: batch,
    pictures: Callable[[nn.Module, Batch], Tensors] | None = None,
    validator: Validator | None = None,
) -> Tensors:
    """Train the players of ``step_module``.

    Args:
        run: from :func:`~realis.training.run.start_run`.
        step_module: batch -> dict of scalars with ``loss``.
        source: where batches come from.
        encode: what happens to a batch on the device before the step; its pixels are still 8-bit.
        pictures: the prepared step and a batch -> clips (B, 3, F, H, W) in [-1, 1] by what they are. All processes
            call it, as all have to run the step; what the main one returns is shown.
        validator: how the run is measured on the way.

    Returns:
        The trained weights (averaged if asked) by name, in the main process' memory; empty in the others.

    Raises:
        InputError: ``resume`` names a checkpoint of another model, or none; or DeepSpeed and several players.
        FloatingPointError: a loss or its gradient is not finite; the message says where what reproduces it lies.
        TerminatedError: SIGTERM came; there is a checkpoint of the step that it came in.
    """
    c, output = run.config, Path(run.config.output)

    # 1. Weights to go on from, sharding, the rest of the checkpoint
    found = find_checkpoint(c)
    start = load_weights(run, found, step_module.players()) if found else 0
    if c.resume:
        logger.info("going on from %s", found or "the start: no checkpoint yet")
    check_same_start(run, start)
    module, states = prepare_training(run, step_module)
    for state in states if found else ():
        load_state(found, state, start)

    def load(numbers: range) -> Batch:
        with closing(source.batches(iter([numbers]))) as loaded:
            return encoded(run, next(loaded), encode)

    # 2. Steps
    with (
        Termination() as termination,
        closing(source.batches(planned(run, start))) as loaded,
        Tracker(run, start) as tracker,
    ):
        write_config(run.recipe)
        incoming = device_batches(run, tracker.timed(loaded), start, encode)
        for number in tracker.bar:
            step, turns = Step(number, module, states, load), [s for s in states if s.player.has_turn(number)]
            first = next(incoming)
            batches = chain([first], islice(incoming, c.accumulation - 1))
            if len(turns) != 1:  # several see the same ones; nobody, and they pass by
                batches = list(batches)
            for state in turns:
                player = state.player
                rate = set_learning_rate(state, number, c.steps)
                losses, norm = take_turn(run, step, state, batches)
                tracker.note({player.term(name): value for name, value in losses.items()})
                tracker.note_last({player.term("gradient norm"): norm, player.term("learning rate"): rate})

            # 3. Curves, pictures, validation, checkpoints
            done = number + 1
            is_last, is_stopped = done == c.steps, termination.told_to_any(run.accelerator)

            def is_due(every: int, done: int = done, is_last: bool = is_last) -> bool:
                return done % every == 0 or is_last

            if is_due(c.log_every):
                tracker.log(done)
            if pictures and c.sample_every and is_due(c.sample_every) and not is_stopped:
                with torch.no_grad():
                    tracker.show(done, pictures(module, first))
            if validator and is_due(validator.every) and not is_stopped:
                tracker.validated(done, validate(run, module, validator, encode))
            if is_due(c.save_every) or is_stopped:
                save(run, states, output / f"checkpoint-{done:06d}", done)
                if run.accelerator.is_main_process:
                    rotate(output, c.keep)
            if is_stopped:
                raise TerminatedError(f"stopped by SIGTERM after step {done}; --run.resume latest goes on")
    weights = (state.averages() if state.average else state.weights() for state in states)
    return on_main(run.accelerator, chain.from_iterable(weights))


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


def prepare_training(run: Run, step_module: TrainingStep) -> tuple[nn.Module, list[TrainingState]]:
    """Wrap or shard the step as it was launched, with AdamW for each of its players.

    Raises:
        InputError: DeepSpeed, which has one optimizer, and several players.
    """
    accelerator, players = run.accelerator, step_module.players()
    alone = len(players) == 1
    require(alone or accelerator.distributed_type != DistributedType.DEEPSPEED, "accelerate's launch file",
            f"DeepSpeed, and {len(players)} networks that take turns", "DDP or FSDP: DeepSpeed has one optimizer")  # fmt: skip
    if not alone:  # in each turn some parameters have no part
        accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)
    configs = [player.optimizer or run.optimizer for player in players]
    optimizers = [
        torch.optim.AdamW(player.parameters.values(), lr=c.lr, betas=c.betas, weight_decay=c.weight_decay)
        for player, c in zip(players, configs, strict=True)
    ]
    module, *optimizers = accelerator.prepare(step_module, *optimizers)
    states = zip(step_module.players(), optimizers, configs, strict=True)
    return module, [training_state(accelerator, *state) for state in states]


def set_learning_rate(state: TrainingState, step: int, steps: int) -> float:
    """Set and return the learning rate of optimizer step ``step`` of ``steps``."""
    rate = state.config.lr * learning_rate(step, steps, state.config)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    return rate
