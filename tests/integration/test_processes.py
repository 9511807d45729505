"""Several processes train what one does: sequence parallel, data parallel, FSDP2, DeepSpeed. All on CPU, through gloo."""

import copy
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import yaml
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.commands.launch import launch_command, launch_command_parser
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor

import realis.training.run as training_run
from commands import Command
from gloo import in_processes
from realis.commands.__main__ import run_train_cpc
from realis.core.errors import InputError, TerminatedError
from realis.core.records import load_json
from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.parallel import split_sequence
from realis.parallel.distributed import form_grid
from realis.parallel.launch import check_processes
from realis.training.export import halve
from realis.training.loop import fit
from realis.training.players import trainable
from realis.training.run_folder import checkpoints
from realis.training.settings import FlowConfig, LoopConfig, OptimizerConfig
from realis.training.steps.cpc import CpcStep
from realis.training.validation import Validator

FREE = 1e9  # a gradient norm that nothing reaches
LAUNCH = Path(__file__).parents[2] / "train" / "launch"


def batch_of(count, numbers=(3, 4)):
    g = torch.Generator().manual_seed(7)
    latents = {name: torch.randn(count, 16, 2, 8, 8, generator=g) for name in ("hr_latents", "lr_latents")}
    prompt = torch.randn(count, 3, 16, generator=g)
    return latents | {"number": torch.tensor(numbers[:count]), "prompt": prompt}


def cpc_step(transformer, controlnet, precision="no"):
    loss = HrLoss(HrLossConfig(cell=2))
    empty_prompt = torch.zeros(1, 3, 16, dtype=transformer.proj_out.weight.dtype)
    return CpcStep(ControlledWan(transformer, controlnet, empty_prompt), loss, FlowConfig(), 5, precision)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_sequence_parallel_equals_one_process(transformer, controlnet, checkpointing):
    """Loss and every gradient of the whole step, HR-Loss and CPC included, after summing over the row."""
    one = cpc_step(copy.deepcopy(transformer), copy.deepcopy(controlnet))
    expected = one(batch_of(2))
    expected["loss"].backward()

    def compare():
        step = cpc_step(transformer, controlnet)
        processes = form_grid(dist.get_rank(), dist.get_world_size(), "cpu", 2)
        for model in (step.model.transformer, step.model.controlnet):
            if checkpointing:
                model.enable_gradient_checkpointing()
            split_sequence(model, processes)
        losses = step(batch_of(2))
        losses["loss"].backward()
        for name, value in losses.items():
            torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-6)
        references = trainable(one)
        for name, p in trainable(step).items():
            dist.all_reduce(p.grad)
            scale = references[name].grad.abs().max().clamp(min=1e-6)
            assert (p.grad - references[name].grad).abs().max() <= 1e-5 * scale, name

    in_processes(compare)


@dataclass(frozen=True)
class Recipe:
    run: LoopConfig
    optimizer: OptimizerConfig


class Samples:
    """A source of one batch a range of sample numbers: each sample's tensors follow from its number."""

    def batches(self, plan):
        for numbers in plan:
            drawn = [torch.Generator().manual_seed(n) for n in numbers]
            shapes = {"hr_latents": (16, 2, 8, 8), "lr_latents": (16, 2, 8, 8), "prompt": (3, 16)}
            batch = {name: torch.stack([torch.randn(s, generator=g) for g in drawn]) for name, s in shapes.items()}
            yield batch | {"number": torch.tensor(list(numbers))}


def sharding_accelerator(file, **options):
    """An Accelerator that takes a launch file of FSDP2 at its word on CPU, where accelerate would not shard."""
    launch = yaml.safe_load((LAUNCH / f"{file}.yaml").read_text())
    environment = {name.upper(): str(value).lower() for name, value in launch["fsdp_config"].items()}
    environment |= {"FSDP_TRANSFORMER_CLS_TO_WRAP": launch["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"]}
    os.environ.update(environment)
    accelerator = Accelerator(**options)
    for state in (AcceleratorState._shared_state, PartialState._shared_state):
        state["distributed_type"] = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    return accelerator


