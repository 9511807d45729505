"""CPC and its injection: bit-equality at zero, gradients, checkpointing, compilation, the static branch."""

import copy

import pytest
import torch
from diffusers import WanTransformer3DModel

from conftest import TINY_TRANSFORMER, randomise_projections
from realis.models.cpc.controlled import ControlledWan
from realis.models.cpc.controlnet import CpcControlNet
from realis.models.cpc.injection import ControlledWanTransformer3DModel
from realis.models.cpc.interval import block_interval, default_control_layers


def residuals_of(controlnet, transformer, inputs, timestep=None):
    sigma = (inputs["timestep"] if timestep is None else timestep) / 1000
    model = ControlledWan(transformer, controlnet, inputs["empty"])
    return model.control(inputs["lr"], inputs["z"], sigma, inputs["prompt"])


def velocity(controlnet, transformer, inputs, scale=1.0):
    residuals = residuals_of(controlnet, transformer, inputs)
    return transformer(inputs["z"], inputs["timestep"], inputs["prompt"], residuals, scale)


def test_equals_upstream_without_control(transformer, inputs):
    upstream = WanTransformer3DModel(**transformer.config)
    upstream.load_state_dict(transformer.state_dict())
    wanted = upstream(inputs["z"], inputs["timestep"], inputs["prompt"], return_dict=False)[0]
    assert torch.equal(transformer(inputs["z"], inputs["timestep"], inputs["prompt"]), wanted)


@pytest.mark.parametrize("control_input", ["lr", "lr+noisy"])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_zero_initialised_control_leaves_the_frozen_model_bit_equal(transformer, inputs, control_input, layers):
    controlnet = CpcControlNet.from_transformer(transformer, layers, control_input=control_input)
    plain = transformer(inputs["z"], inputs["timestep"], inputs["prompt"])
    assert torch.equal(velocity(controlnet, transformer, inputs), plain)


def test_control_matters_and_scales(transformer, controlnet, inputs):
    plain = transformer(inputs["z"], inputs["timestep"], inputs["prompt"])
    assert (velocity(controlnet, transformer, inputs) - plain).abs().max() > 1e-2
    assert torch.equal(velocity(controlnet, transformer, inputs, scale=0.0), plain)


