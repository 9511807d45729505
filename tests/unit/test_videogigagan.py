"""VideoGigaGAN's parts against their formulas, what they see and what they do not, its losses, sizes and files."""

import json
import shutil
from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from torch import nn
from torch.nn.functional import conv2d, interpolate, logsigmoid

from realis.comparators.basicvsr.network import BasicVsr
from realis.comparators.videogigagan.adaptive_conv import AdaptiveConv, StyledBlock
from realis.comparators.videogigagan.antialiasing import Downsample, high_frequencies, low_pass
from realis.comparators.videogigagan.attention import SelfAttention, SpatialAttention, TemporalModule
from realis.comparators.videogigagan.discriminator import Discriminator
from realis.comparators.videogigagan.files import check_network, network_folder, scale_of
from realis.comparators.videogigagan.generator import VideoGigaGan
from realis.comparators.videogigagan.propagation import Flows, Propagation
from realis.core.errors import InputError
from realis.data.batch import clips_of, images_of
from realis.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from realis.models.optical_flow.spynet import SpyNet
from small_videogigagan import (
    ALONE,
    SIZES,
    inputs_of,
    new_generator,
    randomise,
    save_small_videogigagan,
    small_discriminator,
    small_generator,
)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(make, *arguments, **named):
    """A part with weights that are the same at each call, none of which is zero."""
    torch.manual_seed(0)
    return randomise(make(*arguments, **named))


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


# The generator


@pytest.mark.parametrize(("widths", "scale"), [((8,), 2), ((8, 4), 4), ((8, 4, 2), 8)])
def test_a_new_generator_enlarges_as_bicubic_interpolation_does(widths, scale):
    generator = new_generator(upsampling_widths=widths)
    inputs = inputs_of(generator)
    enlarged = interpolate(images_of(inputs.lr), scale_factor=scale, mode="bicubic")
    restored = generator(*inputs)
    assert generator.scale == scale and restored.shape == (2, 3, 3, 8 * scale, 16 * scale)
    assert torch.equal(images_of(restored), enlarged)
    assert (images_of(small_generator(upsampling_widths=widths)(*inputs)) - enlarged).abs().mean() > 0.1


def test_an_inflated_generator_begins_as_the_image_generator_whose_weights_it_has():
    """Frame by frame, until its new parts have learned; each of them then changes what it makes."""
    image = small_generator(**ALONE)

    def inflated():
        video = new_generator()
        added, unknown = video.load_state_dict(image.state_dict(), strict=False)
        assert not unknown
        assert {name.partition(".")[0] for name in added} == {"temporal_modules", "propagation", "conv_features"}
        return video

    inputs = inputs_of(image)
    frames = images_of(inputs.lr)[:, :, None]  # as clips of one
    alone = image(frames, None, *(x.repeat_interleave(3, dim=0) for x in (inputs.z, inputs.noise)))
    expected = clips_of(alone[:, :, 0], 2)
    assert torch.equal(inflated()(*inputs), image(*inputs))
    close(image(*inputs), expected)
    for part in ("temporal_modules", "conv_features"):
        video = inflated()
        randomise(getattr(video, part))
        assert (video(*inputs) - expected).abs().mean() > 0.01, part


def test_a_clip_is_enlarged_alike_whichever_clips_are_beside_it():
    generator = small_generator()
    lr, flows, z, noise = inputs_of(generator)
    both = generator(lr, flows, z, noise)
    for clip in (slice(0, 1), slice(1, 2)):
        alone = generator(lr[clip], Flows(flows.to_next[clip], flows.to_previous[clip]), z[clip], noise[clip])
        close(alone, both[clip])


