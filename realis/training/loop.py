"""The one training loop: batches by global sample number, accumulation, schedule, averages, checkpoints."""

from collections.abc import Callable, Iterable, Iterator
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
from realis.training.turn import Round, take_turn
from realis.training.validation import Validation, Validator


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the share of the full rate at optimizer step ``step`` of ``steps``, counted from 0: linear warm-up, then
    linear from 1 at the first step after it to ``final_lr`` at the last one. A single step after the warm-up has the
    full rate."""
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
    validation = Validation(run, validator, encode, start) if validator else None
    plan = planned(run, start)
    with Termination() as termination, closing(source.batches(plan)) as loaded, Tracker(run, start) as tracker:
        write_config(run.recipe)

        def is_stopped() -> bool:
            return termination.told_to_any(run.accelerator)

        def validate(done: int) -> None:
            if validation and validation.is_due(done):
                tracker.log_validation(done, validation.measure(module, done, is_stopped))

        validate(start)  # where the run was stopped before it was measured
        incoming = device_batches(run, tracker.timed(loaded), start, encode)
        for number in tracker.bar:
            done = number + 1
            shows = pictures and is_due(done, c.sample_every, c.steps)
            first = take_turns(run, Round(number, module, states, load), incoming, tracker, keep_first=bool(shows))

            # 3. Curves, pictures, validation, checkpoints
            stopped = is_stopped()
            if is_due(done, c.log_every, c.steps):
                tracker.log(done)
            with tracker.untimed():
                if pictures and first and not stopped:
                    with torch.no_grad():
                        tracker.show(done, pictures(module, first))
                del first
                if is_due(done, c.save_every, c.steps) or stopped:
                    save(run, states, output / f"checkpoint-{done:06d}", done)
                    if run.accelerator.is_main_process:
                        rotate(output, c.keep)
                if stopped:
                    raise TerminatedError(f"stopped by SIGTERM after step {done}; --run.resume latest goes on")
                validate(done)
    weights = (state.averages() if state.average else state.weights() for state in states)
    return on_main(run.accelerator, chain.from_iterable(weights))


def is_due(done: int, every: int, steps: int) -> bool:
    """Whether what happens every so many optimizer steps, and at the last one, happens after ``done``; 0: never."""
    return bool(every) and (done % every == 0 or done == steps)


def take_turns(run: Run, this: Round, incoming: Iterator[Batch], tracker: Tracker, keep_first: bool) -> Batch:
    """Let each player whose turn it is take it, over the batches of one optimizer step; return the first of these if it
    is to be kept, else an empty one."""
    playing = [state for state in this.states if state.player.has_turn(this.number)]
    batches, first = islice(incoming, run.config.accumulation), Batch()
    if keep_first:
        first = next(batches)
        batches = chain([first], batches)
    if len(playing) != 1:  # several see the same ones; nobody, and they pass by
        batches = list(batches)
    for i, state in enumerate(playing):
        player, rate = state.player, set_learning_rate(state, this.number, run.config.steps)
        losses, norm = take_turn(run, this, state, batches, is_first=i == 0)
        tracker.note({player.term(name): value for name, value in losses.items()})
        tracker.note_last({player.term("gradient norm"): norm, player.term("learning rate"): rate})
    return first


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
        InputError: DeepSpeed, which has one optimizer, and several players; or FSDP2 with layers of another model.
    """
    accelerator, players = run.accelerator, step_module.players()
    check_players(step_module)
    if accelerator.distributed_type == DistributedType.FSDP:
        plugin = accelerator.state.fsdp_plugin
        assert plugin is not None
        check_layers(step_module, plugin.transformer_cls_names_to_wrap or ())
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


def check_players(step_module: TrainingStep) -> None:
    """Refuse a step whose players could not be told apart, or could not be resumed.

    Raises:
        ValueError: one of several has no name of its own, two share a parameter or its name, or there are buffers that a
            checkpoint would lack, as those of batch normalisation.
    """
    players = step_module.players()
    called, names = [player.name for player in players], [name for player in players for name in player.parameters]
    parameters = {id(p) for player in players for p in player.parameters.values()}
    if len(players) > 1 and (len(set(called)) < len(players) or "" in called):
        raise ValueError(f"players: got the names {called}, wanted one for each")
    if len(set(names)) < len(names) or len(parameters) < len(names):
        raise ValueError("players: a parameter, or the name of one, belongs to two of them")
    known = {name for name, _ in step_module.named_parameters(remove_duplicate=False)}
    if buffers := sorted(step_module.state_dict().keys() - known):
        raise ValueError(
            f"{type(step_module).__name__}: its buffers would not be in a checkpoint: {', '.join(buffers)}"
        )


def check_layers(step_module: nn.Module, names: Iterable[str]) -> None:
    """Refuse layers, by the names of their classes, that FSDP2 is to shard and the model does not have.

    Raises:
        InputError: there is one.
    """
    known = {type(module).__name__ for module in step_module.modules()}
    if strange := sorted(set(names) - known):
        raise InputError(f"accelerate's launch file: fsdp_transformer_layer_cls_to_wrap: got {', '.join(strange)}, which this "
                         "model has none of; wanted layers of its own, or DDP (train/launch/ddp_8gpu.yaml)")  # fmt: skip


def set_learning_rate(state: TrainingState, step: int, steps: int) -> float:
    """Set and return the learning rate of a player's turn in optimizer step ``step`` of ``steps``: by its own turns."""
    turn, turns = state.player.turns_before(step), state.player.turns_before(steps)
    rate = state.config.lr * learning_rate(turn, turns, state.config)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    return rate
