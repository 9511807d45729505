"""What only a GPU can show: the same result there as on CPU, and training on several through accelerate's own FSDP2."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from conftest import randomise_projections
from realis.losses.config import HrLossConfig
from realis.losses.hr_loss import HrLoss
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.lr_decoder import LrDecoder
from realis.tiling.plan import plan_tiles
from realis.training.settings import FlowConfig
from realis.training.steps.cpc import CpcStep
from realis.upscaling.cpc import CpcWindow, Sampling
from realis.upscaling.cpc_networks import CpcNetworks
from realis.upscaling.cpc_prompts import Prompt
from realis.upscaling.tiled import TiledRestoration
from windows import restore_window

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_a_window_is_the_same_on_the_gpu(vae, transformer, sampler):
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2))
    networks = CpcNetworks(vae, transformer, controlnet, LrDecoder(16, 8, 1))
    g = torch.Generator().manual_seed(3)
    clip = torch.rand(1, 3, 5, 32, 48, generator=g) * 2 - 1, torch.randn(1, 16, 2, 4, 6, generator=g)
    text, empty = torch.randn(1, 3, 16, generator=g), torch.zeros(1, 3, 16)
    sampling = Sampling(steps=3, sampler=sampler)
    wanted = restore_window(CpcWindow(networks, Prompt(text, empty, empty), sampling), *clip)
    for part in (networks.vae, networks.transformer, networks.controlnet, networks.lr_decoder):
        part.to("cuda")
    got = restore_window(CpcWindow(networks, Prompt(text.cuda(), empty.cuda(), empty.cuda()), sampling), *clip)
    torch.testing.assert_close(got.cpu(), wanted, atol=2e-3, rtol=0)


@pytest.mark.parametrize("cache", ["device", "host"])
def test_fused_tiles_are_the_same_on_the_gpu(vae, transformer, cache):
    """Two tiles under a static CPC, whose features wait for the next step on the GPU or in main memory."""
    static = {"time_conditioned": False, "text_conditioned": False}
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2, **static))
    networks = CpcNetworks(vae, transformer, controlnet, None)
    g = torch.Generator().manual_seed(3)
    frames, noise = torch.rand(5, 3, 16, 40, generator=g), torch.randn(16, 2, 4, 10, generator=g)
    tiles = plan_tiles((32, 80), (32, 48), 16, 16, exact=True)

    def restored(device, cache):
        for part in (networks.vae, networks.transformer, networks.controlnet):
            part.to(device)
        window = CpcWindow(networks, Prompt(*torch.zeros(3, 1, 3, 16, device=device)), Sampling(steps=3))
        tiled = TiledRestoration(window, [tiles], "fused", cache)
        return tiled.restore(frames, (32, 80), noise, lambda share: None)

    wanted = restored("cpu", "none")
    torch.testing.assert_close(restored("cuda", cache), wanted, atol=1e-3, rtol=0)  # without control they differ by 0.1


def test_a_training_step_is_the_same_on_the_gpu(transformer, controlnet):
    g = torch.Generator().manual_seed(3)
    batch = {name: torch.randn(2, 16, 2, 8, 8, generator=g) for name in ("hr_latents", "lr_latents")}
    batch["number"] = torch.tensor([3, 4])
    steps = [
        CpcStep(ControlledWan(*copy.deepcopy((transformer, controlnet)), torch.zeros(1, 3, 16)),
                HrLoss(HrLossConfig(cell=2)), FlowConfig(), 5, "no") for _ in range(2)
    ]  # fmt: skip
    for model in (steps[1].model.transformer, steps[1].model.controlnet):
        model.enable_gradient_checkpointing()
    there = {name: x if name == "number" else x.cuda() for name, x in batch.items()}
    losses = [steps[0](batch), steps[1].cuda()(there)]
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name].cpu(), value, atol=1e-4, rtol=1e-3)
    for loss in losses:
        loss["loss"].backward()
    for a, b in zip(*(step.model.controlnet.parameters() for step in steps), strict=True):
        assert (a.grad - b.grad.cpu()).norm() <= 1e-2 * a.grad.norm().clamp(min=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
@pytest.mark.parametrize("launch", ["ddp_8gpu", "fsdp_8gpu", "fsdp_sp2_8gpu", "zero2_8gpu", "zero3_8gpu"])
def test_two_gpus_take_the_steps_of_one(tmp_path, launch):
    """NCCL, and accelerate's own decision to shard, which on CPU has to be forced."""
    columns = 2 if "sp2" in launch else 1
    for name, processes, batch, file in (("one", 1, 4, "single_gpu"), ("two", 2, 2 * columns, launch)):
        command = [
            str(Path(sys.executable).parent / "accelerate"), "launch", "--config_file",
            str(ROOT / "train" / "launch" / f"{file}.yaml"), "--num_processes", str(processes),
            str(ROOT / "train" / "train_cpc.py"), str(ROOT / "realis" / "commands" / "train_cpc_debug.yaml"),
            "--run.sequence-parallel", str(columns if processes > 1 else 1), "--run.batch", str(batch),
            "--run.save-every", "1", "--run.steps", "2", "--run.output", str(tmp_path / name),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / run / "checkpoint-000001" / "optimizer.safetensors") for run in ("one", "two"))
    a, b = (torch.cat([x[name].flatten() for name in sorted(x) if name.endswith("exp_avg")]) for x in (one, two))
    assert (a - b).norm() <= 2e-2 * a.norm()  # bfloat16
