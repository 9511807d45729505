"""DGAF-VSR's parts: the guiding U-Net and its size, who is guided by whom at which step, alignment, the training step."""

from collections import deque
from itertools import product

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch.nn.functional import grid_sample, interpolate
from torchvision.models.optical_flow import raft_large

from realis.comparators.dgaf_vsr.config import DgafVsrConfig
from realis.comparators.dgaf_vsr.guiding_unet import GuidingUNet, guided_by, new_guiding_unet, points
from realis.comparators.dgaf_vsr.ogwm import align
from realis.comparators.dgaf_vsr.sampling import sample_in_step
from realis.comparators.dgaf_vsr.step import DgafVsrStep
from realis.comparators.sd_x4.guided_step import draw_pair
from realis.comparators.sd_x4.guided_upscaler import BEFORE
from realis.diffusion.v_prediction import NoiseSchedule
from realis.models.optical_flow.farneback import farneback
from realis.models.parts import load_part
from realis.models.sd_x4.files import TOKENS
from realis.models.sd_x4.loading import predict_velocity
from realis.ops.resize import resize
from small_dgaf_vsr import small_guiding_unet
from small_guided import SIZE, base_step, batch_of, flow_of, noisy, random
from small_sd_x4 import PUBLIC_UNET, PUBLIC_VAE, SCHEDULE, TEXT_DIM, UNET, louder

KINDS = [{"attention": a, "encoder_only": e} for a, e in product((True, False), repeat=2)]
POINTS = 28  # of the public network: 12 of the encoder, 1 of the middle, 15 of the decoder


def millions(*networks):
    return sum(weight.numel() for network in networks for weight in network.parameters()) / 1e6


def test_sizes_are_those_of_the_paper_and_of_its_code():
    """The paper counts 983.3 M in all, without the convolutions of zeros."""
    with torch.device("meta"):
        unet, knowing = (UNet2DConditionModel(**PUBLIC_UNET, num_class_embeds=levels) for levels in (None, 1000))
        kinds = ({}, {"attention": False}, {"encoder_only": True})
        whole, code, encoder = (new_guiding_unet(unet, **kind) for kind in kinds)
        others = [unet, AutoencoderKL(**PUBLIC_VAE).decoder, raft_large(weights=None)]
        with_levels = new_guiding_unet(knowing)
    assert [len(guiding.zero_convs) for guiding in (whole, code, encoder)] == [POINTS, POINTS, 13]
    sizes = [millions(network) for network in (whole, whole.zero_convs, code, encoder, with_levels)]
    assert sizes == pytest.approx([483.858, 11.485, 277.052, 206.563, 484.882], abs=5e-4)
    assert [millions(network) for network in others] == pytest.approx([472.374, 32.965, 5.258], abs=5e-4)
    assert millions(whole, *others) == pytest.approx(994.455, abs=5e-4)


# The guiding U-Net


@pytest.fixture(scope="module")
def unet():
    """That of the small upscaler, frozen."""
    torch.manual_seed(0)
    return louder(UNet2DConditionModel(**UNET), 2).requires_grad_(False)


Z, LR, ALIGNED, PROMPT = (
    random(2, 4, *SIZE),
    random(2, 3, *SIZE, seed=1),
    random(2, 4, *SIZE, seed=3),
    random(1, TOKENS, TEXT_DIM),
)
TIMESTEPS, LEVELS = torch.tensor([900, 20]), torch.tensor([20, 100])


@torch.no_grad()
def velocity(unet, guiding=None, prompt=PROMPT):
    guide = guided_by(guiding, ALIGNED, unet) if guiding else None
    return predict_velocity(unet, Z, TIMESTEPS, LR, prompt, LEVELS, guide)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_network_changes_no_velocity(unet, kind):
    alone = velocity(unet)
    assert torch.equal(velocity(unet, small_guiding_unet(unet, 0, **kind)), alone)
    assert (velocity(unet, small_guiding_unet(unet, **kind)) - alone).abs().max() > 0.1


