"""Checkpoints of a run: what trains, its average, AdamW's moments, and where the run stands. Never frozen weights.

All in safetensors, as whole tensors. Nothing random is saved: every draw follows from the seed and the number of the
sample. A checkpoint folder appears complete or not at all: it is written under a temporary name, synced, and renamed.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from realis.core.errors import InputError, file_error
from realis.core.files import remove_folder, whole_folder
from realis.core.log import logger
from realis.ops.finite import check_tensors, not_finite
from realis.training.players import Player
from realis.training.run import Run
from realis.training.run_folder import Position, checkpoints, read_position
from realis.training.state import ADAMW, Tensors, TrainingState

WEIGHTS, MOMENTS, AVERAGE = "trained", "optimizer", "average"  # files of a player
INSTEAD = "resume from the checkpoint before it; --run.resume latest does once this one is moved away"
BEFORE = "the checkpoints before it are whole"


def save(run: Run, states: Sequence[TrainingState], folder: Path, step: int) -> None:
    """Write ``folder``, a checkpoint after ``step`` optimizer steps. All processes call it; the main one writes.

    Raises:
        InputError: it cannot be written there.
        RunError: the disk is full or fails.
        FloatingPointError: what would be in it is not finite.
    """
    parts = {
        state.player.file(kind): tensors
        for state in states
        for kind, tensors in {WEIGHTS: state.weights(), MOMENTS: state.moments(), AVERAGE: state.averages()}.items()
    }
    is_main = run.accelerator.is_main_process
    with whole_folder(folder, BEFORE) if is_main else nullcontext(folder) as temporary:
        for name, tensors in parts.items():
            gathered = on_main(run.accelerator, tensors)
            if bad := not_finite(gathered):
                raise FloatingPointError(f"{bad} has values that are not finite after step {step}; {BEFORE}")
            if gathered:
                save_file(gathered, temporary / name)
        if is_main:
            position = Position(step, run.samples_per_step, tuple(sorted(file.name for file in temporary.iterdir())))
            (temporary / "state.json").write_text(json.dumps(asdict(position)))
    run.accelerator.wait_for_everyone()


def on_main(accelerator: Accelerator, tensors: Iterator[tuple[str, torch.Tensor]]) -> Tensors:
    """Gather tensors in the main process' memory; the others take part in gathering them, and keep nothing."""
    main = accelerator.is_main_process
    return {name: x.cpu().contiguous() for name, x in tensors if main}


def rotate(output: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` checkpoints of a run, and what runs that were killed left behind."""
    for old in checkpoints(output)[:-keep]:
        remove_folder(old)
    for left in (left for end in ("old", "tmp") for left in output.glob(f".*-[0-9]*.{end}")):
        shutil.rmtree(left, ignore_errors=True)


def load_weights(run: Run, folder: Path, players: Sequence[Player]) -> int:
    """Load the trained weights of a checkpoint into a step that is not sharded yet; returns its optimizer step.

    Says so if a step has another number of samples now: the steps to come see others than in an undisturbed run.

    Raises:
        InputError: it belongs to another model, or is damaged.
    """
    for player in players:
        saved = _tensors(folder / player.file(WEIGHTS))
        if {n: p.shape for n, p in saved.items()} != {n: p.shape for n, p in player.parameters.items()}:
            raise InputError(f"--run.resume: the weights in {folder} are not those of this model; check the recipe")
        with torch.no_grad():
            for name, p in player.parameters.items():
                p.copy_(saved[name])
    position = read_position(folder)
    before, now = position.samples_per_step, run.samples_per_step
    if before != now:
        logger.warning("samples a step: %d before, %d now (processes x batch x accumulation)", before, now)
    return position.step


def load_state(folder: Path, state: TrainingState, step: int) -> None:
    """Load the rest of one player's checkpoint after ``step`` optimizer steps, once the step is sharded.

    Raises:
        InputError: averages are wanted, but were not kept; or something does not fit the weights.
    """
    player, average = state.player, folder / state.player.file(AVERAGE)
    if state.average and not average.is_file():
        raise InputError(f"--run.resume: {folder} has no averaged weights; resume without --optimizer.ema")
    weights = _shapes(folder / player.file(WEIGHTS))  # of the module's own, sharding may show a part only
    moments = {f"{name}.{moment}": shape for name, shape in weights.items() for moment in ADAMW}
    averages, turns = _tensors(average, weights) if state.average else {}, player.turns_before(step)
    state.load(_tensors(folder / player.file(MOMENTS), moments) if turns else {}, averages, turns)


def _tensors(file: Path, shapes: dict[str, list[int]] | None = None) -> Tensors:
    """Return the tensors in a file of a checkpoint, which are to have such names and ``shapes``.

    Raises:
        InputError: it cannot be read, or holds others, or some that are not finite.
    """
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise file_error(f"--run.resume: {file} cannot be read ({error}); {INSTEAD}", error) from error
    if shapes is not None and _shapes(file) != shapes:
        raise InputError(f"--run.resume: {file} does not belong to the weights beside it; {INSTEAD}")
    check_tensors(tensors, file, INSTEAD)
    return tensors


def _shapes(file: Path) -> dict[str, list[int]]:
    """Return names and shapes of the tensors in a file, which can be read."""
    with safe_open(file, "np") as tensors:
        return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118 - no mapping
