"""DGAF-VSR as a method: a new network changes nothing; who guides whom through the stream; eight and sixteen times; what is
refused. What it shares with StableVSR is tested there."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from reads import unread_fields
from realis.commands.__main__ import run_upscale
from realis.commands.upscale import upscale as upscale_command
from realis.comparators.dgaf_vsr import upscaler as upscaler_module
from realis.comparators.dgaf_vsr.config import DgafVsrConfig
from realis.comparators.dgaf_vsr.method import METHOD
from realis.comparators.dgaf_vsr.upscaler import DgafVsrUpscaler
from realis.comparators.sd_x4.canvas import CanvasSdX4
from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.guided_upscaler import BEFORE
from realis.comparators.sd_x4.method import METHOD as SD_X4
from realis.core.errors import InputError
from realis.methods.flags import parse_upscale
from realis.ops.pixels import planes_to_image, to_uint8
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement
from small_basicvsr import moving_clip
from small_dgaf_vsr import save_small_dgaf_vsr
from small_guided import SIZE, upscaled

CLIP = moving_clip(3, *SIZE)
PLAIN = Placement()
WEIGHTS = "guiding_unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(sd_x4_folder, tmp_path_factory):
    """The small upscaler with a network that matters."""
    return save_small_dgaf_vsr(sd_x4_folder, tmp_path_factory.mktemp("dgaf_vsr") / "model")


@pytest.fixture
def copied(folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(folder, tmp_path / "model")


def loaded(folder, placement=PLAIN, **flags):
    return METHOD.load(DgafVsrConfig(model=str(folder), **{"steps": 3, **flags}), placement, [""])


@pytest.fixture(scope="module")
def upscaler(folder):
    return loaded(folder)


def told(upscaler, batch=1, **flags):
    """The same networks with other flags, of those that decide nothing about how networks are loaded."""
    config, model = replace(upscaler.config, **flags), replace(upscaler.model, batch=batch)
    return DgafVsrUpscaler(model, upscaler.guiding, upscaler.estimate_flow, config, METHOD.needs(config, False))


@pytest.fixture(scope="module")
def result(upscaler):
    """What it makes of the clip."""
    return upscaled(upscaler, CLIP)


@pytest.fixture(scope="module")
def alone(sd_x4_folder):
    """What the upscaler alone makes of the clip."""
    return upscaled(SD_X4.load(SdX4Config(str(sd_x4_folder), steps=3, sampler="ddpm"), PLAIN, [""]), CLIP)


def test_a_new_network_changes_nothing(sd_x4_folder, tmp_path, upscaler, result, alone):
    """A video is that of the upscaler alone, to the last bit, until the network has learned."""
    new = loaded(save_small_dgaf_vsr(sd_x4_folder, tmp_path / "model", gain=0))
    for strategy, step in (("bidirectional", "previous"), ("bidirectional", "same"), ("unidirectional", "previous")):
        assert torch.equal(upscaled(told(new, strategy=strategy, guidance_step=step), CLIP), alone)
    assert torch.equal(upscaled(told(upscaler, strategy="single-frame"), CLIP), alone)
    assert (result - alone).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_a_network_may_lie_elsewhere(sd_x4_folder, folder):
    """In a folder of its own, or in that of another model."""
    for guiding in (folder, folder / "guiding_unet"):
        needs = METHOD.needs(DgafVsrConfig(model=str(sd_x4_folder), guiding_unet=str(guiding)), False)
        assert needs.weights["model"] == sd_x4_folder and needs.weights["guiding_unet"] == folder / "guiding_unet"


def test_a_smaller_network_guides_as_well(sd_x4_folder, tmp_path, alone):
    smaller = save_small_dgaf_vsr(sd_x4_folder, tmp_path / "model", attention=False, encoder_only=True)
    assert (upscaled(loaded(smaller), CLIP) - alone).abs().max() > 0.01


# Who is guided by whom, through the stream


@pytest.fixture
def visits(monkeypatch):
    """Of each segment: the estimates by step and frame, (step, frame, neighbour, latents) of all that guides, the calls
    (step, frames, whether they are guided), the latents of the frame before it, and those that it ends with."""
    segments, sample = [], DgafVsrUpscaler.sample

    def recorded(self, predict, guidance, z, noise, before):
        numbers = {step.timestep: number for number, step in enumerate(self.model.steps)}
        segment, waiting, made = SimpleNamespace(estimates={}, guides=[], calls=[], before=before), [], {}

        def noted_guidance(latents, frame, neighbour):
            waiting.append((frame, neighbour, latents))
            made[frame] = guidance(latents, frame, neighbour)
            return made[frame]

        def noted_predict(frames, z, timestep, aligned):
            number = numbers[timestep]
            segment.guides += [(number, *guide) for guide in waiting]
            waiting.clear()
            assert aligned is None or torch.equal(aligned, torch.cat([made[frame] for frame in frames]))
            v = predict(frames, z, timestep, aligned)
            clean = self.model.steps[number].clean(z, v).split(1)
            segment.estimates |= {(number, frame): x0 for frame, x0 in zip(frames, clean, strict=True)}
            segment.calls.append((number, list(frames), aligned is not None))
            return v

        segment.latents = sample(self, noted_predict, noted_guidance, z, noise, before)
        segments.append(segment)
        return segment.latents

    monkeypatch.setattr(DgafVsrUpscaler, "sample", recorded)
    return segments


def pairs(segment):
    return [guide[:3] for guide in segment.guides]


@pytest.mark.parametrize(
    ("flags", "first", "second"),
    [
        ({}, [(1, 0, 1), (2, 1, 0)], [(0, 0, BEFORE), (1, 0, 1), (2, 0, BEFORE), (2, 1, 0)]),
        (
            {"strategy": "unidirectional"}, [(1, 1, 0), (2, 1, 0)],
            [(0, 0, BEFORE), (1, 0, BEFORE), (1, 1, 0), (2, 0, BEFORE), (2, 1, 0)],
        ),
        (
            {"guidance_step": "same"}, [(0, 1, 0), (1, 0, 1), (2, 1, 0)],
            [(0, 0, BEFORE), (0, 1, 0), (1, 0, 1), (2, 0, BEFORE), (2, 1, 0)],
        ),
    ],
)  # fmt: skip
def test_what_guides_is_the_neighbours_estimate_of_the_step_that_is_named(upscaler, visits, flags, first, second):
    """Of segments of two frames, in three steps."""
    upscaled(told(upscaler, segment_frames=2, **flags), torch.cat((CLIP, CLIP[:1])))
    assert [sorted(pairs(segment)) for segment in visits] == [first, second]
    back = 0 if "guidance_step" in flags else 1
    for segment in visits:
        for step, _, neighbour, latents in segment.guides:
            expected = segment.before if neighbour == BEFORE else segment.estimates[step - back, neighbour]
            torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(visits[1].before, visits[0].latents[-1])


def test_the_frames_of_a_step_are_predicted_together(upscaler, result, visits):
    """Those that are guided, and the others; however many of them a batch has, they come out as one by one."""
    sizes, together = [], told(upscaler, batch=3)
    handle = together.model.unet.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    torch.testing.assert_close(upscaled(together, CLIP), result, atol=1e-5, rtol=0)
    handle.remove()
    assert visits[0].calls == [
        (0, [0, 1, 2], False), (1, [1, 0], True), (1, [2], False), (2, [1, 2], True), (2, [0], False)
    ]  # fmt: skip
    assert sizes == [3, 2, 1, 2, 1]


# Flow, alignment, tiles


@pytest.mark.parametrize("flags", [{"rescaling": "bicubic"}, {"rescaling": "off"}, {"warp_grid": "stablevsr"}])
def test_how_a_frame_is_guided_matters(upscaler, result, flags):
    assert (upscaled(told(upscaler, **flags), CLIP) - result).abs().max() > 0.01


@pytest.mark.parametrize("frames", ["nearest", "bicubic", "lr"])
def test_flow_is_estimated_on_frames_that_are_enlarged_as_told(upscaler, frames):
    """Those of the canvas: of 5x7 pixels, 6x8."""
    clip, seen = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)), []

    def estimate(a, b):
        seen.append((a, b))
        return torch.zeros(1, 2, *a.shape[-2:])

    other = told(upscaler, strategy="unidirectional", **({"flow_frames": frames} if frames != "nearest" else {}))
    other.estimate_flow = estimate
    upscaled(other, clip)
    canvas = torch.nn.functional.pad(clip, (0, 1, 0, 1), mode="replicate")
    enlarged = {
        "nearest": canvas.repeat_interleave(4, -1).repeat_interleave(4, -2),
        "bicubic": resize(canvas, (24, 32)).clamp(0, 1), "lr": canvas,
    }  # fmt: skip
    ((a, b),) = seen
    assert torch.equal(a[0], enlarged[frames][1]) and torch.equal(b[0], enlarged[frames][0])


def test_a_tile_is_guided_by_its_own_window(upscaler, monkeypatch):
    """Of the aligned latents of whole frames."""
    whole, seen, guide = torch.arange(960.0).view(1, 1, 24, 40).expand(1, 4, -1, -1), [], DgafVsrUpscaler.guide
    monkeypatch.setattr(DgafVsrUpscaler, "guide", lambda self, aligned: seen.append(aligned) or guide(self, aligned))
    monkeypatch.setattr(upscaler_module, "align", lambda *given: whole)
    flags = {"tile_height": 64, "tile_width": 64, "tile_overlap": 16, "strategy": "unidirectional"}
    upscaled(told(upscaler, **flags), moving_clip(2, 24, 40))
    tiles = list(plan_tiles((96, 160), (64, 64), 16, 8).in_cells(4))
    assert len(tiles) == 6 and len(seen) == 12  # of the second frame, at the second and the third step
    assert all(torch.equal(aligned, tile.of(whole)) for tile, aligned in zip(2 * tiles, seen, strict=True))


# Eight and sixteen times


@pytest.fixture
def canvases(monkeypatch):
    """The LR that sampling has seen, and the scale and the size of latents of every alignment."""
    seen = SimpleNamespace(lr=[], aligned=[])
    lr, align = CanvasSdX4.lr, upscaler_module.align

    def noted_lr(self, frames, noise):
        seen.lr.append(frames)
        return lr(self, frames, noise)

    def noted_align(latents, flow, scale, config):
        seen.aligned.append((scale, *latents.shape[-2:]))
        return align(latents, flow, scale, config)

    monkeypatch.setattr(CanvasSdX4, "lr", noted_lr)
    monkeypatch.setattr(upscaler_module, "align", noted_align)
    return seen


@pytest.mark.parametrize("scale", [8, 16])
def test_beyond_four_times_the_lr_is_enlarged_to_a_fourth_first(upscaler, canvases, scale):
    """The frame before a segment as well; alignment is told how often the whole is enlarged."""
    fourth, seen = (2 * scale, 3 * scale), []
    other = told(upscaler, segment_frames=1, strategy="unidirectional", flow_frames="lr", scale=scale)
    other.estimate_flow = lambda a, b: seen.append((b, a)) or torch.zeros(1, 2, *fourth)
    result, expected = upscaled(other, CLIP[:2], scale=scale), resize(CLIP[:2], fourth).clamp(0, 1)
    assert result.shape == (2, 3, scale * SIZE[0], scale * SIZE[1])
    assert torch.equal(torch.cat(canvases.lr), expected) and torch.equal(torch.cat(seen[0]), expected)
    assert (
        canvases.aligned == [(scale, *fourth)] and len(seen) == 1
    )  # once for all steps, as the frame before is finished


def test_other_sizes_are_resized_from_the_scale_that_is_given(upscaler):
    other = told(upscaler, strategy="single-frame", scale=8)
    eight, six = (upscaled(other, CLIP[:2], scale=scale) for scale in (8, 6))
    assert torch.equal(six, resize(eight, (48, 72)).clamp(0, 1))
    for scale, needs in ((4, upscaler.needs), (8, other.needs)):
        assert {needs.native_size(SIZE, (n * 8, n * 12)) for n in (2, 4, 5, 8, 9)} == {(8 * scale, 12 * scale)}


def test_the_command_makes_six_times_and_reads_every_flag(folder, tmp_path):
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(moving_clip(2, 6, 9)):
        Image.fromarray(planes_to_image(to_uint8(frame))).save(tmp_path / "in" / f"{number}.png")
    config = parse_upscale([
        "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--target", "6x", "--device", "cpu",
        "--dtype", "float32", "--method", "dgaf_vsr", "--dgaf-vsr.model", str(folder), "--dgaf-vsr.steps", "2",
        "--dgaf-vsr.guidance", "2", "--dgaf-vsr.scale", "8",
    ])  # fmt: skip
    with unread_fields(DgafVsrConfig) as unread:
        upscale_command(config)
    assert unread == set()
    key = json.loads((tmp_path / "out.json").read_text())["made from"]
    assert key["dgaf-vsr.guidance_step"] == "previous" and "content of --dgaf-vsr.guiding_unet" in key
    for number in range(2):
        picture = np.asarray(Image.open(tmp_path / "out" / f"{number}.png"))
        assert picture.shape == (36, 54, 3) and picture.std() > 10


# Noise levels, placements


def test_noise_levels_may_be_left_out(copied, upscaler):
    off = loaded(copied, noise_level="off")
    assert off.guiding.unet.class_embedding is None and off.guiding.config.unet_config["num_class_embeds"] is None
    expected = upscaled(off, CLIP)
    weights = load_file(copied / WEIGHTS)
    del weights["unet.class_embedding.weight"]
    save_file(weights, copied / WEIGHTS, {"format": "pt"})
    change_config(copied, num_class_embeds=None)
    assert torch.equal(upscaled(loaded(copied, noise_level="off"), CLIP), expected)
    levels_of_the_frozen_one_alone = upscaled(loaded(copied), CLIP)
    assert (levels_of_the_frozen_one_alone - expected).abs().max() > 0.01


@pytest.mark.parametrize("placement", [Placement(offload=True), Placement(dtype="bfloat16"), Placement(fp8=True)])
def test_placements_change_little(folder, result, placement):
    upscaler = loaded(folder, placement)
    assert upscaler.guiding.dtype == getattr(torch, placement.dtype)
    difference = (upscaled(upscaler, CLIP) - result).abs()
    assert difference.mean() <= (1e-6 if placement.offload else 0.1)
    assert placement.offload or difference.max() > 0


# Refusals


def change_config(folder, **changes):
    """Change the configuration of the U-Net of the guiding network in ``folder``."""
    file = folder / "guiding_unet" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"unet_config": config["unet_config"] | changes}))


def refused(folder, message, load=False, placement=PLAIN, **flags):
    with pytest.raises(InputError, match=message) as stop:
        config = DgafVsrConfig(model=str(folder), **{"steps": 2, **flags})
        METHOD.load(config, placement, [""]) if load else METHOD.needs(config, False)
    assert "\n" not in str(stop.value)


def test_a_model_without_a_guiding_network_is_refused(sd_x4_folder, folder):
    flag = "^--dgaf-vsr.guiding-unet: "
    refused(sd_x4_folder, rf"{flag}.* has no guiding U-Net \(a GuidingUNet, in its folder guiding_unet\)")
    refused(folder, f"{flag}got 'nowhere', which is no folder", guiding_unet="nowhere")
    refused(folder, f"{flag}{folder / 'unet'} has no guiding U-Net", guiding_unet=str(folder / "unet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 7}, "in_channels: got 7, wanted 11: latents, LR and aligned latents"),
        ({"out_channels": 3}, "out_channels: got 3, wanted 4, as the UNet of .*model has"),
        ({"block_out_channels": [8, 8]}, r"block_out_channels: got \[8, 8\], wanted \[8, 16\], as the UNet"),
        ({"cross_attention_dim": 32}, "cross_attention_dim: got 32, wanted 16, as the UNet"),
        ({"layers_per_block": 2}, "layers_per_block: got 2, wanted 1, as the UNet"),
    ],
)
def test_a_network_for_another_one_is_refused(copied, change, message):
    change_config(copied, **change)
    refused(copied, f"^--dgaf-vsr.guiding-unet .*guiding_unet: {message}")


@pytest.mark.parametrize("config", [None, [1], "U-Net"])
def test_a_network_without_a_configuration_is_refused(copied, config):
    file = copied / "guiding_unet" / "config.json"
    content = json.loads(file.read_text())
    del content["unet_config"]
    file.write_text(json.dumps(content | ({} if config is None else {"unet_config": config})))
    refused(copied, "^--dgaf-vsr.guiding-unet .*: unet_config: got .*, wanted the configuration of a U-Net")


@pytest.mark.parametrize(
    "change", [{"mid_block_type": "UNetMidBlock2D"}, {"down_block_types": ["none"] * 2}, {"norm_num_groups": "four"}]
)
def test_a_configuration_that_is_not_that_of_the_weights_is_refused(copied, change):
    change_config(copied, **change)
    refused(copied, f"^{copied / 'guiding_unet'}: ", load=True)


def test_weights_that_do_not_fit_are_refused(copied):
    file = copied / WEIGHTS
    whole = load_file(file)
    for tensors, said in (
        ({name: tensor for name, tensor in whole.items() if name != "zero_convs.0.bias"}, "1 missing keys"),
        (whole | {"other": torch.zeros(1)}, "1 unexpected keys"),
        (whole | {"zero_convs.0.bias": torch.zeros(3)}, ""),
    ):
        save_file(tensors, file, {"format": "pt"})
        refused(copied, f"{copied / 'guiding_unet'}.*{said}", load=True)
    file.write_bytes(file.read_bytes()[:100])
    refused(copied, f"{file}: damaged")
    file.unlink()
    refused(copied, "no safetensors weights there")


def test_a_level_that_the_network_was_not_made_for_is_refused(copied):
    """Also where the model's files name it, and the flags do not."""
    change_config(copied, num_class_embeds=20)
    message = "^--dgaf-vsr.noise-level: got {}, wanted up to 19, which is what .*guiding_unet was made for, or off"
    refused(copied, message.format(20))
    refused(copied, message.format(50), noise_level=50)
    for level in (19, "off"):
        METHOD.needs(DgafVsrConfig(model=str(copied), noise_level=level), False)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"rescaling_factor": 0.5}, "--dgaf-vsr.rescaling-factor: got 0.5, wanted 1 to 16, or 0"),
        ({"rescaling_factor": 17.0}, "--dgaf-vsr.rescaling-factor: got 17.0, wanted 1 to 16, or 0"),
        ({"rescaling_factor": -1.0}, "--dgaf-vsr.rescaling-factor: got -1.0, wanted 1 to 16, or 0"),
        ({"rescaling_factor": float("nan")}, "--dgaf-vsr.rescaling-factor: got nan, wanted 1 to 16, or 0"),
        (
            {"rescaling": "off", "rescaling_factor": 4.0},
            "--dgaf-vsr.rescaling-factor: got 4.0, wanted nothing with --dgaf-vsr.rescaling off",
        ),
        ({"tile_width": 100}, "--dgaf-vsr.tile-width: got 100, wanted a multiple of 8"),
    ],
)
def test_flags_that_contradict_are_refused(folder, flags, message):
    refused(folder, f"^{message}", **flags)


