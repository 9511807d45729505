"""Checkpoints of a run: what trains, its average, the optimizer, and where the run stands. Never the frozen weights.

A checkpoint folder appears complete or not at all: it is written under a temporary name and renamed.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from realis.errors import InputError
from realis.training.run_folder import checkpoints


def save(
    output: Path, keep: int, step: int, module: nn.Module, average: list[torch.Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Write ``output/checkpoint-000500`` of optimizer step ``step``; only the newest ``keep`` stay."""
    final = output / f"checkpoint-{step:06d}"
    temporary = output / f".{final.name}.tmp"
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
    for old in checkpoints(output)[:-keep]:
        shutil.rmtree(old)


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
    if average and not (folder / "average.safetensors").is_file():
        raise InputError(f"--run.resume: {folder} has no averaged weights; resume without --optimizer.ema")
    averages = load_file(folder / "average.safetensors") if average else {}
    with torch.no_grad():
        for name, p in trained.items():
            p.copy_(saved[name])
        for name, p in zip(trained, average, strict=bool(average)):
            p.copy_(averages[name])
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu"))
    return json.loads((folder / "state.json").read_text())["step"]
