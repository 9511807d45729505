"""The step of the LR-conditioned decoder: what it decodes, what learns."""

import pytest
import torch

from realis.commands.train_decoder import TrainDecoderConfig
from realis.core.errors import InputError
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.hub import PRESETS
from realis.models.lr_decoder import LrDecoder
from realis.models.wan.loading import Wan
from realis.training.steps.lr_decoder import LrDecoderStep


@pytest.fixture
def step_of():
    wan = Wan(PRESETS / "tiny", torch.float32, torch.float32, "cpu")
    controlnet = CpcControlNet.from_pretrained(wan.folder / "controlnet", torch_dtype=torch.float32)

    def build(source="sampled", oracle_samples=0, frames=0, joint=False, samples_per_step=2):
        torch.manual_seed(0)
        controlnet.requires_grad_(joint)
        prompt = wan.encode_prompts([""])[0]
        cpc = ControlledWan(wan.transformer, controlnet, prompt)
        decoder = LrDecoder(channels=8, num_blocks=1)
        torch.nn.init.normal_(decoder.conv_out.weight, std=0.1)
        return LrDecoderStep(decoder, cpc, source, oracle_samples, frames, samples_per_step, 0.0, 0, "no")

    return build


@pytest.fixture
def batch():
    torch.manual_seed(1)
    latents = {name: torch.randn(2, 16, 2, 4, 4) for name in ("hr_latents", "lr_latents")}
    pixels = {name: torch.rand(2, 3, 5, 32, 32) for name in ("hr", "lr_resized")}
    return latents | pixels | {"number": torch.tensor([0, 1])}


def test_the_source_of_latents(step_of, batch):
    assert torch.equal(step_of("lr").latents(batch), batch["lr_latents"])
    assert not step_of("none").latents(batch).any()
    sampled = step_of("sampled").latents(batch)
    other = step_of("sampled").latents(batch | {"number": torch.tensor([2, 3])})
    assert sampled.shape == batch["hr_latents"].shape
    assert not torch.equal(sampled, other)  # noise is drawn by sample number


def test_all_samples_of_an_optimizer_step_decode_the_same_frames_for_any_split(step_of, batch):
    step = step_of("lr", frames=2, samples_per_step=4)
    drawn = [step.drawn_frames(batch | {"number": torch.arange(4 * n, 4 * n + 4)}) for n in range(20)]
    for split in range(4):
        assert drawn == [step.drawn_frames(batch | {"number": torch.tensor([4 * n + split])}) for n in range(20)]
    assert all(len(set(frames)) == 2 for frames in drawn) and {f for frames in drawn for f in frames} == set(range(5))
    assert step_of("lr").drawn_frames(batch) == step_of("lr", frames=9).drawn_frames(batch) == list(range(5))
    some = step.decoder(batch["lr_latents"], batch["lr_resized"], [1, 4])
    assert torch.allclose(some, step.decoder(batch["lr_latents"], batch["lr_resized"])[:, :, [1, 4]], atol=1e-5)


def test_the_first_samples_see_the_oracle(step_of, batch):
    changed = batch | {"hr_latents": batch["hr_latents"] + 1}
    for oracle_samples, differs in ((0, False), (2, True)):
        step = step_of("lr", oracle_samples)
        assert (step(batch)["loss"] != step(changed)["loss"]).item() == differs


def test_the_loss_reaches_the_cpc_through_the_sample_only_where_it_is_trained(step_of, batch):
    step = step_of(joint=True)
    step(batch)["loss"].backward()
    assert all(p.grad is None for p in step.cpc.transformer.parameters())
    assert all(p.grad is not None and p.grad.any() for p in step.cpc.controlnet.proj_out.parameters())
    step = step_of(joint=False)
    step.cpc.controlnet.zero_grad()
    step(batch)["loss"].backward()
    assert all(p.grad is None for p in step.cpc.controlnet.parameters())
    assert step.decoder.latent_in.weight.grad.any()


def test_exports_do_not_overwrite_each_other_or_what_is_read():
    for taken in ("out/tiny/controlnet", "out/tiny/lr_decoder", "out/other/../tiny/lr_decoder", "out/tiny/vae",
                  "out/tiny/lr_decoder/below", "out/tiny"):  # fmt: skip
        with pytest.raises(InputError, match="--export"):
            TrainDecoderConfig(export_cpc=taken)
    for taken in ("out/tiny/controlnet", "out/tiny/transformer"):
        with pytest.raises(InputError, match="--export"):
            TrainDecoderConfig(export=taken)
    assert TrainDecoderConfig(export_cpc="out/joint").export_cpc == "out/joint"
    with pytest.raises(InputError, match="--latents"):
        TrainDecoderConfig(export_cpc="out/joint", latents="lr")
