"""Numbers that are not finite: what a training run computes, loads and saves."""

import json
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file

from realis.core.errors import InputError
from realis.data.caption_files import caption_key, embedding_file, read_embedding
from realis.data.pairs import _read_pool
from realis.training.loop import fit
from realis.training.run import start_run
from realis.training.run_folder import checkpoints
from realis.training.settings import LoopConfig, OptimizerConfig
from realis.training.steps.base import TrainingStep


@dataclass(frozen=True)
class Recipe:
    run: LoopConfig
    optimizer: OptimizerConfig


class Numbers:
    """Batches of nothing but the numbers of their samples, as floats too."""

    def batches(self, plan):
        for numbers in plan:
            yield {"number": torch.tensor(list(numbers)), "x": torch.tensor(list(numbers)).float()}


class Sum(TrainingStep):
    """Three weights, whose sum is the loss."""

    def __init__(self):
        super().__init__("no")
        self.weight = torch.nn.Parameter(torch.ones(3))

    def losses(self, batch):
        return {"loss": self.weight.sum()}


class SquareRoot(Sum):
    """A loss of 0, whose gradient is not a number: that of a square root at 0."""

    def losses(self, batch):
        return {"loss": (self.weight - self.weight.detach()).abs().sqrt().sum()}


def run_of(step, folder, resume="", **optimizer):
    config = LoopConfig(output=str(folder), steps=2, save_every=1, precision="no", tracker="none", resume=resume)
    return fit(start_run(Recipe(config, OptimizerConfig(**optimizer))), step, Numbers())


def test_a_gradient_that_is_not_finite_stops_the_run_before_its_step(tmp_path):
    with pytest.raises(FloatingPointError, match=r"^the gradient is nan at step 0, samples \[0\]; .*stopped-000000"):
        run_of(SquareRoot(), tmp_path)
    assert load_file(tmp_path / "stopped-000000" / "trained.safetensors")["weight"].tolist() == [1, 1, 1]
    assert (tmp_path / "stopped-000000" / "batch-of-process-0.safetensors").is_file()
    assert not checkpoints(tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """Nor do they take the place of those that are."""
    with pytest.raises(FloatingPointError, match="weight has values that are not finite after step 2"):
        run_of(Sum(), tmp_path, lr=1e30, weight_decay=1e7)  # times -1e37 a step
    assert [c.name for c in checkpoints(tmp_path)] == ["checkpoint-000001"]


@pytest.mark.parametrize(("name", "tensor"), [("trained", "weight"), ("optimizer", "weight.exp_avg")])
def test_a_checkpoint_that_is_not_finite_is_not_gone_on_with(tmp_path, name, tensor):
    wanted = run_of(Sum(), tmp_path)
    file = tmp_path / "checkpoint-000002" / f"{name}.safetensors"
    tensors = load_file(file)
    tensors[tensor][1] = torch.nan
    save_file(tensors, file)
    with pytest.raises(
        InputError, match=f"{file}: {tensor} has values that are not finite; resume from the checkpoint before it"
    ):
        run_of(Sum(), tmp_path, resume="latest")
    file.parent.rename(tmp_path / "away")
    assert torch.equal(run_of(Sum(), tmp_path, resume="latest")["weight"], wanted["weight"])


def test_what_was_computed_before_is_finite_too(tmp_path):
    key = caption_key("a cat")
    save_file({key: torch.tensor([[0.0, torch.inf]])}, embedding_file(tmp_path, key))
    with pytest.raises(InputError, match=f"{key[:2]}.safetensors: {key} has values that are not finite; remove that"):
        read_embedding(tmp_path, "a cat")
    save_file({"hr": torch.zeros(2, dtype=torch.uint8), "lr_latents": torch.tensor([torch.nan])}, tmp_path / "pairs")
    with pytest.raises(InputError, match="pairs: lr_latents has values that are not finite; remove it"):
        _read_pool(tmp_path / "pairs")
    (tmp_path / "pairs").write_bytes(b"x")
    with pytest.raises(InputError, match=r"pairs: cannot be read .*; remove it, and it is rendered anew"):
        _read_pool(tmp_path / "pairs")


class BadSample(Sum):
    """A loss that is not finite for sample 5, the second of the second step."""

    def losses(self, batch):
        return {"loss": self.weight.sum() * torch.where(batch["x"] == 5, torch.inf, 1.0).sum()}


def test_of_several_passes_the_batch_that_broke_the_loss_is_kept(tmp_path):
    config = LoopConfig(output=str(tmp_path), steps=3, accumulation=4, precision="no", tracker="none")
    with pytest.raises(FloatingPointError, match=r"^the loss is inf at step 1, samples \[5\]; .*stopped-000001"):
        fit(start_run(Recipe(config, OptimizerConfig())), BadSample(), Numbers())
    kept = load_file(tmp_path / "stopped-000001" / "batch-of-process-0.safetensors")
    assert kept["number"].tolist() == [5] and kept["x"].tolist() == [5]
    assert json.loads((tmp_path / "stopped-000001" / "state.json").read_text())["step"] == 1


def test_of_a_gradient_the_batches_of_all_passes_are_kept(tmp_path):
    config = LoopConfig(output=str(tmp_path), steps=3, accumulation=2, precision="no", tracker="none")
    with pytest.raises(FloatingPointError, match=r"^the gradient is nan at step 0, samples \[0, 1\]; .*stopped-000000"):
        fit(start_run(Recipe(config, OptimizerConfig())), SquareRoot(), Numbers())
    kept = [load_file(tmp_path / "stopped-000000" / f"batch-of-process-0-pass-{i}.safetensors") for i in range(2)]
    assert [batch["number"].tolist() for batch in kept] == [[0], [1]]