def test_the_noise_of_a_block_is_at_its_resolution():
    """That of a tile is the tile of that of the frame."""
    generator, noise = new_generator(), torch.arange(2.0 * 26 * 16 * 24).view(2, 26, 16, 24)
    maps, of_tile = generator.noise_maps(noise), generator.noise_maps(noise[..., 8:, 16:])
    sizes = [(16, 24), (8, 12), (4, 6), (4, 6), (8, 12), (16, 24), (32, 48), (64, 96)]
    assert [(*part.shape,) for part in maps] == [(2, 1, *size) for size in sizes]
    for part, tile in zip(maps, of_tile, strict=True):
        height, width = part.shape[-2:]
        assert torch.equal(part[..., height // 2 :, 2 * width // 3 :], tile)
    values = torch.cat([part.flatten() for part in maps])
    assert len(values.unique()) == len(values)  # each block has noise of its own


@pytest.fixture
def skips():
    """Record what the last decoder block with a skip connection receives by it, from the first encoder block."""

    def record(generator, pattern):
        received, width = [], SIZES["widths"][0]
        generator.encoder[0].register_forward_hook(lambda block, given, features: features + pattern)
        generator.decoder[2].register_forward_pre_hook(lambda block, given: received.append(given[0][:, -width:]))
        generator(*inputs_of(generator))
        return received[0]

    return record


def test_the_shuttle_carries_high_frequencies_alone(skips):
    """Of a feature to which something even or a checkerboard is added."""
    rows, columns = torch.arange(8.0)[:, None], torch.arange(16.0)
    checkerboard = 1 - 2 * ((rows + columns) % 2)
    inside = (..., slice(2, -2), slice(2, -2))  # the filter does not reach beyond the frame
    for shuttle, pattern, expected in (
        (True, 3.0, 0.0),
        (True, 0.1 * rows - 0.2 * columns, 0.0),
        (True, checkerboard, checkerboard),
        (False, 3.0, 3.0),
    ):
        plain, changed = (skips(small_generator(hf_shuttle=shuttle), x) for x in (0.0, pattern))
        wanted = torch.as_tensor(expected).expand(8, 16)
        torch.testing.assert_close((changed - plain)[inside], wanted.expand_as(plain)[inside], atol=1e-4, rtol=0)


def test_the_paper_counts_as_many_parameters():
    """369 M with SpyNet."""
    with torch.device("meta"):
        generator, flow = VideoGigaGan(), SpyNet()
    millions = {
        name: sum(weight.numel() for weight in part.parameters()) / 1e6
        for name, part in [*generator.named_children(), ("flow", flow)]
    }
    assert sum(millions.values()) == pytest.approx(369, rel=0.01)
    assert {name: round(count, 1) for name, count in millions.items() if count >= 1} == {
        "propagation": 4.5, "encoder": 125.7, "down": 15.3, "decoder": 209.9, "attention": 3.1, "temporal_modules": 8.4,
        "flow": 1.4,
    }  # fmt: skip


# Adaptive convolutions


def adapted(conv, clip, style):
    """The frames of a clip convolved by the kernel of a style, written out as in the paper."""
    shares = np.exp(conv.selection.weight.numpy() @ style + conv.selection.bias.numpy())
    shares /= shares.sum()
    scales = conv.modulation.weight.numpy() @ style + conv.modulation.bias.numpy()
    kernel = sum(share * one for share, one in zip(shares, conv.bank.numpy(), strict=True))
    for out, into in product(range(kernel.shape[0]), range(kernel.shape[1])):
        kernel[out, into] *= scales[into]
    for out in range(kernel.shape[0]):
        kernel[out] /= np.sqrt((kernel[out] ** 2).sum() + 1e-8)
    return conv2d(clip, torch.from_numpy(kernel), conv.bias, padding=1)


def test_an_adaptive_convolution_is_its_formula():
    """Each clip is convolved by its own style, which its frames share."""
    conv, frames, styles = seeded(AdaptiveConv, 4, 6, 5, kernels=3), random(6, 4, 7, 9), 2 * random(2, 5, seed=1)
    convolved = conv(frames, styles)
    for i, style in enumerate(styles.numpy()):
        close(convolved[3 * i : 3 * i + 3], adapted(conv, frames[3 * i : 3 * i + 3], style))
    swapped = conv(frames, styles.flip(0))
    assert (convolved - swapped).abs().mean() > 0.1


def test_a_block_adds_the_same_noise_to_all_frames_of_a_clip():
    """And none before training."""
    frames = random(1, 4, 8, 8).expand(6, -1, -1, -1)
    style, noise, other = random(1, 5).expand(2, -1), random(2, 1, 8, 8), random(2, 1, 8, 8, seed=1)
    torch.manual_seed(0)
    block = StyledBlock(4, 6, 5, kernels=2)
    assert torch.equal(block(frames, style, noise), block(frames, style, other))
    refined = randomise(block)(frames, style, noise)
    for clip in refined.chunk(2):
        close(clip, clip[:1].expand_as(clip))
    assert (refined[0] - refined[3]).abs().mean() > 0.1


# Attention


def attended(attention, tokens):
    """Attention of one sequence, written out: weights are those of exp(-|q - k|^2 / sqrt(d))."""
    normed, result = attention.norm(tokens), []
    qk, v = attention.to_qk(normed), attention.to_v(normed)
    for of_head, values in zip(qk.chunk(attention.heads, 1), v.chunk(attention.heads, 1), strict=True):
        distances = (of_head[:, None] - of_head[None]).square().sum(dim=2)
        result.append((-distances / of_head.shape[1] ** 0.5).softmax(dim=1) @ values)
    return tokens + attention.to_out(torch.cat(result, dim=1))


def test_attention_is_by_distance():
    attention, tokens = seeded(SelfAttention, 8, heads=2), random(3, 5, 8)
    attention.to_qk.weight.mul_(3)  # so that weights are far from even
    wanted = torch.stack([attended(attention, sequence) for sequence in tokens])
    close(attention(tokens), wanted)
    assert (wanted - tokens).abs().mean() > 0.1


def test_spatial_attention_is_among_the_pixels_of_a_frame():
    attention, frames = seeded(SpatialAttention, 8, heads=2), random(2, 8, 3, 4)
    refined = attention(frames)
    for frame, of_frame in zip(frames, refined, strict=True):
        close(of_frame.flatten(1).T, attended(attention, frame.flatten(1).T))


def test_temporal_modules_see_one_pixel_of_all_frames():
    """Of its own clip."""
    module = seeded(TemporalModule, 8, heads=2)
    frames = random(10, 8, 4, 6)
    changed = frames.clone()
    changed[1, :, 2, 3] += 1
    moved = (module(frames, clips=2) - module(changed, clips=2)).abs().amax(dim=1)
    there = torch.zeros(10, 4, 6, dtype=torch.bool)
    there[:5, 2, 3] = True
    assert moved[~there].max() == 0 and moved[there].min() > 1e-4
    assert torch.equal(TemporalModule(8, heads=2)(frames, clips=2), frames)  # nothing, before training


# Antialiasing


def test_the_low_pass_filter_is_binomial():
    x = random(2, 3, 9, 12)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    wanted = convolve1d(convolve1d(x.double().numpy(), taps, 2, mode="nearest"), taps, 3, mode="nearest")
    close(low_pass(x).double(), torch.from_numpy(wanted))
    close(low_pass(torch.full((1, 2, 5, 5), 0.7)), torch.full((1, 2, 5, 5), 0.7))
    close(high_frequencies(x) + low_pass(x), x)


def test_high_frequencies_of_features_far_from_zero_survive_bfloat16():
    """Of a mean of 100, bfloat16 has no numbers but multiples of 0.5, which a filtered feature must not be rounded to."""
    x = (100 + 2 * random(2, 3, 16, 16)).bfloat16()
    exact, rounded = high_frequencies(x.float()), high_frequencies(x)
    assert rounded.dtype == torch.bfloat16 and exact.square().mean() > 1
    assert (rounded.float() - exact).square().mean() < 1e-4 * exact.square().mean()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(high_frequencies(x.float()), exact)


def moved_by_half_a_pixel(x):
    """``x`` (N, C, h, w), which goes on beyond its borders periodically, half a pixel further to the right."""
    waves = torch.exp(-2j * torch.pi * 0.5 * torch.fft.rfftfreq(x.shape[3]))
    return torch.fft.irfft(torch.fft.rfft(x) * waves, n=x.shape[3])


def test_blur_pool_follows_small_shifts_where_a_strided_convolution_does_not():
    """A texture that moves by a pixel moves by half a pixel at half the resolution. Around the texture there is nothing, so
    that no border matters."""
    texture = torch.zeros(4, 3, 48, 48)
    texture[..., 14:34, 14:34] = random(4, 3, 20, 20)
    errors = []
    for blur_pool in (False, True):
        down = seeded(Downsample, 3, 5, blur_pool)
        nn.init.zeros_(down.conv.bias)
        shrunk, moved = down(texture), down(texture.roll(1, dims=3))
        assert shrunk.shape == (4, 5, 24, 24)
        errors.append(((moved - moved_by_half_a_pixel(shrunk)).std() / moved.std()).item())
    strided, blurred = errors
    assert strided > 1 and blurred < strided / 3


# Propagation


def test_features_are_those_of_basicvsr():
    """Of the same trunks, from the features of a frame before the first."""
    propagation, frames = seeded(Propagation, 4, 2), random(2, 3, 5, 8, 12)
    flows, state = Flows(*(2 * random(2, 2, 5, 8, 12, seed=seed) for seed in (1, 2))), random(2, 4, 8, 12, seed=3)
    both, forward = propagation(frames, flows, state)
    assert len(forward) == 5 and torch.equal(torch.stack(forward, dim=2), both[:, 4:])
    network = BasicVsr(4, 2)
    network.backward_trunk, network.forward_trunk = propagation.backward_trunk, propagation.forward_trunk
    network.enlarge = lambda frame, backward, forward: torch.cat((backward, forward), dim=1)
    for i in range(2):
        to_next, to_previous = (flow[i].transpose(0, 1) for flow in flows)
        steps = network(frames[i].transpose(0, 1), to_next, to_previous, state[i : i + 1])
        close(both[i].transpose(0, 1), torch.cat([features for features, _ in steps]))


def test_forward_features_go_on_from_a_state():
    propagation, frames = seeded(Propagation, 4, 1), random(1, 3, 6, 8, 12)
    flows = Flows(*(2 * random(1, 2, 6, 8, 12, seed=seed) for seed in (1, 2)))
    whole, states = propagation(frames, flows)
    later = Flows(*(flow[:, :, 3:] for flow in flows))
    rest, _ = propagation(frames[:, :, 3:], later, states[2])
    close(rest, whole[:, :, 3:])  # backward features as well: these do not see what comes before
    anew, _ = propagation(frames[:, :, 3:], later)
    assert (anew - rest)[:, :4].abs().max() == 0 and (anew - rest)[:, 4:].abs().mean() > 0.01


# The discriminator and the losses of a GAN


def test_an_inflated_discriminator_begins_as_that_of_frames():
    frames, clips = small_discriminator(temporal=False), random(2, 3, 4, 16, 24)
    inflated = Discriminator(frames.config.widths, heads=2)
    inflated.load_state_dict(frames.state_dict(), strict=False)
    logits = inflated(clips)
    assert logits.shape == (2, 4)
    close(logits, torch.cat([frames(frame) for frame in clips.split(1, dim=2)], dim=1))
    randomise(inflated.temporal_modules)
    changed = clips.clone()
    changed[0, :, 3] = 0
    moved = (inflated(clips) - inflated(changed)).abs()
    assert moved[0].min() > 1e-5 and moved[1].max() == 0


def test_losses_are_non_saturating():
    real, fake = 5 * random(2, 3), 5 * random(2, 3, seed=1)
    close(generator_loss(fake), -logsigmoid(fake).mean())
    close(discriminator_loss(real, fake), -logsigmoid(real).mean() - (1 - fake.sigmoid()).log().mean())
    assert generator_loss(torch.tensor([-200.0])) == 200  # no overflow


def test_r1_is_half_the_squared_gradient_of_a_frame():
    """Of a discriminator of known gradient: other weights for every frame."""
    weights = random(3, 4, 5, 6)  # C, F, H, W
    penalty = r1_penalty(lambda clips: torch.einsum("bcfhw,cfhw->bf", clips, weights), random(2, 3, 4, 5, 6))
    close(penalty, 0.5 * weights.square().sum() / 4)
    close(
        r1_penalty(lambda clips: clips.square().sum(dim=(1, 3, 4)), torch.ones(2, 3, 4, 5, 6)), torch.tensor(2.0 * 90)
    )


@torch.enable_grad()
def test_r1_trains_all_of_a_discriminator():
    """Through its attention as well; and its gradient is that of the penalty, by a step along it."""
    discriminator, clips = small_discriminator(), random(2, 3, 3, 16, 16)
    penalty = r1_penalty(discriminator, clips)
    penalty.backward()
    bias = discriminator.to_logit.bias
    assert bias.grad is None or bias.grad.abs().max() == 0  # what is added to logits changes no gradient of theirs
    weights = [weight for weight in discriminator.parameters() if weight is not bias]
    assert all(weight.grad.abs().max() > 0 for weight in weights if weight.ndim > 1)
    squared = sum(weight.grad.square().sum() for weight in weights)
    step = 2e-3 * penalty.item() / squared
    with torch.no_grad():
        for weight in weights:
            weight -= step * weight.grad
    gained = (penalty - r1_penalty(discriminator, clips)).item()
    assert gained == pytest.approx((step * squared).item(), rel=0.05)


# Files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_videogigagan(tmp_path_factory.mktemp("videogigagan") / "model")


@pytest.fixture
def copied(folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(folder, tmp_path / "model")


def changed(folder, **values):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in (config | values).items() if value is not None}))