def layer_by_layer(unet, inputs, timesteps, prompt, levels, change):
    """A U-Net written out; ``change`` is called with every feature, and returns what goes on. The first one goes on into the
    encoder, and unchanged into the skip connection around all others."""
    embedding = unet.time_embedding(unet.time_proj(timesteps)) + unet.class_embedding(levels)

    def layer(block, number, hidden):
        hidden = block.resnets[number](hidden, embedding)
        if getattr(block, "has_cross_attention", False):
            hidden = block.attentions[number](hidden, encoder_hidden_states=prompt, return_dict=False)[0]
        return change(hidden)

    skips = [unet.conv_in(inputs)]
    hidden = change(skips[0])
    for block in unet.down_blocks:
        for number in range(len(block.resnets)):
            hidden = layer(block, number, hidden)
            skips.append(hidden)
        for downsampler in block.downsamplers or ():
            hidden = change(downsampler(hidden))
            skips.append(hidden)
    middle, (first, *others) = unet.mid_block, unet.mid_block.resnets
    hidden = first(hidden, embedding)
    for attention, resnet in zip(middle.attentions, others, strict=True):
        if attention is not None:
            hidden = attention(hidden, encoder_hidden_states=prompt, return_dict=False)[0]
        hidden = resnet(hidden, embedding)
    hidden = change(hidden)
    for block in unet.up_blocks:
        for number in range(len(block.resnets)):
            hidden = layer(block, number, torch.cat((hidden, skips.pop()), dim=1))
        for upsampler in block.upsamplers or ():
            hidden = change(upsampler(hidden))
    return hidden


def written_out(unet, guiding, inputs, timesteps, prompt, levels, aligned):
    """The velocity, with features of the guiding network added wherever there are any."""
    prompt, added = prompt.expand(len(inputs), -1, -1), deque()

    def note(feature):
        added.append(guiding.zero_convs[len(added)](feature))
        return feature

    layer_by_layer(guiding.unet, torch.cat((inputs, aligned), dim=1), timesteps, prompt, levels, note)
    assert len(added) == len(guiding.zero_convs)
    hidden = layer_by_layer(
        unet, inputs, timesteps, prompt, levels, lambda feature: feature + added.popleft() if added else feature
    )
    assert not added
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))


@pytest.mark.parametrize("kind", KINDS)
def test_all_features_are_added_to_where_they_meet(unet, kind):
    guiding = small_guiding_unet(unet, **kind)
    with torch.no_grad():
        expected = written_out(unet, guiding, torch.cat((Z, LR), dim=1), TIMESTEPS, PROMPT, LEVELS, ALIGNED)
    torch.testing.assert_close(velocity(unet, guiding), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("encoder_only", "count"), [(False, 10), (True, 5)])
def test_every_feature_matters(unet, encoder_only, count):
    """Of the encoder 4, of the middle 1, of the decoder 5."""
    guiding, alone = small_guiding_unet(unet, 0, encoder_only=encoder_only), velocity(unet)
    assert len(points(unet)) == 10 and len(guiding.zero_convs) == count
    for conv in guiding.zero_convs:
        torch.nn.init.ones_(conv.weight)
        assert (velocity(unet, guiding) - alone).abs().max() > 1e-3
        torch.nn.init.zeros_(conv.weight)


def test_the_skip_connection_around_all_others_stays_as_it_is(unet):
    """What is added to the first feature does not reach the last block of the decoder by it."""
    seen = []
    handle = unet.up_blocks[-1].register_forward_pre_hook(
        lambda module, given, named: seen.append(named["res_hidden_states_tuple"]), with_kwargs=True
    )
    velocity(unet)
    velocity(unet, small_guiding_unet(unet))
    handle.remove()
    alone, guided = seen
    assert torch.equal(guided[0], alone[0]) and torch.equal(alone[0], unet.conv_in(torch.cat((Z, LR), dim=1)))
    assert (guided[1] - alone[1]).abs().max() > 0.1


def test_a_new_network_is_a_copy_that_takes_aligned_latents_as_noisy_ones(unet):
    own, weights = small_guiding_unet(unet, 0).unet.state_dict(), unet.state_dict()
    first, theirs = own.pop("conv_in.weight"), weights.pop("conv_in.weight")
    assert torch.equal(first[:, :7], theirs) and torch.equal(first[:, 7:], theirs[:, :4])
    assert weights.keys() - own.keys() == {
        f"conv_{name}" for name in ("norm_out.weight", "norm_out.bias", "out.weight", "out.bias")
    }
    assert all(torch.equal(tensor, weights[name]) for name, tensor in own.items())


