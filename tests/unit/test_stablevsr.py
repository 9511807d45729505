"""StableVSR's parts: the size of its module, who is guided by whom at which step, guidance, and the training step."""

import hashlib
from typing import NamedTuple

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch.nn.functional import grid_sample, interpolate

from realis.comparators.sd_x4.guided_config import MotionConfig
from realis.comparators.sd_x4.guided_step import draw_pair
from realis.comparators.sd_x4.guided_upscaler import BEFORE
from realis.comparators.sd_x4.motion import frames_for_flow
from realis.comparators.stablevsr.guidance_config import TextureGuidanceConfig
from realis.comparators.stablevsr.sampling import sample_frames
from realis.comparators.stablevsr.step import StableVsrStep
from realis.comparators.stablevsr.tcm import guided_by, new_tcm
from realis.comparators.stablevsr.texture_guidance import texture_guidance
from realis.diffusion.v_prediction import NoiseSchedule
from realis.models.optical_flow.farneback import farneback
from realis.models.sd_x4.files import TOKENS
from realis.models.sd_x4.latents import decode_images
from realis.models.sd_x4.loading import predict_velocity
from realis.ops.resize import resize
from realis.upscaler import Tile
from small_basicvsr import moving_clip
from small_guided import SIZE, base_step, batch_of, flow_of, noisy, random
from small_sd_x4 import PUBLIC_UNET, SCHEDULE, TEXT_DIM, UNET, VAE, louder
from small_stablevsr import enlarged_cells, small_tcm


@pytest.mark.parametrize(("levels", "network", "module"), [(None, 472.374, 207.699), (1000, 473.398, 208.723)])
def test_sizes_are_those_of_the_public_networks(levels, network, module):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**PUBLIC_UNET, num_class_embeds=levels)
        millions = [sum(weight.numel() for weight in part.parameters()) / 1e6 for part in (unet, new_tcm(unet))]
    assert millions == [pytest.approx(network, abs=5e-4), pytest.approx(module, abs=5e-4)]


NAMES = {  # digests of the names and shapes that diffusers 0.21.1 makes, which the authors of StableVSR publish with
    "unet": {None: "46030320f6e97b77", 1000: "c8fc5a1c3d4d84e6"},
    "tcm": {None: "b83c7cbdec82df7a", 1000: "385f6f1318be153f"},
    "vae": {None: "8d2e1b9886fbfa4b", 1000: "8d2e1b9886fbfa4b"},
}


@pytest.mark.parametrize("levels", [None, 1000])
def test_tensors_have_the_names_that_the_authors_publish(levels):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**PUBLIC_UNET, num_class_embeds=levels)
        vae = AutoencoderKL(
            **VAE | {"block_out_channels": [128, 256, 512], "layers_per_block": 2, "norm_num_groups": 32}
        )
        networks = {"unet": unet, "tcm": new_tcm(unet), "vae": vae}
    for name, network in networks.items():
        shapes = {tensor: "x".join(map(str, weight.shape)) for tensor, weight in network.state_dict().items()}
        lines = "\n".join(f"{tensor} {shape}" for tensor, shape in sorted(shapes.items()))
        assert hashlib.sha256(lines.encode()).hexdigest()[:16] == NAMES[name][levels], name


# Who is guided by whom


class Visit(NamedTuple):
    """A step of a frame, and what it was called with."""

    step: int
    frame: int
    neighbour: int | None
    z: torch.Tensor
    shown: torch.Tensor | None
    v: torch.Tensor


STEPS = NoiseSchedule(SCHEDULE).steps(3, "ddpm")


def trace(strategy, guidance_on="x0", before=None, count=3, steps=STEPS):
    """Every visit of three frames in three steps, and the latents in the end; the velocity depends on frame and guidance."""
    visits, guides = [], []
    numbers = {step.timestep: number for number, step in enumerate(steps)}

    def guidance(latents, frame, neighbour):
        guides.append((frame, neighbour))
        return latents

    def predict(frame, z, timestep, texture):
        neighbour = None
        if texture is not None:
            guided, neighbour = guides.pop()
            assert guided == frame
        assert not guides  # guidance is made right before its frame
        v = torch.tanh(z + frame) + (0 if texture is None else texture / 3)
        visits.append(Visit(numbers[timestep], frame, neighbour, z, texture, v))
        return v

    z = [random(1, 4, 2, 3, seed=frame) for frame in range(count)]
    noise = (random(count, 1, 4, 2, 3, seed=100 + number) for number in range(len(steps)))
    return visits, sample_frames(predict, guidance, z, steps, strategy, guidance_on, noise, before)