def train(
    folder, transformer, controlnet, columns=1, sharded=False, checkpointing=False, samples=None, clip=0.5, **loop
):
    if sharded:
        file = "fsdp_sp2_8gpu" if columns > 1 else "fsdp_8gpu"
        training_run.Accelerator = partial(sharding_accelerator, file)
    config = LoopConfig(
        output=str(folder),
        **{"steps": 2, "save_every": 1, "precision": "no", "tracker": "none", "keep": 9, "sample_every": 2} | loop,
    )
    run = training_run.start_run(Recipe(config, OptimizerConfig(lr=1e-3, warmup=3, clip=clip, ema=0.9)), columns)
    step = cpc_step(transformer, controlnet, config.precision)
    for model in (transformer, controlnet):
        if checkpointing:
            model.enable_gradient_checkpointing()
        if columns > 1:
            split_sequence(model, run.processes)
    trained = fit(
        run, step, samples or Samples(), pictures=lambda module, batch: {"output": module(batch, "sample")[:, :3]},
        validator=Validator(2, 3, Samples(), lambda module, batch: {"loss": module(batch, "validate")[1]}),
    )  # fmt: skip
    if run.accelerator.is_main_process:
        saved = load_file(folder / "checkpoint-000002" / "average.safetensors")
        assert all(torch.equal(x, saved[name]) for name, x in trained.items()) and trained.keys() == saved.keys()
    if sharded:
        for module in (step, *step.model.transformer.blocks, *step.model.controlnet.blocks):
            module.reshard()  # where the launch file keeps whole weights after a forward pass
        assert all(isinstance(p, DTensor) for p in step.parameters())
        assert {p.dtype for name, p in step.model.transformer.named_parameters() if ".norm2." in name} == {
            torch.float32
        }
    run.accelerator.end_training()


def moments_of(folder, step):
    saved = load_file(folder / f"checkpoint-{step:06d}" / "optimizer.safetensors")
    return {name: x for name, x in saved.items() if name.endswith("exp_avg")}


def assert_same_gradients(one, two, steps=(1, 2)):
    """AdamW's first moment after the first step is 0.1 times the clipped gradient: equal to rounding.

    After the second step weights have moved: Adam takes a gradient that is rounding noise as a full step of either
    sign, so that only the whole is compared.
    """
    if 1 in steps:
        a, b = moments_of(one, 1), moments_of(two, 1)
        assert a.keys() == b.keys()
        largest = max(x.abs().max() for x in a.values())
        for name, x in a.items():
            assert (x - b[name]).abs().max() <= 1e-5 * max(x.abs().max(), 1e-3 * largest), name
    a, b = (torch.cat([x.flatten() for _, x in sorted(moments_of(run, 2).items())]) for run in (one, two))
    assert (a - b).norm() <= 1e-2 * a.norm()


@pytest.mark.parametrize(
    ("columns", "sharded", "accumulation", "clip"),
    [(1, False, 2, FREE), (2, False, 4, FREE), (2, False, 3, 0.5), (1, True, 2, 0.5), (2, True, 4, FREE)],
    ids=["ddp", "ddp+sequence parallel", "the same, passes left over", "fsdp2", "fsdp2+sequence parallel"],
)
def test_two_processes_take_the_steps_of_one(tmp_path, transformer, controlnet, columns, sharded, accumulation, clip):
    """Through the loop, with warm-up: the samples of a step split and gathered in each way. Where gradients are clipped
    their scale does not show."""
    parts = copy.deepcopy((transformer, controlnet))
    batch = 2 // columns * accumulation
    in_processes(partial(train, batch=batch, clip=clip), tmp_path / "one", *copy.deepcopy(parts), count=1)
    options = {"accumulation": accumulation, "clip": clip}
    in_processes(partial(train, columns=columns, sharded=sharded, **options), tmp_path / "two", *parts)
    assert_same_gradients(tmp_path / "one", tmp_path / "two")
    one, two = (load_json((tmp_path / run / "validation.jsonl").read_text()) for run in ("one", "two"))
    assert one == {"step": 2, "loss": pytest.approx(two["loss"], rel=1e-3)}