@pytest.mark.parametrize("attention", [True, False])
def test_nothing_stays_hooked_to_a_network(unet, attention):
    """Not even where one of the two raises: with attention, the prompt of another width is already too much for the one
    that guides."""
    guiding = small_guiding_unet(unet, attention=attention)
    alone, guided = velocity(unet), velocity(unet, guiding)
    with pytest.raises(RuntimeError) as raised:
        velocity(unet, guiding, PROMPT[..., :-1])
    assert any(entry.frame.f_locals.get("self") is guiding.unet for entry in raised.traceback) == attention
    hooks = [hook for network in (unet, guiding) for module in network.modules()
             for hook in (module._forward_hooks, module._forward_pre_hooks)]  # fmt: skip
    assert not any(hooks)
    assert torch.equal(velocity(unet), alone) and torch.equal(velocity(unet, guiding), guided)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[-1]])
def test_a_network_is_saved_and_loaded(unet, tmp_path, kind):
    guiding = small_guiding_unet(unet, **kind)
    guiding.save_pretrained(tmp_path)
    loaded = load_part(GuidingUNet, tmp_path, torch.float32).eval()
    assert torch.equal(velocity(unet, loaded), velocity(unet, guiding))
    assert loaded.state_dict().keys() == guiding.state_dict().keys()


# Who is guided by whom


def trace(strategy, count, before=None, frames=3):
    """What each step was called with, and the latents in the end; the velocity depends on frame and guidance."""
    steps, pairs, calls = NoiseSchedule(SCHEDULE).steps(count, "ddpm"), {}, []
    numbers = {step.timestep: number for number, step in enumerate(steps)}

    def guidance(latents, frame, neighbour):
        pairs[frame] = neighbour, latents
        return 2 * latents

    def predict(z, timestep, guiding):
        assert guiding.keys() == pairs.keys() and numbers[timestep] == len(calls)
        assert all(torch.equal(guiding[frame], 2 * latents) for frame, (_, latents) in pairs.items())
        v = [torch.tanh(latents + frame) + guiding.get(frame, torch.zeros(1)) / 6 for frame, latents in enumerate(z)]
        calls.append((list(z), dict(pairs), v))
        pairs.clear()
        return v

    z = [random(1, 4, 2, 3, seed=frame) for frame in range(frames)]
    noise = (random(frames, 1, 4, 2, 3, seed=100 + number) for number in range(count))
    return steps, calls, sample_in_step(predict, guidance, z, steps, strategy, noise, before)


NOBODY, FORWARD, BACKWARD = {}, {1: 0, 2: 1}, {1: 2, 0: 1}
FIRST, AFTER_ANOTHER = {0: BEFORE}, {0: BEFORE, 1: 0, 2: 1}


@pytest.mark.parametrize(
    ("strategy", "follows", "expected"),
    [
        ("single-frame", True, [NOBODY] * 3),
        ("unidirectional", False, [NOBODY, FORWARD, FORWARD]),
        ("unidirectional", True, [FIRST, AFTER_ANOTHER, AFTER_ANOTHER]),
        ("bidirectional", False, [NOBODY, BACKWARD, FORWARD, BACKWARD]),
        ("bidirectional", False, [NOBODY, BACKWARD, FORWARD]),
        ("bidirectional", True, [FIRST, BACKWARD, AFTER_ANOTHER, BACKWARD, AFTER_ANOTHER]),
    ],
)
def test_a_frame_is_guided_by_what_its_neighbour_was_at_the_step_before(strategy, follows, expected):
    """Its clean estimate, by the velocity that was guided itself; at the first step only the frame before the video is."""
    before, theirs = random(1, 4, 2, 3, seed=9), DDPMScheduler(**SCHEDULE)
    theirs.set_timesteps(len(expected))
    steps, calls, _ = trace(strategy, len(expected), before if follows else None)
    assert [{frame: pair[0] for frame, pair in guided.items()} for _, guided, _ in calls] == expected
    for number, (_, guided, _) in enumerate(calls):
        for neighbour, shown in guided.values():
            if neighbour == BEFORE:
                assert torch.equal(shown, before)
                continue
            z, _, v = calls[number - 1]
            estimate = theirs.step(v[neighbour], steps[number - 1].timestep, z[neighbour]).pred_original_sample
            torch.testing.assert_close(shown, estimate, atol=1e-5, rtol=1e-5)