FORWARD, BACKWARD = [(0, None), (1, 0), (2, 1)], [(2, None), (1, 2), (0, 1)]
AFTER_ANOTHER = [(0, BEFORE), (1, 0), (2, 1)]
ALONE = [(0, None), (1, None), (2, None)]


@pytest.mark.parametrize(
    ("strategy", "follows", "expected"),
    [
        ("single-frame", False, [ALONE] * 3),
        ("single-frame", True, [ALONE] * 3),
        ("unidirectional", False, [FORWARD] * 3),
        ("unidirectional", True, [AFTER_ANOTHER] * 3),
        ("auto-regressive", True, [AFTER_ANOTHER] * 3),
        ("bidirectional", False, [FORWARD, BACKWARD, FORWARD]),
        ("bidirectional", True, [AFTER_ANOTHER, BACKWARD, AFTER_ANOTHER]),
    ],
)
def test_all_frames_take_a_step_before_any_takes_the_next(strategy, follows, expected):
    visits, _ = trace(strategy, before=random(1, 4, 2, 3, seed=9) if follows else None)
    told = [(step, frame, neighbour) for step, order in enumerate(expected) for frame, neighbour in order]
    assert [visit[:3] for visit in visits] == told


@pytest.mark.parametrize("strategy", ["unidirectional", "bidirectional"])
@pytest.mark.parametrize("guidance_on", ["x0", "xt"])
def test_what_guides_is_the_neighbour_at_the_same_step(strategy, guidance_on):
    """Its clean estimate, by the velocity that was guided itself, or its latents before they took that step."""
    before = random(1, 4, 2, 3, seed=9)
    visits, _ = trace(strategy, guidance_on, before)
    at = {(visit.step, visit.frame): visit for visit in visits}
    theirs, guided = DDPMScheduler(**SCHEDULE), [visit for visit in visits if visit.neighbour is not None]
    theirs.set_timesteps(3)
    assert len(guided) == {"unidirectional": 9, "bidirectional": 8}[strategy]
    for visit in guided:
        if visit.neighbour == BEFORE:
            assert torch.equal(visit.shown, before)
            continue
        neighbour = at[visit.step, visit.neighbour]
        if guidance_on == "xt":
            assert torch.equal(visit.shown, neighbour.z)
        else:
            expected = theirs.step(neighbour.v, STEPS[visit.step].timestep, neighbour.z).pred_original_sample
            torch.testing.assert_close(visit.shown, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_every_frame_goes_on_from_where_its_own_step_led(sampler):
    """With noise of its own at every step of DDPM."""
    steps = NoiseSchedule(SCHEDULE).steps(3, sampler)
    visits, latents = trace("bidirectional", steps=steps)
    for frame, sampled in enumerate(latents):
        z = random(1, 4, 2, 3, seed=frame)
        for visit in (visit for visit in visits if visit.frame == frame):
            assert torch.equal(visit.z, z)
            z = steps[visit.step].advance(z, visit.v, random(3, 1, 4, 2, 3, seed=100 + visit.step)[frame])
        assert torch.equal(sampled, z)


# Guidance


LATENTS = random(1, 4, 6, 8)
PIXELS = (24, 32)


def guidance_of(flow, back=None, **flags):
    return texture_guidance(LATENTS, flow, back, enlarged_cells, TextureGuidanceConfig(**flags))


@pytest.mark.parametrize("flow", [flow_of(2, -1, PIXELS), flow_of(0.5, -0.25, (6, 8)), flow_of(1, -1, (24, 16))])
def test_a_motion_by_whole_pixels_of_the_result_moves_them_exactly(flow):
    """Whichever size it was estimated at."""
    decoded = enlarged_cells(LATENTS)
    guidance = guidance_of(flow)
    torch.testing.assert_close(guidance[..., 1:, :-2], decoded[..., :-1, 2:], atol=1e-5, rtol=0)
    assert guidance[..., 0, :].abs().max() < 1e-5 and guidance[..., -2:].abs().max() < 1e-5


@pytest.mark.parametrize("grid", ["exact", "stablevsr"])
def test_frames_are_warped_as_grid_sample_does(grid):
    """By the code of StableVSR on positions that are scaled for corners of the other kind."""
    flow = 3 * random(1, 2, *PIXELS, seed=1)
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in PIXELS), indexing="ij")
    positions = ((columns + flow[:, 0], PIXELS[1]), (rows + flow[:, 1], PIXELS[0]))
    normalised = torch.stack([2 * p / (side - 1) - 1 for p, side in positions], dim=-1)
    expected = grid_sample(enlarged_cells(LATENTS), normalised, "bilinear", "zeros", align_corners=grid == "exact")
    torch.testing.assert_close(guidance_of(flow, warp_grid=grid), expected, atol=1e-4, rtol=0)