def test_several_processes_resume_exactly(tmp_path, transformer, controlnet):
    """FSDP2 with sequence parallelism: weights, averages and moments go back into the shards that they came from; and into
    one process. (FSDP2 alone: test_players.)"""
    parts = copy.deepcopy((transformer, controlnet))
    options = {"columns": 2, "sharded": True, "accumulation": 2}
    in_processes(partial(train, **options), tmp_path / "whole", *copy.deepcopy(parts))
    for run in ("resumed", "alone"):
        shutil.copytree(tmp_path / "whole" / "checkpoint-000001", tmp_path / run / "checkpoint-000001")
    in_processes(partial(train, resume="latest", **options), tmp_path / "resumed", *copy.deepcopy(parts))
    assert_same_files(tmp_path / "whole" / "checkpoint-000002", tmp_path / "resumed" / "checkpoint-000002")
    in_processes(partial(train, resume="latest", batch=2), tmp_path / "alone", *parts, count=1)
    assert_same_gradients(tmp_path / "whole", tmp_path / "alone", steps=(2,))


def test_the_papers_own_setting(tmp_path, transformer, controlnet):
    """bfloat16, FSDP2, two processes a clip, activations computed twice: the gradient of one process, in scale too.

    Frozen weights are sharded in the precision that they have: bfloat16, but for norms and modulation."""
    halve(transformer)
    assert {p.dtype for p in transformer.parameters()} == {torch.bfloat16, torch.float32}
    options = {"precision": "bf16", "accumulation": 2, "checkpointing": True, "clip": FREE}
    in_processes(partial(train, **options), tmp_path / "one", *copy.deepcopy((transformer, controlnet)), count=1)
    in_processes(partial(train, sharded=True, columns=2, **options), tmp_path / "two", transformer, controlnet)
    a, b = (torch.cat([x.flatten() for x in moments_of(tmp_path / run, 1).values()]) for run in ("one", "two"))
    assert (a - b).norm() <= 1e-2 * a.norm()  # bfloat16 sums of half the tokens: 0.2 % here


class SamplesAndSigterm(Samples):
    """The second process gets SIGTERM while it loads the second step."""

    def batches(self, plan):
        for number, batch in enumerate(super().batches(plan)):
            if number == 1 and dist.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch


def told_to_stop(folder, transformer, controlnet):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TerminatedError, match=r"^stopped by SIGTERM after step 2; --run.resume latest goes on$"):
        train(folder, transformer, controlnet, samples=SamplesAndSigterm(), steps=9, save_every=9)
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_to_one_process_saves_and_stops_all(tmp_path, transformer, controlnet):
    in_processes(told_to_stop, tmp_path / "run", transformer, controlnet)
    assert [c.name for c in checkpoints(tmp_path / "run")] == ["checkpoint-000002"]


def launched_as_one_of_two():
    with pytest.raises(InputError, match=r"one of 2 processes.*group of 1"):
        check_processes(1, "MULTI_CPU")
    with pytest.raises(InputError, match=r"one of 2 processes.*group of 1"):
        check_processes(2, "NO")  # the group is there, but accelerate would not use it
    check_processes(2, "MULTI_CPU")


def test_processes_that_do_not_work_together_are_refused():
    in_processes(launched_as_one_of_two)


