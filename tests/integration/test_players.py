"""Several networks that train in turns through the one loop: a small generator and its discriminator."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.functional import softplus

from gloo import in_processes
from realis.core.errors import InputError
from realis.training import run as training_run
from realis.training.loop import check_layers, check_players, fit, prepare_training
from realis.training.players import Player, trainable
from realis.training.settings import LoopConfig, OptimizerConfig
from realis.training.steps.base import TrainingStep
from realis.training.validation import Validator

RETURNED = ("generator-average", "discriminator-trained")
FREE = 1e9  # a gradient norm that nothing reaches


@dataclass(frozen=True)
class Recipe:
    run: LoopConfig
    optimizer: OptimizerConfig


class Block(nn.Sequential):
    def __init__(self, channels, out):
        super().__init__(nn.Linear(channels, 8), nn.SiLU(), nn.Linear(8, out))


class GanStep(TrainingStep):
    """Points of the plane: a generator turns noise into points, the discriminator tells them from those of a ring. From
    the second step on, and in every other one, it takes its turn."""

    def __init__(self):
        super().__init__("no")
        torch.manual_seed(0)
        self.generator, self.discriminator = Block(2, 2), Block(2, 1)

    def players(self):
        weights = {
            part: {f"{part}.{name}": p for name, p in trainable(getattr(self, part)).items()}
            for part in ("generator", "discriminator")
        }
        slow = OptimizerConfig(lr=3e-3, clip=FREE)
        return [
            Player(weights["generator"], "generator", "generator_losses"),
            Player(weights["discriminator"], "discriminator", "discriminator_losses", slow, first=1, every=2),
        ]

    def generator_losses(self, batch):
        return {"loss": softplus(-self.discriminator(self.sample(batch))).mean()}

    def discriminator_losses(self, batch):
        fake = self.discriminator(self.sample(batch).detach())
        return {
            "loss": (softplus(-self.discriminator(batch["x"])) + softplus(fake)).mean(),
            "fake": fake.mean().detach(),
        }

    def sample(self, batch):
        return self.generator(batch["noise"])


class Ring:
    def batches(self, plan):
        for numbers in plan:
            angle = torch.tensor([6.28 * (0.37 * n % 1) for n in numbers])
            noise = torch.stack([torch.randn(2, generator=torch.Generator().manual_seed(n)) for n in numbers])
            yield {"number": torch.tensor([*numbers]), "x": torch.stack([angle.cos(), angle.sin()], 1), "noise": noise}


def radius(module, batch):
    return {"radius": module(batch, "sample").norm(dim=1).mean()}


def sharding_accelerator(**options):
    """An Accelerator that shards by FSDP2 on CPU, where accelerate would not."""
    os.environ.update(
        FSDP_VERSION="2", FSDP_AUTO_WRAP_POLICY="TRANSFORMER_BASED_WRAP", FSDP_TRANSFORMER_CLS_TO_WRAP="Block"
    )
    accelerator = Accelerator(**options)
    for state in (AcceleratorState._shared_state, PartialState._shared_state):
        state["distributed_type"] = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    return accelerator


def train(folder, sharded=False, **loop):
    if sharded:
        training_run.Accelerator = sharding_accelerator
    options = {"steps": 4, "save_every": 1, "keep": 9, "log_every": 2, "batch": 4, "tracker": "none"} | loop
    config = LoopConfig(output=str(folder), precision="no", sample_every=0, **options)
    run = training_run.start_run(Recipe(config, OptimizerConfig(lr=1e-2, clip=FREE, ema=0.9)))
    step = GanStep()
    trained = fit(run, step, Ring(), validator=Validator(2, 3, Ring(), radius))
    if sharded:
        assert all(isinstance(p, DTensor) for p in step.parameters())
    if run.accelerator.is_main_process:  # all that trains, each under its own name
        last = [files(folder / f"checkpoint-{config.steps:06d}")[f"{name}.safetensors"] for name in RETURNED]
        assert trained.keys() == last[0].keys() | last[1].keys()
        assert all(torch.equal(x, next(saved[name] for saved in last if name in saved)) for name, x in trained.items())
    run.accelerator.end_training()


def files(checkpoint):
    return {file.name: load_file(file) for file in checkpoint.glob("*.safetensors")}


def rows(folder):
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of four steps."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder, tracker="tensorboard")
    return folder


def test_each_moves_in_its_turns_and_only_then(whole):
    saved = [files(whole / f"checkpoint-{n:06d}") for n in (1, 2, 3, 4)]
    kinds = {"generator": ("trained", "optimizer", "average"), "discriminator": ("trained", "optimizer")}
    assert saved[-1].keys() == {f"{name}-{kind}.safetensors" for name in kinds for kind in kinds[name]}
    for name, turns in {"generator": [True] * 4, "discriminator": [False, True, False, True]}.items():
        weights = [trainable(GanStep())[f"{name}.0.weight"]]
        weights += [files[f"{name}-trained.safetensors"][f"{name}.0.weight"] for files in saved]
        assert [not torch.equal(a, b) for a, b in pairwise(weights)] == turns, name


def test_a_turn_is_a_step_of_adamw_on_its_own_loss(whole):
    """By hand, without the loop."""
    step = GanStep()
    optimizers = [
        torch.optim.AdamW(part.parameters(), lr=lr, weight_decay=1e-4)
        for part, lr in ((step.generator, 1e-2), (step.discriminator, 3e-3))
    ]
    for number, batch in enumerate(Ring().batches([range(4 * n, 4 * n + 4) for n in range(4)])):
        for player, optimizer in zip(step.players(), optimizers, strict=True):
            if player.name == "generator" or number % 2 == 1:
                step.zero_grad()
                step(batch, player.losses)["loss"].backward()
                optimizer.step()
    saved = files(whole / "checkpoint-000004")
    for name in ("generator", "discriminator"):
        for key, p in trainable(getattr(step, name)).items():
            torch.testing.assert_close(saved[f"{name}-trained.safetensors"][f"{name}.{key}"], p.detach())


def test_curves_of_both_and_of_the_validation(whole):
    events = EventAccumulator(str(whole / "tensorboard")).Reload()
    assert {"generator/loss", "discriminator/fake", "discriminator/learning rate"} <= set(events.Tags()["scalars"])
    drawn = [(event.step, event.value) for event in events.Scalars("validation/radius")]
    assert drawn == [(row["step"], pytest.approx(row["radius"])) for row in rows(whole)] and len(drawn) == 2
    assert (whole / "validation.png").is_file()


@pytest.mark.parametrize("begin", [1, 2, 3])
def test_it_resumes_to_the_bit_between_any_two_turns(whole, tmp_path, begin):
    shutil.copytree(whole / f"checkpoint-{begin:06d}", tmp_path / f"checkpoint-{begin:06d}")
    shutil.copy(whole / "validation.jsonl", tmp_path)
    train(tmp_path, resume="latest")
    a, b = (files(folder / "checkpoint-000004") for folder in (whole, tmp_path))
    assert a.keys() == b.keys() and all(torch.equal(a[name][key], b[name][key]) for name in a for key in a[name])
    assert rows(whole) == rows(tmp_path)


@pytest.mark.parametrize(("sharded", "accumulation"), [(False, 2), (True, 1)], ids=["ddp, two passes", "fsdp2"])
def test_two_processes_take_the_turns_of_one(whole, tmp_path, sharded, accumulation):
    in_processes(partial(train, batch=2 // accumulation, accumulation=accumulation, sharded=sharded), tmp_path)
    for n in (1, 2, 4):
        one, two = (files(folder / f"checkpoint-{n:06d}") for folder in (whole, tmp_path))
        assert one.keys() == two.keys()
        for name in one:
            for key in one[name]:
                torch.testing.assert_close(one[name][key], two[name][key], atol=2e-5, rtol=1e-3)
    assert [row["radius"] for row in rows(tmp_path)] == pytest.approx([row["radius"] for row in rows(whole)], rel=1e-2)


def test_validation_counts_each_sample_once(whole):
    """Three samples in two rows: their mean by hand."""
    step = GanStep()
    step.load_state_dict(files(whole / "checkpoint-000002")["generator-trained.safetensors"], strict=False)
    (batch,) = Ring().batches([range(3)])
    wanted = step.sample(batch).detach().norm(dim=1).mean()
    assert rows(whole)[0] == {"step": 2, "radius": pytest.approx(float(wanted), rel=1e-5)}


def test_several_processes_resume_to_the_bit(tmp_path):
    in_processes(partial(train, batch=2, sharded=True), tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / "checkpoint-000002", tmp_path / "again" / "checkpoint-000002")
    in_processes(partial(train, batch=2, sharded=True, resume="latest"), tmp_path / "again")
    a, b = (files(tmp_path / run / "checkpoint-000004") for run in ("whole", "again"))
    assert a.keys() == b.keys() and all(torch.equal(a[name][key], b[name][key]) for name in a for key in a[name])


class BrokenStep(GanStep):
    """From the second step on the discriminator's loss is not finite for samples from 6 on: those of the second process."""

    def discriminator_losses(self, batch):
        losses = super().discriminator_losses(batch)
        return losses | {"loss": losses["loss"] * torch.where(batch["number"].max() >= 6, torch.nan, 1.0)}