def test_latents_are_warped_in_their_own_cells_or_nothing_is():
    flow = flow_of(8, -4, PIXELS)
    cells = torch.zeros_like(LATENTS)
    cells[..., 1:, :-2] = LATENTS[..., :-1, 2:]
    moved = guidance_of(flow, motion_compensation="latents")
    torch.testing.assert_close(moved, enlarged_cells(cells), atol=1e-5, rtol=0)
    assert torch.equal(guidance_of(flow, motion_compensation="off"), enlarged_cells(LATENTS))
    shrunk = guidance_of(flow_of(0, 0, PIXELS), motion_compensation="latents", warp_grid="stablevsr")
    assert (shrunk - enlarged_cells(LATENTS)).abs().max() > 0.1


@pytest.mark.parametrize("motion_compensation", ["frames", "off"])
def test_nothing_is_shown_of_what_the_neighbour_does_not_show(motion_compensation):
    """Beyond its border, and where the flow back does not lead back; both flows as estimated on the LR."""
    flow, back = flow_of(1, 0, (6, 8)), flow_of(-1, 0, (6, 8)).clone()
    back[..., 3:, :] = 0
    plain, masked = (
        guidance_of(flow, back, motion_compensation=motion_compensation, mask_occlusion=mask) for mask in (False, True)
    )
    assert torch.equal(masked[..., :10, :-4], plain[..., :10, :-4])  # the flow back is interpolated over four rows
    assert masked[..., -4:].abs().max() == 0 and masked[..., 14:, :].abs().max() == 0
    assert plain[..., 14:, :-4].abs().min() > 0


def test_flow_is_estimated_on_the_lr_or_on_what_is_made_of_it():
    lr = moving_clip(1, *SIZE)
    assert frames_for_flow(lr, MotionConfig(flow_frames="lr")) is lr
    assert torch.equal(frames_for_flow(lr, MotionConfig(flow_frames="bicubic")), resize(lr, (32, 48)).clamp(0, 1))
    assert torch.equal(frames_for_flow(lr, MotionConfig(flow_frames="nearest")), enlarged_cells(lr))


def test_the_window_of_a_tile_is_the_same_on_a_larger_canvas():
    tile = Tile(1, 4, 2, 7)
    assert tile.enlarged(4) == Tile(4, 16, 8, 28)
    assert torch.equal(tile.enlarged(4).of(enlarged_cells(LATENTS)), enlarged_cells(tile.of(LATENTS)))


# The module and its training step


@pytest.fixture(scope="module")
def networks():
    """UNet and VAE of the small upscaler, frozen."""
    torch.manual_seed(0)
    parts = louder(UNet2DConditionModel(**UNET), 2), louder(AutoencoderKL(**VAE), 1.5)
    return tuple(part.requires_grad_(False) for part in parts)


@pytest.mark.parametrize("gain", [0, 0.5])
def test_a_new_module_changes_no_velocity(networks, gain):
    unet, _ = networks
    z, lr, prompt = random(2, 4, *SIZE), random(2, 3, *SIZE, seed=1), random(1, TOKENS, TEXT_DIM, seed=2)
    timesteps, levels = torch.tensor([900, 20]), torch.tensor([20, 100])
    guidance = random(2, 3, 32, 48, seed=3)
    with torch.no_grad():
        alone, guided = (
            predict_velocity(unet, z, timesteps, lr, prompt, levels, guide)
            for guide in (None, guided_by(small_tcm(unet, gain), guidance))
        )
    assert torch.equal(guided, alone) if gain == 0 else (guided - alone).abs().max() > 0.1


def step_of(networks, gain=0.5, levels=True, **flags):
    unet, vae = networks
    tcm, config = small_tcm(unet, gain).train(), TextureGuidanceConfig(**flags)
    return StableVsrStep(base_step(unet, levels), tcm, lambda latents: decode_images(vae, latents), farneback, config)