def test_every_frame_goes_on_from_where_its_own_step_led():
    """With noise of its own."""
    steps, calls, latents = trace("bidirectional", 3)
    for frame, sampled in enumerate(latents):
        z = random(1, 4, 2, 3, seed=frame)
        for number, (before, _, v) in enumerate(calls):
            assert torch.equal(before[frame], z)
            z = steps[number].advance(z, v[frame], random(3, 1, 4, 2, 3, seed=100 + number)[frame])
        assert torch.equal(sampled, z)


# Alignment

LATENTS = random(1, 4, 6, 8)
PIXELS = (24, 32)
RESCALINGS = [*({"rescaling_factor": factor} for factor in (2, 4, 5, 8, 16)), {}, {"rescaling": "off"}]


@pytest.mark.parametrize("flags", RESCALINGS)
@pytest.mark.parametrize(
    "flow", [flow_of(8, -4, PIXELS), flow_of(2, -1, (6, 8)), flow_of(4, -2, (12, 16)), flow_of(8, -1, (6, 32))]
)
def test_a_motion_by_whole_latents_moves_them_exactly(flags, flow):
    """Whatever the factor is, and whichever size the flow was estimated at."""
    moved = torch.zeros_like(LATENTS)
    moved[..., 1:, :-2] = LATENTS[..., :-1, 2:]
    torch.testing.assert_close(align(LATENTS, flow, 4, DgafVsrConfig(**flags)), moved, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("pixels", "latents"), [(1, 0), (3, 0), (5, 1), (-1, -1), (-4, -1), (-5, -2)])
