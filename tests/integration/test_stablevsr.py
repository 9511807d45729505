"""StableVSR as a method: a new module changes nothing; its stream, tiles, cuts and carries; what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import avg_pool2d, interpolate

from reads import unread_fields
from realis.commands.__main__ import run_upscale
from realis.commands.upscale import upscale as upscale_command
from realis.comparators.sd_x4.config import SdX4Config
from realis.comparators.sd_x4.guided_config import Strategy
from realis.comparators.sd_x4.guided_upscaler import BEFORE
from realis.comparators.sd_x4.method import METHOD as SD_X4
from realis.comparators.stablevsr import upscaler as upscaler_module
from realis.comparators.stablevsr.config import StableVsrConfig
from realis.comparators.stablevsr.method import METHOD
from realis.comparators.stablevsr.sampling import sample_frames
from realis.comparators.stablevsr.upscaler import StableVsrUpscaler
from realis.core.errors import InputError
from realis.data.photographs import photograph
from realis.methods.flags import parse_upscale
from realis.models.optical_flow.spynet import SpyNet
from realis.models.parts import load_part
from realis.ops.pixels import planes_to_image, to_uint8
from realis.ops.resize import resize
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement
from realis.upscaling.app.plan import weights_memory
from realis.upscaling.stream import segment_noise
from realis.video.fingerprint import fingerprint
from small_basicvsr import moving_clip, small_weights
from small_guided import SIZE, segments_of, upscaled
from small_stablevsr import enlarged_cells, save_small_stablevsr, small_tcm

STRATEGIES = get_args(Strategy)
PLAIN = Placement()
TCM_WEIGHTS = "controlnet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(sd_x4_folder, tmp_path_factory):
    """The small upscaler with a module that matters."""
    return save_small_stablevsr(sd_x4_folder, tmp_path_factory.mktemp("stablevsr") / "model")


@pytest.fixture(scope="module")
def new_folder(sd_x4_folder, tmp_path_factory):
    """The small upscaler with a new module."""
    return save_small_stablevsr(sd_x4_folder, tmp_path_factory.mktemp("new") / "model", gain=0)


@pytest.fixture
def copied(folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(folder, tmp_path / "model")


@pytest.fixture(scope="module")
def spynet_file(tmp_path_factory):
    """Weights of a small BasicVSR, for their optical flow."""
    file = tmp_path_factory.mktemp("flow") / "basicvsr.safetensors"
    save_file(small_weights(), file)
    return file


def loaded(folder, placement=PLAIN, **flags):
    return METHOD.load(StableVsrConfig(model=str(folder), **{"steps": 2, **flags}), placement, [""])


@pytest.fixture(scope="module")
def upscaler(folder):
    return loaded(folder)


@pytest.fixture(scope="module")
def result(upscaler):
    """What it makes of two frames."""
    return upscaled(upscaler, CLIP[:2])


def told(upscaler, **flags):
    """The same networks with other flags, of those that decide nothing about how networks are loaded."""
    config = replace(upscaler.config, **flags)
    return StableVsrUpscaler(upscaler.model, upscaler.tcm, upscaler.estimate_flow, config, METHOD.needs(config, False))


CLIP = moving_clip(3, *SIZE)


@pytest.fixture(scope="module")
def alone(sd_x4_folder):
    """What the upscaler alone makes of the clip."""
    return upscaled(SD_X4.load(SdX4Config(str(sd_x4_folder), steps=2, sampler="ddpm"), PLAIN, [""]), CLIP)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_new_module_changes_nothing(new_folder, upscaler, alone, strategy):
    """Frames are those of the upscaler alone, to the last bit, until the module has learned."""
    assert torch.equal(upscaled(loaded(new_folder, strategy=strategy), CLIP), alone) and alone.std() > 0.1
    changed = (upscaled(told(upscaler, strategy=strategy), CLIP) - alone).abs().amax(dim=(1, 2, 3))
    assert changed[1:].min() > 0.05 if strategy != "single-frame" else changed.max() == 0
    assert (changed[0] > 0) == (strategy == "bidirectional")  # only there is the first frame ever guided


def test_a_new_module_changes_nothing_with_guidance_by_prompts(sd_x4_folder, new_folder):
    flags = {"steps": 2, "guidance": 3.0, "negative_prompt": "blurry"}
    expected = SD_X4.load(SdX4Config(str(sd_x4_folder), **flags), PLAIN, [""])
    assert torch.equal(upscaled(loaded(new_folder, sampler="ddim", **flags), CLIP), upscaled(expected, CLIP))


def test_a_module_is_saved_and_loaded(folder):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    written, read = small_tcm(unet).state_dict(), load_part(ControlNetModel, folder / "controlnet", torch.float32)
    assert written.keys() == read.state_dict().keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in read.state_dict().items())


def test_a_module_may_lie_elsewhere(sd_x4_folder, folder, upscaler):
    """In a folder of its own, or in that of another model."""
    expected = upscaled(upscaler, CLIP)
    for tcm in (folder, folder / "controlnet"):
        assert torch.equal(upscaled(loaded(sd_x4_folder, tcm=str(tcm)), CLIP), expected)


# Who is guided by whom, through the stream


@pytest.fixture
def guides(monkeypatch):
    """(step, frame, neighbour) of all that is guided, numbered in its segment, with what is shown; then None and the latents
    of the segment."""
    entries = []

    def recorded(predict, guidance, z, steps, *rest):
        numbers, shown = {step.timestep: number for number, step in enumerate(steps)}, []

        def noted_guidance(latents, frame, neighbour):
            shown.append((frame, neighbour, latents))
            return guidance(latents, frame, neighbour)

        def noted_predict(frame, z, timestep, texture):
            assert (texture is None) == (not shown)
            entries.extend((numbers[timestep], *shown.pop()) for _ in range(len(shown)))
            return predict(frame, z, timestep, texture)

        latents = sample_frames(noted_predict, noted_guidance, z, steps, *rest)
        entries.append((None, latents))
        return latents

    monkeypatch.setattr(upscaler_module, "sample_frames", recorded)
    return entries


def orders(entries):
    """Of each segment, (step, frame, neighbour) in their order."""
    segments = [[]]
    for entry in entries:
        if entry[0] is None:
            segments.append([])
        else:
            segments[-1].append(entry[:3])
    return segments[:-1]


def test_a_finished_frame_guides_the_next_one_at_every_step(upscaler, guides):
    upscaled(told(upscaler, strategy="auto-regressive"), CLIP)
    assert orders(guides) == [[], *[[(0, 0, BEFORE), (1, 0, BEFORE)]] * 2]
    finished = [entry[1] for entry in guides if entry[0] is None]
    shown = [entry[3] for entry in guides if entry[0] is not None]
    assert all(torch.equal(latents, finished[i // 2][0]) for i, latents in enumerate(shown)) and len(shown) == 4


def test_the_frame_before_a_segment_guides_it_in_the_forward_direction_only(folder, guides):
    """Of segments of two frames, in three steps."""
    upscaled(loaded(folder, segment_frames=2, steps=3), torch.cat((CLIP, CLIP[:1])))
    first = [(0, 1, 0), (1, 0, 1), (2, 1, 0)]
    second = [(0, 0, BEFORE), (0, 1, 0), (1, 0, 1), (2, 0, BEFORE), (2, 1, 0)]
    assert orders(guides) == [first, second]


def test_what_a_segment_carries_is_its_last_frame(upscaler, guides):
    segments = segments_of(told(upscaler, segment_frames=2), CLIP)
    finished = [entry[1] for entry in guides if entry[0] is None]
    for segment, frame, latents in zip(segments, (1, 2), finished, strict=True):
        assert segment.carry.keys() >= {"frame", "latents"}
        assert torch.equal(segment.carry["frame"], CLIP[frame])
        assert torch.equal(segment.carry["latents"], latents[-1][0])
    assert "latents" not in segments_of(told(upscaler, strategy="single-frame"), CLIP)[0].carry


def test_a_segment_matters_only_where_frames_wait_for_each_other(upscaler):
    def of(strategy, frames):
        return upscaled(told(upscaler, strategy=strategy, segment_frames=frames), CLIP)

    one_by_one = of("auto-regressive", 1)
    assert torch.equal(of("auto-regressive", 8), one_by_one)
    assert torch.equal(of("unidirectional", 1), one_by_one)
    assert (of("unidirectional", 3) - one_by_one).abs().max() > 0.01
    assert torch.equal(of("single-frame", 1), of("single-frame", 3))


@pytest.mark.parametrize("strategy", ["auto-regressive", "bidirectional"])
def test_a_cut_ends_the_guidance(upscaler, strategy):
    """The second shot is as without the first."""
    first = moving_clip(3, 16, 24)
    second = first[:2].flip(-1, -2)
    upscaler = told(upscaler, strategy=strategy)
    segments = segments_of(upscaler, torch.cat((first, second)), across_cuts=False)
    whole, cut = torch.cat([segment.frames for segment in segments]), next(s for s in segments if s.cut)
    assert cut.start + len(cut.frames) == 3 and cut.carry == {}
    assert torch.equal(whole[3:], upscaled(upscaler, second, start=3, across_cuts=False))
    across = upscaled(upscaler, torch.cat((first, second)))
    assert (across[3:] - whole[3:]).abs().amax(dim=(1, 2, 3)).min() > 0.01


# Flow, tiles


@pytest.mark.parametrize(
    ("flags", "size", "pairs"),
    [
        ({"strategy": "unidirectional", "flow_frames": "bicubic"}, (24, 32), [(1, 0), (2, 1)]),
        ({"strategy": "unidirectional", "flow_frames": "nearest"}, (24, 32), [(1, 0), (2, 1)]),
        ({"strategy": "bidirectional", "flow_frames": "lr"}, (6, 8), [(0, 1), (1, 0), (1, 2), (2, 1)]),
        ({"strategy": "unidirectional", "mask_occlusion": True}, (24, 32), [(0, 1), (1, 0), (1, 2), (2, 1)]),
        ({"strategy": "single-frame"}, (24, 32), []),
    ],
)
def test_flow_goes_from_a_frame_to_its_neighbour_and_is_estimated_once(upscaler, flags, size, pairs):
    """Between frames that are extended to the canvas: of 5x7 pixels, 6x8."""
    clip, estimated = torch.rand(3, 3, 5, 7, generator=torch.Generator().manual_seed(0)), []

    def estimate(a, b):
        assert a.shape == b.shape == (1, 3, *size)
        estimated.append((number_of(a), number_of(b)))
        return torch.zeros(1, 2, *size)

    def number_of(frame):
        """Which frame of the clip it shows."""
        return int((interpolate(frame, (6, 8), mode="area")[..., :5, :7] - clip).abs().mean(dim=(1, 2, 3)).argmin())

    upscaler = told(upscaler, **flags)
    upscaler.estimate_flow = estimate
    upscaled(upscaler, clip)
    assert sorted(estimated) == pairs


def test_flow_is_that_of_the_weights_that_are_named(folder, upscaler, spynet_file):
    spynet = loaded(folder, flow_weights=str(spynet_file))
    assert isinstance(spynet.estimate_flow, SpyNet) and "flow by Farneback" in upscaler.needs.sampling
    assert "flow by basicvsr.safetensors" in spynet.needs.sampling
    assert (upscaled(spynet, CLIP) - upscaled(upscaler, CLIP)).abs().max() > 0.01


@pytest.mark.parametrize(
    "flags",
    [{"guidance_on": "xt"}, {"motion_compensation": "latents"}, {"motion_compensation": "off"},
     {"warp_grid": "stablevsr"}, {"mask_occlusion": True}, {"flow_frames": "lr"}],
)  # fmt: skip
def test_how_a_frame_is_guided_matters(upscaler, result, flags):
    assert (upscaled(told(upscaler, **flags), CLIP[:2]) - result).abs().max() > 0.01


class Pixelwise(torch.nn.Module):
    """In place of the UNet: every cell for itself, with what the module adds."""

    class_embedding, dtype = None, torch.float32

    def forward(
        self, sample, timestep, encoder_hidden_states, class_labels, down_block_additional_residuals=(0,),
        mid_block_additional_residual=0,
    ):  # fmt: skip
        z, lr = sample[:, :4], sample[:, 4:]
        guided = z + lr.mean(dim=1, keepdim=True) + down_block_additional_residuals[0] + mid_block_additional_residual
        return SimpleNamespace(sample=torch.tanh(guided) * timestep.view(-1, 1, 1, 1) / 1000)


class PixelwiseTcm(torch.nn.Module):
    """In place of the module: the guidance, four by four pixels a cell."""

    class_embedding = None

    def forward(self, sample, timestep, encoder_hidden_states, controlnet_cond, class_labels, return_dict):
        cells = avg_pool2d(controlnet_cond, 4)
        assert cells.shape[-2:] == sample.shape[-2:]
        return [cells.mean(dim=1, keepdim=True)], sample[:, :1] * cells[:, :1]


class Enlarging(torch.nn.Module):
    """In place of the VAE: every cell becomes a square."""

    config, dtype = SimpleNamespace(scaling_factor=1.0), torch.float32

    def decode(self, latents):
        return SimpleNamespace(sample=enlarged_cells(latents))


@pytest.mark.parametrize(("size", "count"), [((24, 40), 6), ((10, 37), 3)])
def test_a_tile_is_guided_by_its_own_window(upscaler, size, count):
    """So that tiles are the whole where no cell sees another; the flow is that of whole frames."""
    clip = moving_clip(3, *size)
    assert len(plan_tiles((4 * size[0], 4 * size[1]), (64, 64), 16, 8)) == count

    def pixelwise(tile, strategy="bidirectional"):
        cells = told(upscaler, tile_height=tile, tile_width=tile, tile_overlap=16, strategy=strategy)
        cells.model, cells.tcm = replace(cells.model, unet=Pixelwise(), vae=Enlarging()), PixelwiseTcm()
        return upscaled(cells, clip)

    whole = pixelwise(512)
    torch.testing.assert_close(pixelwise(64), whole, atol=1e-5, rtol=0)
    assert (pixelwise(512, "single-frame") - whole).abs().max() > 0.1  # guidance matters


# Noise levels, placements


def without_levels(part, folder, **config):
    """Write a network again without its embedding of noise levels."""
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    del weights["class_embedding.weight"]
    network = part.from_config(part.load_config(folder) | {"num_class_embeds": None} | config)
    network.load_state_dict(weights)
    network.save_pretrained(folder)


def test_noise_levels_may_be_left_out_of_the_network_or_of_both(copied):
    """A network without noise levels takes a module with or without."""
    off = loaded(copied, noise_level="off")
    assert off.needs.settings["noise_level"] == "off" and off.tcm.class_embedding is None
    expected = upscaled(off, CLIP)
    assert (upscaled(loaded(copied), CLIP) - expected).abs().max() > 0.01
    without_levels(UNet2DConditionModel, copied / "unet")
    assert torch.equal(upscaled(loaded(copied), CLIP), expected)
    without_levels(ControlNetModel, copied / "controlnet")
    assert torch.equal(upscaled(loaded(copied), CLIP), expected)


@pytest.mark.parametrize("placement", [Placement(offload=True), Placement(dtype="bfloat16"), Placement(fp8=True)])
def test_placements_change_little(folder, result, placement):
    upscaler = loaded(folder, placement)
    assert upscaler.model.vae.dtype == torch.float32
    assert upscaler.tcm.dtype == getattr(torch, placement.dtype)
    difference = (upscaled(upscaler, CLIP[:2]) - result).abs()
    assert difference.mean() <= (1e-6 if placement.offload else 0.1)
    assert placement.offload or difference.max() > 0


# Files, flags, commands


def test_only_what_is_read_counts_and_all_of_it(copied, sd_x4_folder, spynet_file):
    def counted(**flags):
        needs = METHOD.needs(StableVsrConfig(model=str(copied), **flags), False)
        return weights_memory(needs), {
            name: fingerprint(path, needs.parts.get(path, ())) for name, path in needs.weights.items()
        }

    alone = weights_memory(SD_X4.needs(SdX4Config(str(sd_x4_folder)), False))
    memory, content = counted()
    assert memory == alone + (copied / TCM_WEIGHTS).stat().st_size
    assert counted(tcm=str(copied / "controlnet")) == (memory, content)
    with_flow, content_with_flow = counted(flow_weights=str(spynet_file))
    assert with_flow == memory + spynet_file.stat().st_size
    assert content_with_flow.keys() - content.keys() == {"flow_weights"}
    weights = load_file(copied / TCM_WEIGHTS)
    save_file({name: weight + 1 for name, weight in weights.items()}, copied / TCM_WEIGHTS, {"format": "pt"})
    other = counted()[1]
    assert {name for name in content if other[name] != content[name]} == {"tcm"}


def refused(folder, message, load=False, placement=PLAIN, **flags):
    config = StableVsrConfig(model=str(folder), **{"steps": 2, **flags})
    with pytest.raises(InputError, match=message) as stop:
        METHOD.load(config, placement, [""]) if load else METHOD.needs(config, False)
    assert "\n" not in str(stop.value)


def test_a_model_without_a_module_is_refused(sd_x4_folder, new_folder):
    refused(sd_x4_folder, r"^--stablevsr.tcm: .* has no Temporal Conditioning Module \(a ControlNetModel")
    refused(new_folder, "^--stablevsr.tcm: got 'nowhere', which is no folder", tcm="nowhere")
    unet = new_folder / "unet"
    refused(new_folder, f"^--stablevsr.tcm: {unet} has no Temporal Conditioning Module", tcm=str(unet))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 4}, "in_channels: got 4, wanted 7, as the UNet of .*model has"),
        ({"block_out_channels": [8, 8]}, r"block_out_channels: got \[8, 8\], wanted \[8, 16\], as the UNet"),
        ({"cross_attention_dim": 32}, "cross_attention_dim: got 32, wanted 16, as the UNet"),
        ({"layers_per_block": 2}, "layers_per_block: got 2, wanted 1, as the UNet"),
        ({"conditioning_embedding_out_channels": [4, 8]}, r"out_channels: got \[4, 8\], wanted 3 widths, for guidance four times"),
        ({"conditioning_embedding_out_channels": "4, 8"}, "out_channels: got '4, 8', wanted 3"),
        ({"conditioning_embedding_out_channels": None}, "out_channels: got None, wanted 3"),
        ({"_class_name": "CpcControlNet"}, "has no Temporal Conditioning Module"),
    ],
)  # fmt: skip
def test_a_module_of_another_network_is_refused(copied, change, message):
    file = copied / "controlnet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    refused(copied, f"^--stablevsr.tcm.*{message}")


def test_a_level_that_the_module_was_not_made_for_is_refused(copied):
    file = copied / "controlnet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_class_embeds": 20}))
    refused(
        copied, "^--stablevsr.noise-level: got 20, wanted up to 19, which is what .*controlnet was made for, or off"
    )
    METHOD.needs(StableVsrConfig(model=str(copied), noise_level=19), False)


def test_weights_of_a_module_that_do_not_fit_are_refused(copied):
    file = copied / TCM_WEIGHTS
    whole = load_file(file)
    name = next(iter(whole))
    for tensors, said in (
        ({k: v for k, v in whole.items() if k != name}, "1 missing"),
        (whole | {"other": torch.zeros(1)}, "1 unexpected"),
        (whole | {name: torch.zeros(1, 2, 3)}, ""),
    ):
        save_file(tensors, file, {"format": "pt"})
        refused(copied, f"{copied / 'controlnet'}.*{said}", load=True)
    file.write_bytes(file.read_bytes()[:100])
    refused(copied, f"{file}: damaged")
    file.unlink()
    refused(copied, "no safetensors weights there")


def test_wrong_weights_of_flow_are_refused(folder, tmp_path):
    refused(folder, "^--stablevsr.flow-weights none.pth: nothing there", flow_weights="none.pth")
    other = tmp_path / "other.safetensors"
    save_file({"other": torch.zeros(1)}, other)
    refused(folder, "^--stablevsr.flow-weights .*: got weights of another network", load=True, flow_weights=str(other))
    other.write_text("a web page")
    refused(folder, "^--stablevsr.flow-weights .*: is text", flow_weights=str(other))


def test_what_is_not_for_these_networks_is_refused(folder):
    refused(
        folder, "^--attention: --method stablevsr does not use it", load=True, placement=Placement(attention="flash")
    )
    refused(folder, "^--stablevsr.noise-level: got 1000, wanted up to 999", noise_level=1000)
    refused(folder, "^--stablevsr.tile-width: got 100, wanted a multiple of 8", tile_width=100)


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("strategy", STRATEGIES), ("guidance-on", ("x0", "xt")), ("motion-compensation", ("frames", "latents", "off")),
        ("warp-grid", ("exact", "stablevsr")), ("flow-frames", ("bicubic", "nearest", "lr")), ("sampler", ("ddim", "ddpm")),
    ],
)  # fmt: skip
def test_a_value_that_is_none_of_the_choices_is_refused(flag, wanted):
    words = ["--input", "in.png", "--method", "stablevsr", f"--stablevsr.{flag}", "both"]
    with pytest.raises(InputError) as stop:
        parse_upscale(words)
    said = str(stop.value)
    assert all(word in said for word in (f"--stablevsr.{flag}", "both", *wanted)) and "\n" not in said


def test_help_and_refusals_come_without_torch(sd_x4_folder, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    model = f"'--stablevsr.model', {str(sd_x4_folder)!r}"
    code = (
        "import sys\nfrom realis.commands.__main__ import run_upscale\n"
        f"for words in (['--help'], [{model}], [{model}, '--stablevsr.tcm', 'none'], ['--stablevsr.flow-weights', 'none'],\n"
        "              ['--stablevsr.strategy', 'both']):\n"
        "    try:\n        run_upscale(['--input', 'in.png', '--method', 'stablevsr', *words])\n"
        "    except SystemExit as stop:\n        print(stop.code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert "--stablevsr.flow-frames" in done.stdout and lines[0] == "0 False"
    assert lines[2::2] == ["2 False"] * 4 and all(line.startswith("realis: ") for line in lines[1::2])


def test_a_stopped_run_goes_on_to_the_same_frames_and_every_flag_is_read(folder, tmp_path, monkeypatch, capsys):
    """Of three times the size, in tiles, from the frame before the segment that was not finished."""
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(moving_clip(5, 6, 9)):
        Image.fromarray(planes_to_image(to_uint8(frame))).save(tmp_path / "in" / f"{number}.png")
    words = [
        "--input", str(tmp_path / "in"), "--target", "3x", "--device", "cpu", "--dtype", "float32", "--across-cuts",
        "--method", "stablevsr", "--stablevsr.model", str(folder), "--stablevsr.steps", "2", "--stablevsr.guidance", "2",
        "--stablevsr.segment-frames", "2", "--stablevsr.tile-width", "24", "--stablevsr.tile-overlap", "8",
    ]  # fmt: skip
    config = parse_upscale([*words, "--output", str(tmp_path / "whole")])  # the parser reads all fields
    with unread_fields(StableVsrConfig) as unread:
        upscale_command(config)
    assert unread == set()
    key = json.loads((tmp_path / "whole.json").read_text())["made from"]
    assert key["stablevsr.strategy"] == "bidirectional" and "content of --stablevsr.tcm" in key

    upscale_segment, carries = StableVsrUpscaler.upscale, []

    def stop_at_the_third(self, *arguments, **named):
        carries.append(named["carry"])
        if len(carries) == 3:
            raise KeyboardInterrupt
        return upscale_segment(self, *arguments, **named)

    monkeypatch.setattr(StableVsrUpscaler, "upscale", stop_at_the_third)
    with pytest.raises(SystemExit) as stopped:
        run_upscale([*words, "--output", str(tmp_path / "out")])
    assert stopped.value.code == 130 and not (tmp_path / "out").exists()
    run_upscale([*words, "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "3 segments of up to 2 frames, each in 2 tiles of 24x24" in said
    assert "bidirectional, 2 steps of ddpm, noise level 20, guidance 2" in said and "flow by Farneback" in said
    assert "going on from frame 4 of 5 of an earlier run" in said
    assert len(carries) == 4 and torch.equal(carries[3]["latents"], carries[2]["latents"])
    for number in range(5):
        got, wanted = (np.asarray(Image.open(tmp_path / name / f"{number}.png")) for name in ("out", "whole"))
        assert got.shape == (18, 27, 3) and got.std() > 10 and np.array_equal(got, wanted)


def test_the_module_of_the_tiny_model_is_found_by_its_name():
    assert METHOD.needs(StableVsrConfig(), False).weights["tcm"].parts[-2:] == ("stablevsr_tiny", "controlnet")


def film_of_known_motion(frames=5, size=(128, 160), step=8):
    """A photograph that stablevsr-tiny was not trained on, in front of a camera that moves by ``step`` pixels a frame, and
    its LR."""
    image = photograph("coffee.png")[:, 100:, 150:]
    hr = torch.stack([image[:, : size[0], step * i : step * i + size[1]] for i in range(frames)])
    return hr, resize(hr, (size[0] // 4, size[1] // 4)).clamp(0, 1)


def error_along_motion(frames, step=8):
    """Mean squared difference of each frame and the one before, along the motion that is known, away from the border."""
    after, before = frames[1:, :, 16:-16, : -2 * step], frames[:-1, :, 16:-16, step:-step]
    return (after - before).square().mean()


def test_frames_that_guide_each_other_are_steadier_along_a_known_motion():
    """Table 2 of the paper, by the small networks that are carried along."""
    hr, lr = film_of_known_motion()
    errors, quality = {}, {}
    for strategy in ("single-frame", "unidirectional", "bidirectional"):
        config = StableVsrConfig(strategy=strategy)
        upscaler = METHOD.load(config, Placement(), [""])
        tiles = plan_tiles(hr.shape[-2:], upscaler.needs.tile, 64, upscaler.needs.multiple)
        noise = segment_noise(upscaler.needs, 0, 0, len(lr), tiles)
        restored, _ = upscaler.upscale(
            lr, tuple(hr.shape[-2:]), tiles=tiles, noise=noise, carry={}, prompt="", advance=lambda share: None
        )
        errors[strategy], quality[strategy] = (
            float(error_along_motion(restored)),
            float((restored - hr).square().mean()),
        )
    assert error_along_motion(hr) < 1e-9
    assert errors["bidirectional"] < 0.95 * errors["single-frame"]
    assert quality["bidirectional"] < quality["single-frame"]