@pytest.mark.parametrize("setting", [{"attention": "flash"}, {"compile": True}])
def test_what_is_not_for_these_networks_is_refused(folder, setting):
    (name,) = setting
    refused(folder, f"^--{name}: --method dgaf_vsr does not use it", load=True, placement=Placement(**setting))


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [("guidance-step", ("previous", "same")), ("rescaling", ("nearest", "bicubic", "off"))],
)
def test_a_value_that_is_none_of_the_choices_is_refused(flag, wanted, capsys):
    with pytest.raises(SystemExit) as stop:
        run_upscale(["--input", "in.png", "--method", "dgaf_vsr", f"--dgaf-vsr.{flag}", "both"])
    lines = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and len(lines) == 1 and lines[0].startswith("realis: ")
    assert all(word in lines[0] for word in (f"--dgaf-vsr.{flag}", "both", *wanted))


def test_the_network_of_the_tiny_model_is_found_by_its_name():
    assert METHOD.needs(DgafVsrConfig(), False).weights["guiding_unet"].parts[-2:] == ("dgaf_vsr_tiny", "guiding_unet")


def test_the_plan_tells_how_frames_are_guided(upscaler):
    words = "bidirectional, 3 steps of ddpm, noise level 20, VAE in float32, flow by Farneback, guided by the previous step's estimate"
    assert upscaler.needs.sampling == words and upscaler.needs.scales == (4,)
