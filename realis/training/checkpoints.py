"""Checkpoints of a run: what trains, its average, the optimizer, and where the run stands. Never the frozen weights.

A checkpoint folder appears complete or not at all: it is written under a temporary name and renamed.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from realis.errors import InputError


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints ``checkpoint-000500`` of one run, in its output folder; the newest ``keep`` stay."""

    folder: Path
    keep: int

    def all(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob("checkpoint-*") if p.name[11:].isdigit())

    def save(self, step: int, module: nn.Module, average: list[torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Write the checkpoint of optimizer step ``step`` and drop the oldest ones."""
        final = self.folder / f"checkpoint-{step:06d}"
        temporary = self.folder / f".{final.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        trained = trainable(module)
        save_file({name: p.detach().contiguous() for name, p in trained.items()}, temporary / "trained.safetensors")
        if average:
            named = dict(zip(trained, average, strict=True))
            save_file({name: p.contiguous() for name, p in named.items()}, temporary / "average.safetensors")
        torch.save(optimizer.state_dict(), temporary / "optimizer.pt")
        (temporary / "state.json").write_text(json.dumps({"step": step}))
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        for old in self.all()[: -self.keep]:
            shutil.rmtree(old)

    def find(self, resume: str) -> Path | None:
        """The checkpoint that ``--run.resume`` names.

        Raises:
            InputError: there is none.
        """
        if not resume:
            return None
        found = self.all()[-1:] if resume == "latest" else [Path(resume)]
        if not found or not (found[0] / "state.json").is_file():
            where = self.folder if resume == "latest" else resume
            raise InputError(f"--run.resume: no checkpoint in {where}; wanted 'latest' or a checkpoint-* folder")
        return found[0]


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def restore(folder: Path, module: nn.Module, average: list[torch.Tensor], optimizer: Any) -> int:
    """Load a checkpoint into a run built the same way; returns its optimizer step.

    Raises:
        InputError: it belongs to another run.
    """
    trained = trainable(module)
    saved = load_file(folder / "trained.safetensors")
    if {n: p.shape for n, p in saved.items()} != {n: p.shape for n, p in trained.items()}:
        raise InputError(f"--run.resume: the weights in {folder} are not those of this model; check the recipe")
    averages = load_file(folder / "average.safetensors") if average else {}
    with torch.no_grad():
        for name, p in trained.items():
            p.copy_(saved[name])
        for name, p in zip(trained, average, strict=bool(average)):
            p.copy_(averages[name])
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", weights_only=True))
    return json.loads((folder / "state.json").read_text())["step"]