SMALL = ["--validation.every", "0", "--data.count", "6", "--data.frames", "5", "--data.size", "32", "--loss.cell", "2", "--controlnet.layers", "3", "--controlnet.steps", "2",
         "--optimizer.lr", "1e-3", "--optimizer.warmup", "3", "--run.threads", "1", "--run.precision", "no", "--run.save-every", "1"]  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(name, *flags):
    """The real command in two processes, as a launch file of eight arranges them."""
    command = [str(Path(sys.executable).parent / "accelerate"), "launch", "--config_file", str(LAUNCH / f"{name}.yaml"),
               "--num_processes", "2", "--main_process_port", str(free_port()),
               str(LAUNCH.parent / "train_cpc.py"), *flags]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def launch_forked(name, *flags):
    """As ``launch``, up to the point where torch would start the processes: they are forked, and import nothing anew.
    Returns the exit code of each and what it said."""
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    started = []

    def start(_):
        for rank in "01":
            environment = group | {"RANK": rank, "LOCAL_RANK": rank}
            started.append(Command("train/train_cpc.py", *flags, before=partial(become_rank, environment)))

    command = ["--config_file", str(LAUNCH / f"{name}.yaml"), "--num_processes", "2", "train_cpc.py", *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.distributed.run.run", start)
        launch_command(launch_command_parser().parse_args(command))
    return [process.finish() for process in started]


def become_rank(environment):
    os.environ.update(environment)
    backend = importlib.import_module("deepspeed.comm.torch")  # the attribute of that name is PyTorch
    backend.build_shm_op = lambda: None  # else DeepSpeed compiles its shared-memory operator, for half a minute


@pytest.mark.slow
def test_data_and_sequence_parallel_through_the_real_command(tmp_path):
    flags = [*SMALL, "--data.cache", str(tmp_path / "pairs"), "--optimizer.ema", "0.9", "--run.steps", "2"]
    run_train_cpc([*flags, "--run.batch", "4", "--run.output", str(tmp_path / "one")])
    done = launch("ddp_8gpu", *flags, "--run.batch", "4", "--run.sequence-parallel", "2",
                  "--run.sample-every", "2", "--run.output", str(tmp_path / "two"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "processes: 2 (MULTI_CPU), 2 to a clip; samples a step: 4" in done.stderr
    assert_same_gradients(tmp_path / "one", tmp_path / "two")
    assert_same_weights(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "samples" / "step-000002.png").is_file()


@pytest.mark.slow
def test_fsdp_without_gpus_is_refused_in_one_line(tmp_path):
    ends = launch_forked("fsdp_8gpu", *SMALL, "--run.output", str(tmp_path / "run"))
    assert all(code for code, _ in ends)
    said = next(said for code, said in ends if code == 2)  # the other one may find that this one is gone
    assert "realis: the launch file asks for FSDP, but accelerate formed MULTI_CPU" in said
    assert "run_command" not in said  # no traceback of ours


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_through_the_real_command(tmp_path, stage):
    """Two processes take the steps of one, and their export opens like any other. Of the stage whose weights are cut into
    parts: they go on exactly, and one process goes on from their checkpoint."""
    flags = [*SMALL, "--data.cache", str(tmp_path / "pairs")]
    run_train_cpc([*flags, "--run.batch", "4", "--run.steps", "2", "--run.output", str(tmp_path / "one")])

    def deepspeed(output, *more):
        return [f"zero{stage}_8gpu", *flags, "--run.accumulation", "2", "--run.output", str(output), "--run.steps", "2",
                "--run.sample-every", "2", *more]  # fmt: skip

    two, resumed, alone = (tmp_path / name for name in ("two", "resumed", "alone"))
    ends = launch_forked(*deepspeed(two))
    assert not any(code for code, _ in ends), ends
    assert_same_gradients(tmp_path / "one", two)
    assert_same_weights(tmp_path / "one", two)
    assert CpcControlNet.from_pretrained(two / "export").config.num_layers == 3
    if stage < 3:
        return

    shutil.copytree(two / "checkpoint-000001", resumed / "checkpoint-000001")
    ends = launch_forked(*deepspeed(resumed, "--run.resume", "latest"))
    assert not any(code for code, _ in ends), ends
    assert_same_files(two / "checkpoint-000002", resumed / "checkpoint-000002")

    shutil.copytree(two / "checkpoint-000001", alone / "checkpoint-000001")
    run_train_cpc(
        [*flags, "--run.batch", "4", "--run.steps", "2", "--run.output", str(alone), "--run.resume", "latest"]
    )
    assert_same_gradients(two, alone, steps=(2,))
    assert_same_weights(two, alone)


def assert_same_weights(one, two):
    """What two steps made of the output projections, zero at the start, as a whole: schedule and clipping included."""
    a, b = (load_file(run / "checkpoint-000002" / "trained.safetensors") for run in (one, two))
    assert a.keys() == b.keys()
    a, b = (torch.cat([x[name].flatten() for name in sorted(x) if ".proj_out." in name]) for x in (a, b))
    assert a.norm() > 0.01 and (a - b).norm() < 0.02 * a.norm()


def assert_same_files(one, two):
    assert {file.name for file in one.iterdir()} == {file.name for file in two.iterdir()}
    for file in one.glob("*.safetensors"):
        a, b = (load_file(folder / file.name) for folder in (one, two))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
