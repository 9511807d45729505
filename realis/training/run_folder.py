"""What can be known of a run's folders before it starts. No torch."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from realis.config import dump
from realis.errors import InputError
from realis.training.settings import LoopConfig


def check_run(config: LoopConfig, export: str) -> None:
    """Check where a run will write and what it resumes from.

    Raises:
        InputError: the export would replace a folder that is no model, nothing can be written there, or the
            checkpoint to resume from is missing.
    """
    folder = Path(export)
    if not folder.name or folder.is_file():
        raise InputError(f"--export {export}: wanted the name of a folder for the trained part")
    if folder.is_dir() and any(folder.iterdir()) and not _is_model(folder):
        raise InputError(f"--export {export}: is a folder with other things in it; choose a new or an exported one")
    found = find_checkpoint(config)
    if found is not None and (step := _step_of(found)) >= config.steps:
        raise InputError(f"--run.steps: got {config.steps}, but {found} is at step {step} already; wanted more")
    for needed in (Path(config.output), folder.parent):
        try:
            needed.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=needed):  # a name of its own: other processes of the run try it as well
                pass
        except OSError as error:
            raise InputError(f"{needed}: cannot be written ({error.strerror}); choose another output") from error


def write_config(config: Any) -> None:
    """Write the configuration of a command that has a ``run`` into the run's folder: a recipe of the whole run.

    Without ``resume``, which is of this start alone: in another folder there would be nothing to resume.
    """
    whole = replace(config, run=replace(config.run, resume=""))
    dump(whole, Path(config.run.output) / "config.yaml")


def _step_of(checkpoint: Path) -> int:
    return json.loads((checkpoint / "state.json").read_text())["step"]


def _is_model(folder: Path) -> bool:
    try:
        return "_class_name" in json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return False


def checkpoints(output: Path) -> list[Path]:
    """Complete checkpoints in a run's folder, oldest first."""
    return sorted(p for p in output.glob("checkpoint-*") if p.name[11:].isdigit())


def find_checkpoint(config: LoopConfig) -> Path | None:
    """The checkpoint that ``--run.resume`` names; ``None`` if it names none.

    Raises:
        InputError: it is not there.
    """
    if not config.resume:
        return None
    found = checkpoints(Path(config.output))[-1:] if config.resume == "latest" else [Path(config.resume)]
    if not found or not (found[0] / "state.json").is_file():
        where = f"{config.output} (--run.output)" if config.resume == "latest" else config.resume
        raise InputError(
            f"--run.resume {config.resume}: no checkpoint in {where}; name the run's folder or a checkpoint-*"
        )
    return found[0]
