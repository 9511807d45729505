"""The window pipeline: static control counted, guidance, samplers, real folders."""

import pytest
import torch

from conftest import randomise_projections
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.lr_decoder import LrDecoder
from realis.tiling.plan import plan_tiles
from realis.upscaler import Needs, NoiseGrid, Segments
from realis.upscaling.cpc import CpcPipeline, CpcUpscaler, Sampling
from realis.upscaling.cpc_prompts import Prompts
from realis.upscaling.stream import noise_of


@pytest.fixture
def window():
    g = torch.Generator().manual_seed(3)
    return {
        "lr": torch.rand(1, 3, 5, 32, 48, generator=g) * 2 - 1,
        "noise": torch.randn(1, 16, 2, 4, 6, generator=g),
        "prompt_embeds": torch.randn(1, 3, 16, generator=g),
        "empty_prompt_embeds": torch.zeros(1, 3, 16),
    }


def make(vae, transformer, decoder=None, **options):
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2, **options))
    return CpcPipeline(vae, transformer, controlnet, decoder)


def counted(pipeline):
    calls = []
    pipeline.controlnet.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_static_control_is_computed_once_for_all_steps_and_branches(vae, transformer, window):
    pipeline = make(vae, transformer, time_conditioned=False, text_conditioned=False)
    sampling = Sampling(steps=5, guidance=2.0)
    calls = counted(pipeline)
    once = pipeline(**window, sampling=sampling)
    assert len(calls) == 1

    type(pipeline.controlnet).is_static, is_static = property(lambda self: False), type(pipeline.controlnet).is_static
    try:
        every_time = pipeline(**window, sampling=sampling)
    finally:
        type(pipeline.controlnet).is_static = is_static
    assert len(calls) == 1 + 10
    assert torch.equal(once, every_time)


def test_conditioned_control_is_computed_every_step(vae, transformer, window):
    pipeline = make(vae, transformer)
    calls = counted(pipeline)
    pipeline(**window, sampling=Sampling(steps=3))
    assert len(calls) == 3


def test_guidance_one_ignores_the_negative_prompt(vae, transformer, window):
    pipeline = make(vae, transformer)
    negative = torch.randn(1, 3, 16)
    plain = pipeline(**window, sampling=Sampling(steps=2))
    assert torch.equal(plain, pipeline(**window, sampling=Sampling(steps=2), negative_prompt_embeds=negative))
    guided = pipeline(**window, sampling=Sampling(steps=2, guidance=3.0), negative_prompt_embeds=negative)
    assert not torch.equal(plain, guided)


def test_progress_is_told_after_every_step(vae, transformer, window):
    told = []
    make(vae, transformer)(**window, sampling=Sampling(steps=4), advance=lambda: told.append(1))
    assert len(told) == 4


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_decoders_and_samplers_give_the_window_back_in_size(vae, transformer, window, sampler):
    for decoder in (None, LrDecoder(16, 8, 1)):
        restored = make(vae, transformer, decoder)(**window, sampling=Sampling(steps=2, sampler=sampler))
        assert restored.shape == window["lr"].shape
        assert restored.dtype == torch.float32


def test_opens_an_upstream_folder(vae, transformer, tmp_path, window):
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    upstream = WanTransformer3DModel(**transformer.config)
    upstream.load_state_dict(transformer.state_dict())
    WanPipeline(
        tokenizer=None, text_encoder=None, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(), transformer=upstream
    ).save_pretrained(tmp_path)
    ours = make(vae, transformer)
    opened = CpcPipeline.from_pretrained(tmp_path, controlnet=ours.controlnet, torch_dtype=torch.float32)
    for part in ("vae", "transformer", "controlnet"):
        weights = getattr(ours, part).state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in getattr(opened, part).state_dict().items())
    # Not to the last bit: where in memory weights lie decides which of its kernels torch takes
    torch.testing.assert_close(opened(**window, sampling=Sampling()), ours(**window, sampling=Sampling()))


def test_own_folder_round_trip(vae, transformer, tmp_path, window):
    ours = make(vae, transformer, LrDecoder(16, 8, 1))
    ours.save_pretrained(tmp_path)
    opened = CpcPipeline.from_pretrained(tmp_path, torch_dtype=torch.float32)
    for part in ("vae", "transformer", "controlnet"):
        weights = getattr(ours, part).state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in getattr(opened, part).state_dict().items())
    # Not to the last bit: where in memory weights lie decides which of its kernels torch takes
    torch.testing.assert_close(opened(**window, sampling=Sampling()), ours(**window, sampling=Sampling()))


def test_tiles_of_one_segment_use_one_noise_field(vae, transformer):
    """Two tilings of a frame start from the same noise where they overlap: the field depends on the place alone."""
    seen = []
    needs = Needs(Segments(5, 1, 4), noise=NoiseGrid(16, frames=4, pixels=8))
    upscaler = CpcUpscaler(make(vae, transformer), Prompts({"": torch.zeros(1, 3, 16)}), Sampling(), needs)
    upscaler.pipeline = type("Recorder", (), {
        "vae": vae, "_execution_device": torch.device("cpu"),
        "__call__": lambda self, lr, noise, *args, **kwargs: seen.append(noise) or lr,
    })()  # fmt: skip
    tiles = plan_tiles((32, 64), (32, 48), 16, 16)
    frames = torch.rand(5, 3, 16, 32)
    noise = noise_of(needs, 7, 0, 5, tiles)
    upscaler.upscale(frames, (32, 64), tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None)
    (_, first_stop), (second_start, _) = tiles.columns
    shared = (first_stop - second_start) // 8
    assert torch.equal(seen[0][..., -shared:], seen[1][..., :shared])
