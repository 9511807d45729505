"""What can be known of a run's folders before it starts. No torch."""

import importlib.util
import itertools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from realis.core.config import as_plain, dump, read_recipe
from realis.core.errors import InputError, file_error, reason, require
from realis.core.files import check_name, fitting_name
from realis.core.log import is_main_process, logger
from realis.core.records import build_record, load_json
from realis.core.system import lock
from realis.parallel.launch import processes_asked
from realis.training.settings import LoopConfig, TrainConfig

Config = TypeVar("Config", bound=TrainConfig)


@contextmanager
def claim_run(config: LoopConfig, exports: Mapping[str, str]) -> Iterator[None]:
    """Check where a run will write and what it resumes from, and keep other runs away from there until it ends.

    ``--run.resume latest`` sets checkpoints aside that are damaged.

    Args:
        config: of the run.
        exports: folders that it will replace, by their flags.

    Raises:
        InputError: an export would replace a folder that is no model, nothing can be written there, another process
            writes there, the checkpoint to resume from is missing, damaged or beyond the last step, another run's
            checkpoints are in the way, or the launcher told half of what is needed.
    """
    processes_asked()  # raises if the launcher told half of what is needed
    if config.tracker == "wandb" and not importlib.util.find_spec("wandb"):
        raise InputError("--run.tracker wandb: it is not installed; pip install wandb, or use tensorboard")
    folders = {flag: Path(export) for flag, export in exports.items()}
    for flag, folder in folders.items():
        check_export(folder, flag)
        if Path(config.output).resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{flag} {folder}: would take the place of the run's own folder {config.output}; choose another"
            )
    for needed in (Path(config.output), *(folder.parent for folder in folders.values())):
        try:
            needed.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=needed):  # a name of its own: other processes of the run try it as well
                pass
        except OSError as error:
            raise file_error(f"{needed}: cannot be written ({error.strerror}); choose another output", error) from error
    with ExitStack() as held:
        held.enter_context(held_alone(Path(config.output), "--run.output"))
        for flag, folder in folders.items():
            final = folder.resolve()
            beside = final.with_name(fitting_name(f".{final.name}", ".lock"))  # for the folder itself is replaced
            held.enter_context(held_lock(beside, f"{flag} {folder}", flag))
        if config.resume == "latest" and is_main_process():
            _set_damaged_aside(Path(config.output))
        _check_checkpoints(config, find_checkpoint(config))
        yield


@contextmanager
def held_alone(folder: Path, flag: str) -> Iterator[None]:
    """Keep other commands out of ``folder``, which ``flag`` names, by a lock that the main process holds.

    Raises:
        InputError: another one writes there, or nothing can be written there.
    """
    with held_lock(folder / ".lock", f"{flag} {folder}", flag):
        yield


@contextmanager
def held_lock(file: Path, what: str, flag: str) -> Iterator[None]:
    """Keep other commands away from ``what``, given by ``flag``, by a lock on ``file`` that the main process holds.

    Raises:
        InputError: another one writes there, or nothing can be written there.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("a")
    except OSError as error:
        raise file_error(f"{what}: cannot be written ({error.strerror}); choose another folder", error) from error
    with opened:
        if not is_main_process():
            yield
            return
        if not lock(opened, wait=False):
            raise InputError(
                f"{what}: another process is writing there; wait until it has ended, or choose another {flag}"
            )
        if hasattr(os, "register_at_fork"):  # not on Windows; processes that read clips may outlive one that is killed
            os.register_at_fork(after_in_child=opened.close)
        yield


def check_export(folder: Path, flag: str = "--export") -> None:
    """Make sure that what is in ``folder``, and will be replaced, is a model or nothing.

    Raises:
        InputError: it is something else.
    """
    check_name(folder, flag)
    if not folder.name or folder.is_file():
        raise InputError(f"{flag} {folder}: wanted the name of a folder for the trained part")
    if folder.is_dir() and any(folder.iterdir()) and not _is_model(folder):
        raise InputError(f"{flag} {folder}: is a folder with other things in it; choose a new or an exported one")


def overlap(a: Path, b: Path) -> bool:
    """Whether two folders are the same, or one lies in the other."""
    a, b = a.resolve(), b.resolve()
    return a.is_relative_to(b) or b.is_relative_to(a)


def _check_checkpoints(config: LoopConfig, found: Path | None) -> None:
    """Keep the checkpoints of different runs, or of two branches of one, apart: rotation and ``latest`` go by
    number."""
    output, there = Path(config.output), checkpoints(Path(config.output))
    if found is None:
        if there and not config.resume:
            raise InputError(
                f"--run.output {output}: has checkpoints of an earlier run; go on with it (--run.resume latest), or choose "
                "another folder"
            )
        return
    step = read_position(found).step
    if step > config.steps:
        raise InputError(f"--run.steps: got {config.steps}, but {found} is at step {step} already; wanted more")
    is_own = found.resolve().parent == output.resolve()
    later = [c.name for c in there if not is_own or int(c.name[11:]) > step]
    in_the_way = [] if config.resume == "latest" else later  # what is later than the latest is damaged
    if in_the_way:
        raise InputError(
            f"--run.resume {found}: {output} has {'later' if is_own else 'other'} checkpoints ({', '.join(in_the_way)}), "
            "which would be taken for this run's; move them away, or give another --run.output"
        )


def write_config(config: TrainConfig) -> None:
    """Write the configuration of a command that has a ``run`` into the run's folder. Only the main process does so.

    What differs from the run that is resumed is said: it may be meant, but then the run is no longer what one recipe
    describes.
    """
    if not is_main_process():
        return
    if changed := changed_settings(config):
        logger.warning("resumed with other settings: %s", ", ".join(changed))
    dump(whole_recipe(config), Path(config.run.output) / "config.yaml")


def changed_settings(config: TrainConfig) -> list[str]:
    """Return what differs from the run that ``config`` goes on from, as ``name old -> new``; nothing if it begins
    anew."""
    found = find_checkpoint(config.run)
    before = found.parent / "config.yaml" if found else None
    if not before or not before.is_file():
        return []
    try:
        recipe = read_recipe(before)
    except InputError as error:
        raise InputError(f"{error}; move it away to go on without a comparison of settings") from error
    old, new = (dict(_leaves(x)) for x in (recipe, as_plain(whole_recipe(config))))
    return [f"{name} {old.get(name)} -> {value}" for name, value in new.items() if old.get(name) != value]


def whole_recipe(config: Config) -> Config:
    """Return ``config`` as a recipe of the whole run: without ``resume``, which is of this start alone."""
    return replace(config, run=replace(config.run, resume=""))


def _leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


@dataclass(frozen=True)
class Position:
    """Where a run stood at a checkpoint: after how many optimizer steps, how many samples each saw, and the names of
    the checkpoint's other files."""

    step: int
    samples_per_step: int
    files: tuple[str, ...] = ("trained.safetensors",)  # the least that there is, for those that do not say


