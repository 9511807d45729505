"""Small training runs on rendered clips, for tests."""

import pytest
import torch
from safetensors.torch import load_file

from realis.commands.__main__ import run_train_cpc

SMALL = ["--data.count", "6", "--data.frames", "5", "--data.size", "32", "--run.threads", "1", "--run.precision", "no"]


UNMEASURED = ["--validation.every", "0"]
SMALL_CPC = [*SMALL, *UNMEASURED, "--loss.cell", "2"]


def train(run, folder, *flags, steps=4):
    pairs = str(folder.parent / "pairs")
    run([*SMALL, "--data.cache", pairs, "--run.output", str(folder), "--run.steps", str(steps), *flags])


def train_cpc(folder, *flags, steps=4):
    static = ["--loss.cell", "2", "--controlnet.layers", "3", "--controlnet.steps", "2", "--optimizer.lr", "1e-3",
              "--optimizer.ema", "0.9", "--run.batch", "2"]  # fmt: skip
    train(run_train_cpc, folder, *static, *UNMEASURED, *flags, steps=steps)


def exported(folder):
    return load_file(folder / "export" / "diffusion_pytorch_model.safetensors")


def assert_equal(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def refuses(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run_train_cpc([str(a) for a in arguments])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("realis: ") and all(str(word) in line for word in words), line