def test_a_whole_model_is_found(folder):
    assert network_folder(str(folder), "--model") == folder
    assert scale_of(check_network(folder)) == 4


@pytest.mark.parametrize(("values", "message"), [
    ({"kernels": 0}, "kernels: got 0, wanted 1 to"),
    ({"style_dim": "8"}, "style_dim: got '8', wanted 1 to"),
    ({"mapping_layers": True}, "mapping_layers: got True, wanted"),
    ({"noise_dim": None}, "noise_dim: got None, wanted"),
    ({"propagation_channels": -1}, "propagation_channels: got -1, wanted 0 to"),
    ({"widths": [8, 8, 12]}, r"widths: got \[8, 8, 12\], wanted 4 whole numbers, each 1 or more"),
    ({"widths": [8, 8, 0, 16]}, "widths: got .*wanted 4 whole numbers, each 1 or more"),
    ({"upsampling_widths": []}, r"upsampling_widths: got \[\], wanted 1 to 3 whole numbers, each 1 or more"),
    ({"upsampling_widths": 4}, "upsampling_widths: got 4, wanted"),
    ({"temporal": 1}, "temporal: got 1, wanted true or false"),
    ({"heads": 8}, "heads: got 8, wanted a divisor of every width that attention works at, such as 12"),
    ({"flow_weights": 3}, "flow_weights: got 3, wanted a name"),
])  # fmt: skip
def test_configurations_that_cannot_be_are_refused(copied, values, message):
    changed(copied, **values)
    with pytest.raises(InputError, match=message) as error:
        check_network(copied)
    assert "\n" not in str(error.value) and str(copied / "config.json") in str(error.value)


def test_other_models_and_damaged_ones_are_refused(copied, tmp_path):
    small_discriminator().save_pretrained(tmp_path / "other")
    for name in (str(tmp_path / "other"), str(tmp_path)):
        with pytest.raises(InputError, match=r"is no VideoGigaGAN .*; give videogigagan-tiny, or what"):
            network_folder(name, "--model")
    with pytest.raises(InputError, match="--model: got 'nowhere', which is no folder; wanted videogigagan-tiny"):
        network_folder("nowhere", "--model")
    (weights,) = copied.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        check_network(copied)
    weights.unlink()
    with pytest.raises(InputError, match="no safetensors weights there"):
        check_network(copied)