def broken(folder):
    rank = dist.get_rank()
    run = training_run.start_run(
        Recipe(LoopConfig(output=str(folder), steps=4, batch=2, tracker="none"), OptimizerConfig())
    )
    what = (
        r"the loss is nan at step 1, samples \[6, 7\]"
        if rank
        else "the loss of another process is not finite at step 1"
    )
    with pytest.raises(
        FloatingPointError, match=f"^{what}; the batch is in .*some weights have moved in this step already"
    ):
        fit(run, BrokenStep(), Ring())


def test_of_a_step_in_which_another_has_moved_only_the_batch_is_kept(tmp_path):
    in_processes(broken, tmp_path)
    assert [file.name for file in (tmp_path / "stopped-000001").iterdir()] == ["batch-of-process-1.safetensors"]
    kept = load_file(tmp_path / "stopped-000001" / "batch-of-process-1.safetensors")
    assert kept["number"].tolist() == [6, 7] and kept.keys() == {"number", "x", "noise"}


class Unnamed(GanStep):
    def players(self):
        return [replace(player, name="one") for player in super().players()]


class Shared(GanStep):
    def players(self):
        one, two = super().players()
        return [one, replace(two, parameters=one.parameters)]


class Normalised(GanStep):
    def __init__(self):
        super().__init__()
        self.generator.append(nn.BatchNorm1d(2))


@pytest.mark.parametrize(
    ("step", "message"),
    [(Unnamed, r"\['one', 'one'\], wanted one for each"), (Shared, "belongs to two of them"),
     (Normalised, "buffers would not be in a checkpoint: generator.3.num_batches_tracked")],
)  # fmt: skip
def test_players_that_a_checkpoint_could_not_tell_apart_are_refused(step, message):
    with pytest.raises(ValueError, match=message):
        check_players(step())


def test_layers_of_another_model_are_refused():
    check_layers(GanStep(), ["Block"])
    with pytest.raises(InputError, match="got WanTransformerBlock, which this model has none of"):
        check_layers(GanStep(), ["Block", "WanTransformerBlock"])


def test_deepspeed_is_refused():
    run = SimpleNamespace(accelerator=SimpleNamespace(distributed_type=DistributedType.DEEPSPEED))
    with pytest.raises(InputError, match=r"got DeepSpeed, and 2 networks that take turns, wanted DDP or FSDP"):
        prepare_training(run, GanStep())