def test_nearest_rescaling_rounds_a_motion_down_to_whole_latents(pixels, latents):
    """And keeps their values, of which an interpolation at their own size makes others."""
    flow, inner = flow_of(pixels, 0, PIXELS), (..., slice(2, -2))
    rounded, without = (align(LATENTS, flow, 4, DgafVsrConfig(rescaling=r))[inner] for r in ("nearest", "off"))
    torch.testing.assert_close(rounded, LATENTS.roll(-latents, -1)[inner], atol=1e-4, rtol=0)
    share = pixels / 4 - pixels // 4
    interpolated = (1 - share) * LATENTS.roll(-(pixels // 4), -1) + share * LATENTS.roll(-(pixels // 4) - 1, -1)
    torch.testing.assert_close(without, interpolated[inner], atol=1e-4, rtol=0)
    assert share == 0 or (rounded - without).abs().max() > 0.1


def test_a_fractional_factor_shows_some_latents_twice():
    """Of the positions 0, 2.5, 5, 7.5 ... nearest rescaling takes whole pixels, which lie in the latents 0, 0, 2, 2 ...: the
    supplement's Table 8 is worse for fractional factors as well."""
    still = flow_of(0, 0, PIXELS)
    shown = align(LATENTS, still, 4, DgafVsrConfig(rescaling_factor=2.5))
    twice = LATENTS[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(shown, twice, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rescaling", ["nearest", "bicubic", "off"])
@pytest.mark.parametrize("grid", ["exact", "stablevsr"])
@pytest.mark.parametrize(("scale", "factor"), [(4, 0), (8, 0), (4, 2.5)])
def test_latents_are_enlarged_warped_and_shrunk(rescaling, grid, scale, factor):
    """By the functions of torch; the scale is that of the frame where no factor is given."""
    if rescaling == "off" and factor:
        return
    flow = 3 * random(1, 2, *PIXELS, seed=1)
    config = DgafVsrConfig(rescaling=rescaling, warp_grid=grid, rescaling_factor=factor)
    got = align(LATENTS, flow, scale, config)
    torch.testing.assert_close(got, by_torch(LATENTS, flow, config, factor or scale), atol=1e-4, rtol=0)


def by_torch(latents, flow, config, scale):
    """What the OGWM makes of latents, for any flow; positions are scaled as StableVSR's code does."""
    size = latents.shape[-2:]
    if config.rescaling != "off":
        latents = interpolate(latents, scale_factor=scale, mode=config.rescaling)
    height, width = latents.shape[-2:]
    factors = torch.tensor([width / flow.shape[-1], height / flow.shape[-2]]).view(1, 2, 1, 1)
    flow = factors * interpolate(flow, (height, width), mode="bilinear")
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack(
        (2 * (columns + flow[:, 0]) / (width - 1) - 1, 2 * (rows + flow[:, 1]) / (height - 1) - 1), dim=-1
    )
    warped = grid_sample(latents, grid, "bilinear", "zeros", align_corners=config.warp_grid == "exact")
    return warped if config.rescaling == "off" else interpolate(warped, size, mode=config.rescaling)


# The training step


def step_of(unet, gain=0.5, levels=True, encoder_only=False, **flags):
    guiding = small_guiding_unet(unet, gain, encoder_only=encoder_only).train()
    return DgafVsrStep(base_step(unet, levels), guiding, farneback, DgafVsrConfig(**flags))


@pytest.mark.parametrize("flags", [{}, {"rescaling": "off", "flow_frames": "lr"}, {"flow_frames": "bicubic"}])
def test_the_loss_is_that_of_a_frame_beside_its_aligned_neighbour(unet, flags):
    """Computed a sample at a time; the neighbour is estimated at the same timestep by the UNet alone."""
    step, config = step_of(unet, **flags), DgafVsrConfig(**flags)
    batch, theirs, losses, prompt = batch_of(), DDPMScheduler(**SCHEDULE), [], step.base.prompt
    draws = step.base.draw(batch, 3)
    for i, number in enumerate(batch["number"].tolist()):
        neighbour, frame = draw_pair(3, number, 3)
        t, level = draws.timesteps[i : i + 1], draws.noise_levels[i : i + 1]
        _, _, neighbour_lr, z, inputs = noisy(batch, draws, i, neighbour, levels=True)
        x0, noise, lr, _, frame_inputs = noisy(batch, draws, i, frame, levels=True)
        with torch.no_grad():
            alpha = theirs.alphas_cumprod[t]
            v = unet(inputs, t, prompt, class_labels=level).sample
            estimate = alpha.sqrt() * z - (1 - alpha).sqrt() * v
            flow = farneback(*(for_flow(x / 2 + 0.5, config.flow_frames) for x in (lr, neighbour_lr)))
            aligned = by_torch(estimate, flow, config, 4)
            v = written_out(unet, step.guiding, frame_inputs, t, prompt, level, aligned)
        losses.append((v - theirs.get_velocity(x0, noise, t)).square().mean())
    torch.testing.assert_close(step.losses(batch)["loss"].detach(), torch.stack(losses).mean(), atol=1e-5, rtol=1e-4)
    assert losses[0] != losses[1]


def for_flow(lr, frames):
    if frames == "nearest":
        return interpolate(lr, scale_factor=4, mode="nearest")
    return lr if frames == "lr" else resize(lr, (4 * SIZE[0], 4 * SIZE[1])).clamp(0, 1)


@pytest.mark.parametrize(("gain", "encoder_only"), [(0, False), (0.5, False), (0.5, True)])
def test_only_the_guiding_network_learns_and_first_by_its_zeros(unet, gain, encoder_only):
    step = step_of(unet, gain, encoder_only=encoder_only)
    step.losses(batch_of())["loss"].backward()
    names = {name for name, _ in step.guiding.named_parameters()}
    zeros = {name for name in names if name.startswith("zero_convs")}
    learning = {name for name, weight in step.guiding.named_parameters() if weight.grad.abs().max() > 0}
    assert learning == (names if gain else zeros) and zeros < names
    assert not any(weight.requires_grad or weight.grad is not None for weight in unet.parameters())


def test_sampling_with_a_new_network_is_that_of_the_upscaler_alone(unet):
    """In two steps, of which only the second one is guided, backward: the last frame is not."""
    batch = batch_of()
    step, loud = (step_of(unet, gain) for gain in (0, 0.5))
    with torch.no_grad():
        alone = step.base.sample(batch)
        torch.testing.assert_close(step.sample(batch), alone, atol=1e-5, rtol=1e-5)
        changed = (loud.sample(batch) - alone).abs().amax(dim=(0, 1, 3, 4))
    assert changed[:-1].min() > 0.01 and changed[-1] < 1e-5