def read_position(checkpoint: Path) -> Position:
    """Read what a checkpoint says of itself.

    Raises:
        InputError: it does not.
    """
    file = checkpoint / "state.json"
    try:
        position = build_record(Position, load_json(file.read_bytes()))
        require(position.step >= 0, "step", position.step, "0 or more")
        return position
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({type(error).__name__}: {reason(error)})") from error


def damage(checkpoint: Path) -> str:
    """Say what is wrong with a checkpoint, as far as the sizes of its files tell; empty: nothing.

    Raises:
        OSError: a file may not be read, or the disk fails: then nobody knows.
    """
    name = "state.json"
    try:
        for name in read_position(checkpoint).files:
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
            if not (checkpoint / name).stat().st_size:
                return f"{name} is empty"
            with safe_open(checkpoint / name, "np"):  # compares its size with what its header says
                pass
    except (InputError, SafetensorError) as error:
        return f"{name} is damaged ({error})"
    return ""


def _set_damaged_aside(output: Path) -> None:
    """Rename checkpoints that are damaged and newer than any that is not."""
    for checkpoint in checkpoints(output)[::-1]:
        if not (fault := damage(checkpoint)):
            return
        aside = _free_name(f"{checkpoint}.damaged")
        try:
            checkpoint.rename(aside)
        except OSError as error:
            raise file_error(
                f"{checkpoint}: damaged ({fault}), and cannot be renamed ({error.strerror})", error
            ) from error
        logger.warning("%s: damaged (%s); renamed to %s, going on without it", checkpoint, fault, aside.name)


def _is_model(folder: Path) -> bool:
    """Whether a folder holds a part of a model, at its top or as comparators export it, or a whole one."""
    for name in ("config.json", "model_index.json", "controlnet/config.json", "guiding_unet/config.json"):
        with suppress(OSError, ValueError, TypeError):
            if "_class_name" in load_json((folder / name).read_text()):
                return True
    return False


def checkpoints(output: Path) -> list[Path]:
    """Return the complete checkpoints in a run's folder, oldest first."""
    found = (p for p in output.glob("checkpoint-*") if re.fullmatch("[0-9]{6,}", p.name[11:]) and p.is_dir())
    return sorted(found, key=lambda p: int(p.name[11:]))


def find_checkpoint(config: LoopConfig) -> Path | None:
    """Return the checkpoint that ``--run.resume`` names; ``None`` if it names none, or the latest of a run that has
    none yet (so that a job which is started again and again can always say ``latest``). The latest is the newest one
    that is not damaged.

    Raises:
        InputError: it is not there, or damaged.
    """
    output, named = Path(config.output), Path(config.resume)
    if config.resume == "latest":
        return next((c for c in checkpoints(output)[::-1] if not damage(c)), None)
    if not config.resume:
        return None
    if not (named / "state.json").is_file():
        raise InputError(f"--run.resume {named}: no checkpoint there; wanted a checkpoint-* folder, or latest")
    if fault := damage(named):
        is_own = named.resolve().parent == output.resolve()
        advice = "--run.resume latest takes the newest that is whole" if is_own else "resume from another checkpoint"
        raise InputError(f"--run.resume {named}: damaged ({fault}); {advice}")
    return named


def free_folder(name: str) -> str:
    """Return ``name``, or the first of ``name-2``, ``name-3``, ... that is not there yet; among several processes,
    which might find different ones, always ``name``."""
    if processes_asked() > 1:
        return name
    return str(_free_name(name))


def _free_name(name: str) -> Path:
    names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
    return next(path for path in map(Path, names) if not path.exists())