def warped(decoded, lr, neighbour, flow_frames):
    """Decoded neighbours (1, 3, 32, 48), brought to where the LR of a frame shows the same."""
    lr, neighbour = lr / 2 + 0.5, neighbour / 2 + 0.5
    if flow_frames != "lr":
        lr, neighbour = (resize(x, (32, 48)).clamp(0, 1) for x in (lr, neighbour))
    flow = farneback(lr, neighbour)
    if flow_frames == "lr":
        flow = 4 * interpolate(flow, (32, 48), mode="bilinear")
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
    grid = torch.stack(((columns + flow[:, 0]) / 23.5 - 1, (rows + flow[:, 1]) / 15.5 - 1), dim=-1)
    return grid_sample(decoded, grid, "bilinear", "zeros", align_corners=True)


@pytest.mark.parametrize(
    ("levels", "flags"),
    [(True, {}), (False, {"flow_frames": "lr"}), (True, {"guidance_on": "xt", "flow_frames": "lr"})],
)
def test_the_loss_is_that_of_algorithm_2(networks, levels, flags):
    """Computed a sample at a time by the parts of diffusers; the neighbour is estimated by the UNet alone."""
    unet, vae = networks
    step, config = step_of(networks, levels=levels, **flags), TextureGuidanceConfig(**flags)
    batch, theirs, losses, prompt = batch_of(), DDPMScheduler(**SCHEDULE), [], step.base.prompt
    draws = step.base.draw(batch, 3)
    for i, number in enumerate(batch["number"].tolist()):
        neighbour, frame = draw_pair(3, number, 3)
        t, level = draws.timesteps[i : i + 1], draws.noise_levels[i : i + 1]

        # Lines 6 to 8
        _, _, neighbour_lr, z, inputs = noisy(batch, draws, i, neighbour, levels)
        with torch.no_grad():
            v = unet(inputs, t, prompt, class_labels=level).sample
            alpha = theirs.alphas_cumprod[t]
            shown = alpha.sqrt() * z - (1 - alpha).sqrt() * v if config.guidance_on == "x0" else z
            decoded = vae.decode(shown / 0.08333).sample

        # Lines 9 and 10
        x0, noise, lr, _, inputs = noisy(batch, draws, i, frame, levels)
        guidance = warped(decoded, lr, neighbour_lr, config.flow_frames)
        down, middle = step.tcm(inputs, t, prompt, guidance, class_labels=level, return_dict=False)
        v = unet(
            inputs, t, prompt, class_labels=level, down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample  # fmt: skip
        losses.append((v - theirs.get_velocity(x0, noise, t)).square().mean())
    torch.testing.assert_close(step.losses(batch)["loss"], torch.stack(losses).mean(), atol=1e-5, rtol=1e-4)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("gain", [0, 0.5])
def test_only_the_module_learns_and_first_by_its_zeros(networks, gain):
    step = step_of(networks, gain)
    step.losses(batch_of())["loss"].backward()
    names = {name for name, _ in step.tcm.named_parameters()}
    zeros = {name for name in names if name.startswith(("controlnet_down_blocks", "controlnet_mid_block"))}
    learning = {name for name, weight in step.tcm.named_parameters() if weight.grad.abs().max() > 0}
    assert learning == (names if gain else zeros) and zeros < names
    frozen = [weight for network in networks for weight in network.parameters()]
    assert not any(weight.requires_grad or weight.grad is not None for weight in frozen)


def test_sampling_with_a_new_module_is_that_of_the_upscaler_alone(networks):
    batch = batch_of()
    step, loud = (step_of(networks, gain) for gain in (0, 0.5))
    with torch.no_grad():
        torch.testing.assert_close(step.sample(batch), step.base.sample(batch), atol=1e-5, rtol=1e-5)
        assert (loud.sample(batch) - step.sample(batch)).abs().amax(dim=(0, 1, 3, 4)).min() > 0.01  # in every frame


def test_pairs_are_neighbours_in_both_directions():
    drawn = [draw_pair(0, number, 3) for number in range(200)]
    shares = {pair: drawn.count(pair) / 200 for pair in set(drawn)}
    assert set(shares) == {(0, 1), (1, 0), (1, 2), (2, 1)} and min(shares.values()) > 0.15
    assert {draw_pair(0, number, 2) for number in range(20)} == {(0, 1), (1, 0)}
    assert [draw_pair(0, number, 3) for number in range(200)] == drawn
    assert [draw_pair(1, number, 3) for number in range(200)] != drawn