def test_each_residual_is_added_after_its_main_blocks(transformer, controlnet, inputs):
    """Eq. 1 by hand: hooks on the frozen blocks of a plain transformer add F[i // r] after block i."""
    residuals = residuals_of(controlnet, transformer, inputs)
    wanted = copy.deepcopy(transformer)
    for i, block in enumerate(wanted.blocks):
        block.register_forward_hook(lambda module, args, output, i=i: output + residuals[i // 2])
    torch.testing.assert_close(
        velocity(controlnet, transformer, inputs), wanted(inputs["z"], inputs["timestep"], inputs["prompt"])
    )


def test_an_unknown_sampler_is_refused(transformer):
    with pytest.raises(ValueError, match="sampler: got 'dpm', wanted 'euler' or 'unipc'"):
        CpcControlNet.from_transformer(transformer, 2, sampler="dpm")


@pytest.mark.parametrize(("main", "control", "r"), [(30, 4, 8), (40, 4, 10), (30, 6, 5), (6, 3, 2), (30, 30, 1)])
def test_interval(main, control, r):
    assert block_interval(main, control) == r


def test_default_layers():
    assert [default_control_layers(n) for n in (30, 40, 6, 3)] == [4, 4, 3, 3]


@pytest.mark.parametrize("control", [0, 7, 9, 11, 29, 31])
def test_interval_refuses_blocks_that_would_never_be_read(control):
    with pytest.raises(ValueError, match="never be read"):
        block_interval(30, control)


def test_copies_the_main_blocks(transformer):
    controlnet = CpcControlNet.from_transformer(transformer, 2)
    main = transformer.state_dict()
    for name, weight in controlnet.state_dict().items():
        if name.startswith(("blocks.", "patch_embedding.")):
            assert torch.equal(weight, main[name]), name
    assert controlnet.patch_embedding.weight.abs().max() > 0


def test_vanilla_control_starts_from_the_noisy_latent(transformer):
    controlnet = CpcControlNet.from_transformer(transformer, 2, control_input="lr+noisy")
    assert not controlnet.patch_embedding.weight.any()
    assert torch.equal(controlnet.noisy_patch_embedding.weight, transformer.patch_embedding.weight)


def test_only_cpc_gets_gradients(transformer, inputs):
    controlnet = randomise_projections(CpcControlNet.from_transformer(transformer, 2, learn_scale=True))
    velocity(controlnet, transformer, inputs).square().mean().backward()
    assert all(p.grad is None for p in transformer.parameters())
    missing = [name for name, p in controlnet.named_parameters() if p.grad is None or not p.grad.any()]
    # with one key per query everything but these would still move; biases of keys never do (softmax ignores them)
    assert [name for name in missing if ".to_k.bias" not in name] == []


def test_gradient_checkpointing_gives_equal_gradients(transformer, controlnet, inputs):
    velocity(controlnet, transformer, inputs).square().mean().backward()
    wanted = {name: p.grad.clone() for name, p in controlnet.named_parameters()}
    controlnet.zero_grad()
    transformer.enable_gradient_checkpointing()
    controlnet.enable_gradient_checkpointing()
    velocity(controlnet, transformer, inputs).square().mean().backward()
    for name, p in controlnet.named_parameters():
        assert torch.equal(p.grad, wanted[name]), name


@pytest.mark.slow
def test_compiled_blocks_do_not_recompile(transformer, controlnet, inputs):
    plain = velocity(controlnet, transformer, inputs)
    torch._dynamo.reset()
    for model in (transformer, controlnet):
        model.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(velocity(controlnet, transformer, inputs), plain)
        with torch._dynamo.config.patch(error_on_recompile=True):
            again = velocity(controlnet, transformer, inputs | {"z": inputs["z"] + 1})
    assert (again - plain).abs().max() > 1e-3


def test_conditions_reach_the_blocks_only_if_asked_for(transformer, inputs):
    later = torch.tensor([10.0, 20.0])
    for time_conditioned in (True, False):
        controlnet = randomise_projections(
            CpcControlNet.from_transformer(transformer, 2, time_conditioned=time_conditioned)
        )
        now, then = (residuals_of(controlnet, transformer, inputs, t)[-1] for t in (inputs["timestep"], later))
        assert torch.equal(now, then) == (not time_conditioned)
    for text_conditioned in (True, False):
        controlnet = randomise_projections(
            CpcControlNet.from_transformer(transformer, 2, text_conditioned=text_conditioned)
        )
        one = residuals_of(controlnet, transformer, inputs)[-1]
        other = residuals_of(controlnet, transformer, inputs | {"prompt": inputs["prompt"] + 1})[-1]
        assert torch.equal(one, other) == (not text_conditioned)


def test_static_only_without_time_text_and_noise(transformer):
    def is_static(**options):
        return CpcControlNet.from_transformer(transformer, 2, **options).is_static

    assert is_static(time_conditioned=False, text_conditioned=False)
    assert not is_static(time_conditioned=False)
    assert not is_static(text_conditioned=False)
    assert not is_static(time_conditioned=False, text_conditioned=False, control_input="lr+noisy")


def test_round_trip_through_a_folder(controlnet, tmp_path):
    controlnet.save_pretrained(tmp_path)
    loaded = CpcControlNet.from_pretrained(tmp_path)
    assert dict(loaded.config).items() >= {"num_layers": 2, "num_main_layers": 4}.items()
    for name, weight in controlnet.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_parameters_of_the_real_models():
    """FACTS of the paper's supplement: 1.3 B + CPC of four blocks is "1.6 B"; the 14 B model builds too."""
    with torch.device("meta"):
        small = ControlledWanTransformer3DModel(
            num_attention_heads=12, ffn_dim=8960, num_layers=30, attention_head_dim=128, text_dim=4096
        )
        large = ControlledWanTransformer3DModel()
    assert count(small) == 1_418_996_800
    assert count(small) + count(CpcControlNet.from_transformer(small, 4)) == pytest.approx(1.614e9, abs=0.5e6)
    assert count(large) == 14_288_491_584
    assert CpcControlNet.from_transformer(large, 4).config.num_main_layers == 40


def test_flops_can_be_counted_without_memory():
    """On the meta device, as for the figures in docs/paper_notes.md."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = ControlledWanTransformer3DModel(**TINY_TRANSFORMER)
        z, timestep, prompt = torch.randn(1, 16, 2, 4, 6), torch.zeros(1), torch.zeros(1, 3, 16)
        with FlopCounterMode(display=False) as counter:
            velocity = model(z, timestep, prompt)
    assert velocity.shape == z.shape and counter.get_total_flops() > 0
