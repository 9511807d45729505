"""One window of RealisVSR: static control counted, guidance, samplers, real folders; and tiles of windows."""

from dataclasses import replace

import pytest
import torch

from conftest import randomise_projections
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.lr_decoder import LrDecoder
from realis.models.wan.loading import Wan, load_controlnet
from realis.tiling.plan import plan_tiles
from realis.upscaler import Needs, NoiseGrid, Segments, Tiling
from realis.upscaling.cpc import CpcUpscaler, CpcWindow, Sampling
from realis.upscaling.cpc_networks import CpcNetworks, load_networks
from realis.upscaling.cpc_prompts import Prompt, Prompts
from realis.upscaling.stream import segment_noise
from windows import restore_window

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
        encoded = [window.encode(lr) for lr, _ in clips]
        velocities = [window.velocity(window.condition(lr_latents)) for lr_latents in encoded]
        latents = [window.sample(v, noise) for v, (_, noise) in zip(velocities, clips, strict=True)]
        restored = [window.decode(z, lr) for z, (lr, _) in zip(latents, clips, strict=True)]
    assert all(torch.equal(one, restore_window(window, *own)) for one, own in zip(restored, clips, strict=True))


NEEDS = Needs(Segments(5, 1, 4), noise=NoiseGrid(16, frames=4, pixels=8))


def upscaled(networks, prompt, tiles, advance=lambda share: None, **settings):
    """The result for 5 frames of 16x40, twice as large, by some tiles."""
    sampling = Sampling(**settings)
    needs = replace(NEEDS, tile_shift=sampling.tiling == "shifted", tile_values=4)
    upscaler = CpcUpscaler(networks, Prompts({"": prompt.text}), sampling, needs)
    frames = torch.rand(5, 3, 16, 40, generator=torch.Generator().manual_seed(5))
    noise = segment_noise(NEEDS, 7, 0, 5, tiles)
    return upscaler.upscale(frames, (32, 80), tiles=tiles, noise=noise, carry={}, prompt="", advance=advance)[0]


@pytest.fixture
def tiles():
    """Two tiles of 32x48 that share 16 columns."""
    return plan_tiles((32, 80), (32, 48), 16, 16, exact=True)


@pytest.fixture
def static(vae, transformer):
    return make(vae, transformer, time_conditioned=False, text_conditioned=False)


def test_tiles_of_one_segment_use_one_noise_field(static, prompt, tiles, monkeypatch):
    """Two tilings of a frame start from the same noise where they overlap: the field depends on the place alone."""
    seen = []
    monkeypatch.setattr(CpcWindow, "sample", lambda self, velocity, noise: seen.append(noise) or noise)
    upscaled(static, prompt, tiles, tiling="independent")
    assert torch.equal(seen[0][..., -2:], seen[1][..., :2])


@pytest.mark.parametrize("tiling", ["independent", "fused", "shifted"])
def test_one_tile_is_the_same_however_tiles_are_sampled(static, prompt, tiling):
    whole = plan_tiles((32, 80), None, 0, 16)
    wanted = upscaled(static, prompt, whole, steps=3)
    assert torch.equal(upscaled(static, prompt, whole, steps=3, tiling=tiling), wanted)


def test_with_one_step_blending_before_and_after_it_is_the_same(static, prompt, tiles):
    """A step of Euler's is linear in the velocity."""
    once, fused = (upscaled(static, prompt, tiles, tiling=tiling) for tiling in ("independent", "fused"))
    torch.testing.assert_close(fused, once, rtol=0, atol=1e-4)
    several = [
        upscaled(static, prompt, tiles, steps=3, tiling=tiling) for tiling in ("independent", "fused", "shifted")
    ]
    assert all((one - other).abs().max() > 1e-6 for one, other in zip(several, several[1:], strict=False))


def test_a_velocity_that_knows_no_neighbours_is_sampled_the_same_whatever_the_tiles(static, prompt, tiles, monkeypatch):
    """Fused tiles of a pointwise velocity are the whole canvas, at every step and on every grid."""
    monkeypatch.setattr(CpcWindow, "velocity", lambda self, condition: lambda z, sigma: z - condition.lr_latents)
    monkeypatch.setattr(CpcWindow, "encode", lambda self, lr: lr[:, :1, ::4, ::8, ::8].expand(-1, 16, -1, -1, -1))
    monkeypatch.setattr(CpcWindow, "decode", lambda self, latents, lr: latents[:, :3].repeat_interleave(8, 3).repeat_interleave(8, 4).repeat(1, 1, 3, 1, 1)[:, :, :5])  # fmt: skip
    wanted = upscaled(static, prompt, plan_tiles((32, 80), None, 0, 16), steps=4)
    for tiling in ("independent", "fused", "shifted"):
        torch.testing.assert_close(upscaled(static, prompt, tiles, steps=4, tiling=tiling), wanted)


@pytest.mark.parametrize(("tiling", "computed", "anew"), [("independent", 2, 2), ("fused", 2, 6), ("shifted", 3, 7)])
def test_static_control_is_computed_once_a_tile(static, prompt, tiles, tiling, computed, anew):
    """Of two tiles over three steps, guided; the grid that is moved has one more between them."""
    calls, results = counted(static), []
    for cache, forwards in (("device", computed), ("host", computed), ("none", anew)):
        del calls[:]
        results.append(upscaled(static, prompt, tiles, steps=3, tiling=tiling, guidance=2.0, cache=cache))
        assert len(calls) == forwards
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_control_is_kept_on_a_gpu_that_has_room_for_twice_as_much(static, prompt, tiles, monkeypatch):
    taken = 2 * 2 * (32 * 48) // 64 * 4 * 4  # tiles, latent frames, cells, values, bytes
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 76)
    needs = replace(NEEDS, tile_values=4)
    for cache, free, place in (("auto", 2 * taken, "device"), ("auto", 2 * taken - 1, "host"), ("host", 10**9, "host")):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free - 24, 10**9))
        upscaler = CpcUpscaler(static, Prompts({"": prompt.text}), Sampling(cache=cache), needs, "cuda")
        assert upscaler.place_of_control(tiles, 2) == place
    upscaler = CpcUpscaler(static, Prompts({"": prompt.text}), Sampling(), NEEDS, "cuda")
    assert upscaler.place_of_control(tiles, 2) == "none"  # a CPC that is computed at every step


@pytest.mark.parametrize("tiling", ["independent", "fused", "shifted"])
def test_progress_sums_to_one(static, prompt, tiles, tiling):
    told = []
    upscaled(static, prompt, tiles, steps=4, tiling=tiling, advance=told.append)
    assert sum(told) == pytest.approx(1) and len(told) >= 2 * 6


@pytest.mark.parametrize("tiling", ["independent", "fused", "shifted"])
def test_the_order_of_tiles_does_not_matter(static, prompt, tiling, monkeypatch):
    tiles = plan_tiles((32, 80), (16, 32), 0, 16, exact=True)
    wanted = upscaled(static, prompt, tiles, steps=2, tiling=tiling)
    in_order = Tiling.__iter__
    monkeypatch.setattr(Tiling, "__iter__", lambda self: reversed(list(in_order(self))))
    torch.testing.assert_close(upscaled(static, prompt, tiles, steps=2, tiling=tiling), wanted, rtol=0, atol=1e-5)
