"""One window of RealisVSR: static control counted, guidance, samplers, real folders; and tiles of windows."""

from dataclasses import replace

import pytest
import torch

from conftest import randomise_projections
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.lr_decoder import LrDecoder
from realis.models.wan.loading import Wan, load_controlnet
from realis.tiling.plan import plan_tiles
from realis.upscaler import Needs, NoiseGrid, Segments
from realis.upscaling.cpc import CpcUpscaler, CpcWindow, Sampling
from realis.upscaling.cpc_networks import CpcNetworks, load_networks
from realis.upscaling.cpc_prompts import Prompt, Prompts
from realis.upscaling.stream import segment_noise
from realis.upscaling.tiled import restore_window

PARTS = ("vae", "transformer", "controlnet", "lr_decoder")


@pytest.fixture
def clip():
    """LR and noise of a window."""
    g = torch.Generator().manual_seed(3)
    return torch.rand(1, 3, 5, 32, 48, generator=g) * 2 - 1, torch.randn(1, 16, 2, 4, 6, generator=g)


@pytest.fixture
def prompt():
    text = torch.randn(1, 3, 16, generator=torch.Generator().manual_seed(4))
    return Prompt(text, torch.zeros(1, 3, 16), torch.zeros(1, 3, 16))


def make(vae, transformer, decoder=None, **options):
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2, **options))
    return CpcNetworks(vae, transformer, controlnet, decoder)


def counted(networks):
    calls = []
    networks.controlnet.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_static_control_is_computed_once_for_all_steps_and_branches(vae, transformer, clip, prompt):
    networks = make(vae, transformer, time_conditioned=False, text_conditioned=False)
    window = CpcWindow(networks, prompt, Sampling(steps=5, guidance=2.0))
    calls = counted(networks)
    once = restore_window(window, *clip)
    assert len(calls) == 1

    type(networks.controlnet).is_static, is_static = property(lambda self: False), type(networks.controlnet).is_static
    try:
        every_time = restore_window(window, *clip)
    finally:
        type(networks.controlnet).is_static = is_static
    assert len(calls) == 1 + 10
    assert torch.equal(once, every_time)


def test_conditioned_control_is_computed_every_step(vae, transformer, clip, prompt):
    networks = make(vae, transformer)
    calls = counted(networks)
    restore_window(CpcWindow(networks, prompt, Sampling(steps=3)), *clip)
    assert len(calls) == 3


def test_guidance_one_ignores_the_negative_prompt(vae, transformer, clip, prompt):
    networks, other = make(vae, transformer), replace(prompt, negative=torch.randn(1, 3, 16))
    plain = restore_window(CpcWindow(networks, prompt, Sampling(steps=2)), *clip)
    assert torch.equal(plain, restore_window(CpcWindow(networks, other, Sampling(steps=2)), *clip))
    guided = restore_window(CpcWindow(networks, other, Sampling(steps=2, guidance=3.0)), *clip)
    assert not torch.equal(plain, guided)


def test_progress_is_told_after_every_step(vae, transformer, clip, prompt):
    told = []
    restore_window(CpcWindow(make(vae, transformer), prompt, Sampling(steps=4)), *clip, told.append)
    assert told == [0.25] * 4


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_decoders_and_samplers_give_the_window_back_in_size(vae, transformer, clip, prompt, sampler):
    for decoder in (None, LrDecoder(16, 8, 1)):
        window = CpcWindow(make(vae, transformer, decoder), prompt, Sampling(steps=2, sampler=sampler))
        restored = restore_window(window, *clip)
        assert restored.shape == clip[0].shape
        assert restored.dtype == torch.float32


def assert_same_networks(opened, ours):
    for part in PARTS:
        one, other = getattr(opened, part), getattr(ours, part)
        assert (one is None) == (other is None)
        weights = other.state_dict() if other else {}
        assert all(torch.equal(weight, weights[name]) for name, weight in (one.state_dict() if one else {}).items())


def test_opens_an_upstream_folder(vae, transformer, tmp_path, clip, prompt):
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    upstream = WanTransformer3DModel(**transformer.config)
    upstream.load_state_dict(transformer.state_dict())
    WanPipeline(
        tokenizer=None, text_encoder=None, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(), transformer=upstream
    ).save_pretrained(tmp_path)
    ours = make(vae, transformer)
    opened = load_networks(Wan(tmp_path, torch.float32, torch.float32, "cpu"), ours.controlnet)
    assert_same_networks(opened, ours)
    # Not to the last bit: where in memory weights lie decides which of its kernels torch takes
    torch.testing.assert_close(*(restore_window(CpcWindow(n, prompt, Sampling()), *clip) for n in (opened, ours)))


def test_opens_a_folder_of_parts(vae, transformer, tmp_path, clip, prompt):
    ours = make(vae, transformer, LrDecoder(16, 8, 1))
    for part in PARTS:
        getattr(ours, part).save_pretrained(tmp_path / part)
    wan = Wan(tmp_path, torch.float32, torch.float32, "cpu")
    opened = load_networks(wan, load_controlnet(tmp_path, torch.float32))
    assert_same_networks(opened, ours)
    torch.testing.assert_close(*(restore_window(CpcWindow(n, prompt, Sampling()), *clip) for n in (opened, ours)))
    assert load_networks(wan, ours.controlnet, lr_decoder=False).lr_decoder is None


def test_stages_of_several_windows_may_be_taken_in_any_order(vae, transformer, clip, prompt):
    """All encoded, then all sampled, then all decoded is the same as one window after the other."""
    window = CpcWindow(
        make(vae, transformer, time_conditioned=False, text_conditioned=False), prompt, Sampling(steps=2)
    )
    clips = [clip, tuple(-x for x in clip)]
    with torch.no_grad():
        conditions = [window.encode(lr) for lr, _ in clips]
        velocities = [window.velocity(condition) for condition in conditions]
        latents = [window.sample(v, noise, lambda share: None) for v, (_, noise) in zip(velocities, clips, strict=True)]
        restored = [window.decode(*one) for one in zip(latents, conditions, strict=True)]
    assert all(torch.equal(one, restore_window(window, *own)) for one, own in zip(restored, clips, strict=True))


def test_tiles_of_one_segment_use_one_noise_field(vae, transformer, prompt, monkeypatch):
    """Two tilings of a frame start from the same noise where they overlap: the field depends on the place alone."""
    seen = []
    monkeypatch.setattr(CpcWindow, "sample", lambda self, velocity, noise, advance: seen.append(noise) or noise)
    needs = Needs(Segments(5, 1, 4), noise=NoiseGrid(16, frames=4, pixels=8))
    upscaler = CpcUpscaler(make(vae, transformer), Prompts({"": prompt.text}), Sampling(), needs)
    tiles = plan_tiles((32, 64), (32, 48), 16, 16)
    frames = torch.rand(5, 3, 16, 32)
    noise = segment_noise(needs, 7, 0, 5, tiles)
    upscaler.upscale(frames, (32, 64), tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None)
    (_, first_stop), (second_start, _) = tiles.columns
    shared = (first_stop - second_start) // 8
    assert torch.equal(seen[0][..., -shared:], seen[1][..., :shared])
