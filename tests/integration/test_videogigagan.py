"""VideoGigaGAN as a method: what reaches which frame, noise, tiles, sizes, stopped runs, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import interpolate, pad

from reads import unread_fields
from realis.commands.__main__ import run_upscale
from realis.commands.upscale import upscale
from realis.comparators.videogigagan import upscaler as upscaler_module
from realis.comparators.videogigagan.config import VideoGigaGanConfig
from realis.comparators.videogigagan.method import METHOD
from realis.core.errors import InputError
from realis.methods.flags import parse_upscale
from realis.models.optical_flow.farneback import farneback
from realis.models.optical_flow.spynet import SpyNet
from realis.ops.pixels import planes_to_image, to_uint8
from realis.upscaler import Placement, Tiling
from realis.upscaling.stream import Frame, segment_noise, upscale_stream
from small_basicvsr import moving_clip, small_weights
from small_guided import segments_of, upscaled
from small_videogigagan import ALONE, flows_between, new_generator, save_small_videogigagan

PLAIN = Placement()
CLIP = 0.25 + moving_clip(6, 16, 24) / 2  # results are hardly clamped


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a small generator with all parts."""
    return save_small_videogigagan(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture(scope="module")
def temporal_model(tmp_path_factory):
    """That of one without propagation."""
    return save_small_videogigagan(tmp_path_factory.mktemp("temporal") / "model", propagation_channels=0)


@pytest.fixture(scope="module")
def image_model(tmp_path_factory):
    """That of one that enlarges each frame by itself."""
    return save_small_videogigagan(tmp_path_factory.mktemp("image") / "model", **ALONE)


@pytest.fixture(scope="module", params=[4, 8])
def scaled(request, tmp_path_factory):
    """The folder of a small generator with all parts, and its scale."""
    widths, folder = {4: (8, 4), 8: (8, 4, 4)}[request.param], tmp_path_factory.mktemp("scaled") / "model"
    return save_small_videogigagan(folder, upsampling_widths=widths), request.param


@pytest.fixture(scope="module")
def spynet_file(tmp_path_factory):
    """Weights of a small BasicVSR, for their optical flow."""
    file = tmp_path_factory.mktemp("flow") / "basicvsr.safetensors"
    save_file(small_weights(), file)
    return file


def loaded(folder, placement=PLAIN, **flags):
    return METHOD.load(VideoGigaGanConfig(model=str(folder), **flags), placement, [""])


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


# What reaches which frame


def moved(upscaler, *frames):
    """For each of some frames, which frames of the result are others where a pixel of it is."""
    result, answers = upscaled(upscaler, CLIP), []
    for frame in frames:
        changed = CLIP.clone()
        changed[frame, :, 8, 12] = 1 - changed[frame, :, 8, 12].round()
        answers.append(
            [bool((one != other).any()) for one, other in zip(upscaled(upscaler, changed), result, strict=True)]
        )
    return answers


def test_features_reach_all_chunks_of_a_segment(model, temporal_model):
    """In both directions; temporal attention alone does not see beyond its chunk."""
    flags = {"chunk_frames": 2, "segment_frames": 6, "segment_overlap": 0}
    assert moved(loaded(model, **flags), 0, 5) == [[True] * 6] * 2
    assert moved(loaded(temporal_model, **flags), 0, 5) == [[True] * 2 + [False] * 4, [False] * 4 + [True] * 2]


def test_features_reach_the_segments_that_come_after(model):
    """And those before by the frames that these look ahead to."""
    upscaler = loaded(model, chunk_frames=2, segment_frames=3, segment_overlap=1)
    assert moved(upscaler, 0, 4, 5) == [[True] * 6, [False] * 2 + [True] * 4, [False] * 4 + [True] * 2]


def test_a_frame_alone_is_enlarged_without_the_others(image_model):
    frames = [number == 3 for number in range(6)]
    assert moved(loaded(image_model, chunk_frames=2, segment_frames=6, segment_overlap=0), 3) == [frames]


def test_only_propagation_looks_ahead(model, temporal_model, image_model):
    needs = [METHOD.needs(VideoGigaGanConfig(str(folder)), False) for folder in (model, temporal_model, image_model)]
    kinds = [(needed.segments.frames, needed.segments.overlap, needed.segments.independent) for needed in needs]
    assert kinds == [(26, 6, False), (20, 0, False), (20, 0, True)]


def test_a_segment_carries_the_features_of_one_long_one(scaled):
    """In the forward direction, with the frame that they are of; a stream goes on from them to the same frames."""
    model, scale = scaled
    upscaler = loaded(model, chunk_frames=2, segment_frames=3, segment_overlap=1)
    first, second, third = segments_of(upscaler, CLIP, scale=scale)
    flows = flows_between(CLIP)
    with torch.no_grad():
        _, features = upscaler.generator.propagation(CLIP[None].transpose(1, 2) * 2 - 1, flows)
    for segment, frame in ((first, 1), (second, 3)):
        assert segment.carry.keys() == {"frame", "features"} and torch.equal(segment.carry["frame"], CLIP[frame])
        close(segment.carry["features"], features[frame][0])
        assert all(x.untyped_storage().nbytes() == x.nbytes for x in segment.carry.values())
    assert third.carry == {}
    (anew,) = segments_of(upscaler, CLIP[4:], start=4, scale=scale)
    assert (anew.frames - third.frames).abs().mean() > 1e-3


def test_a_segment_is_what_the_network_makes_of_it_in_training(model):
    upscaler = loaded(model, chunk_frames=6, segment_frames=6, segment_overlap=0)
    noise = next(segment_noise(upscaler.needs, 0, 0, 6, Tiling([(0, 64)], [(0, 96)])))
    flows, noise = flows_between(CLIP), noise.transpose(0, 1)
    with torch.no_grad():
        restored = upscaler.generator(CLIP[None].transpose(1, 2) * 2 - 1, flows, noise.flatten(1)[:, :8], noise)
    assert 0.5 < (restored.abs() < 1).float().mean() < 1
    close(upscaled(upscaler, CLIP), (restored[0].transpose(0, 1) / 2 + 0.5).clamp(0, 1))


def test_bfloat16_is_for_the_network_and_not_for_flow(model):
    flags, dtypes = {"chunk_frames": 2, "segment_frames": 4, "segment_overlap": 2}, set()
    upscaler = loaded(model, Placement(dtype="bfloat16"), **flags)

    def recorded(a, b):
        dtypes.update((a.dtype, b.dtype))
        return farneback(a, b)

    upscaler.estimate_flow = recorded
    segments = segments_of(upscaler, CLIP)
    error = (torch.cat([segment.frames for segment in segments]) - upscaled(loaded(model, **flags), CLIP)).abs()
    assert 0 < error.mean() < 0.003 and dtypes == {torch.float32}
    assert segments[0].carry["features"].dtype == torch.bfloat16


def test_pictures_are_never_in_bfloat16(tmp_path):
    """A new generator adds nothing to what bicubic interpolation makes, which is as exact as in float32."""
    new_generator().save_pretrained(tmp_path / "model")
    bicubic = interpolate(CLIP, scale_factor=4, mode="bicubic").clamp(0, 1)
    result = upscaled(loaded(tmp_path / "model", Placement(dtype="bfloat16")), CLIP)
    assert (result - bicubic).abs().max() < 0.05 / 255


# Noise, tiles and sizes


def test_noise_does_not_depend_on_segments_and_chunks(image_model):
    """Nor a frame that is enlarged by itself on where it stands."""
    whole = upscaled(loaded(image_model), CLIP)
    for flags in ({"segment_frames": 4, "segment_overlap": 1, "chunk_frames": 3}, {"segment_frames": 1, "segment_overlap": 0,
                  "chunk_frames": 1}):  # fmt: skip
        close(upscaled(loaded(image_model, **flags), CLIP), whole)
    close(upscaled(loaded(image_model), CLIP[3:], start=3), whole[3:])
    upscaler, tiles = loaded(image_model), Tiling([(0, 64)], [(0, 96)])
    (other,) = upscale_stream(upscaler, map(Frame, CLIP), (64, 96), tiles, 1, lambda share: None)
    assert (other.frames - whole).abs().mean() > 0.05  # of another seed


def test_frames_are_extended_to_whole_cells_by_their_border(model):
    """And cropped again."""
    frames = CLIP[..., :13, :21]
    extended = pad(frames, (0, 3, 0, 3), mode="replicate")
    result = upscaled(loaded(model), frames)
    assert result.shape == (6, 3, 52, 84)
    close(result, upscaled(loaded(model), extended)[..., :52, :84])


@pytest.mark.parametrize("size", [(1, 1), (7, 40)])
def test_one_small_frame(model, size):
    result = upscaled(loaded(model), torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert result.shape == (1, 3, 4 * size[0], 4 * size[1]) and result.std() > 0.05


@pytest.mark.parametrize(("widths", "scale"), [((8,), 2), ((8, 4, 4), 8)])
def test_other_scales(tmp_path, widths, scale):
    """By a new generator, which enlarges by bicubic interpolation."""
    new_generator(upsampling_widths=widths).save_pretrained(tmp_path / "model")
    enlarged = interpolate(CLIP[:2], scale_factor=scale, mode="bicubic")
    close(upscaled(loaded(tmp_path / "model"), CLIP[:2], scale=scale), enlarged.clamp(0, 1))


def test_tiles_with_overlap_are_near_the_whole_frame(scaled):
    """As tiles that only touch are not; nor are the features that they carry."""
    model, scale = scaled
    clip, flags = 0.25 + moving_clip(3, 32, 64) / 2, {"chunk_frames": 1, "segment_frames": 2, "segment_overlap": 1}

    def by_tiles(width, overlap):
        sizes = {"tile_height": 32 * scale, "tile_width": width * scale, "tile_overlap": overlap * scale}
        return segments_of(loaded(model, **sizes, **flags), clip, scale=scale)

    whole, tiled, apart = by_tiles(64, 0), by_tiles(40, 16), by_tiles(32, 0)
    for join, least in (
        (lambda segments: torch.cat([segment.frames for segment in segments]), 3),
        (lambda segments: segments[0].carry["features"], 20),
    ):
        error, without = ((join(other) - join(whole)).abs().mean() for other in (tiled, apart))
        assert 0 < error < without / least


def test_flow_is_that_of_the_weights_that_are_named(model, spynet_file):
    upscaler = loaded(model, flow_weights=str(spynet_file))
    assert isinstance(upscaler.estimate_flow, SpyNet) and loaded(model).estimate_flow is farneback
    assert upscaler.needs.weights["flow_weights"] == spynet_file
    assert (upscaled(upscaler, CLIP) - upscaled(loaded(model), CLIP)).abs().mean() > 1e-3


# By the command


def test_a_stopped_run_goes_on_to_the_same_frames(model, spynet_file, tmp_path, monkeypatch, capsys):
    """Of twice the size, in tiles, by the dtype that is the default."""
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(moving_clip(8, 20, 24)):
        Image.fromarray(planes_to_image(to_uint8(frame))).save(tmp_path / "in" / f"{number}.png")
    words = ["--input", str(tmp_path / "in"), "--target", "2x", "--method", "videogigagan", "--device", "cpu"]
    flags = {
        "model": model, "flow-weights": spynet_file, "chunk-frames": 1, "segment-frames": 4, "segment-overlap": 1,
        "tile-height": 96, "tile-width": 64, "tile-overlap": 32,
    }  # fmt: skip
    words += [word for name, value in flags.items() for word in (f"--videogigagan.{name}", str(value))]
    config = parse_upscale([*words, "--output", str(tmp_path / "whole")])  # the parser reads all fields
    with unread_fields(VideoGigaGanConfig) as unread:
        upscale(config)
    assert unread == set()

    upscale_segment, calls = upscaler_module.VideoGigaGanUpscaler.upscale, []

    def stop_at_the_third(self, *arguments, **named):
        calls.append(named["carry"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return upscale_segment(self, *arguments, **named)

    monkeypatch.setattr(upscaler_module.VideoGigaGanUpscaler, "upscale", stop_at_the_third)
    with pytest.raises(SystemExit) as stopped:
        run_upscale([*words, "--output", str(tmp_path / "out")])
    assert stopped.value.code == 130 and not (tmp_path / "out").exists()
    run_upscale([*words, "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "videogigagan makes 96x80, which is resized; 3 segments of up to 4 frames, each in 2 tiles of 64x96" in said
    assert "going on from frame 6 of 8 of an earlier run" in said and len(calls) == 4
    for number in range(8):
        got, wanted = (np.asarray(Image.open(tmp_path / name / f"{number}.png")) for name in ("out", "whole"))
        assert np.array_equal(got, wanted) and got.std() > 5


# Refusals


@pytest.mark.parametrize(("flags", "message"), [
    ({"tile_width": 0}, "--videogigagan.tile-width: got 0, wanted 1 or more"),
    ({"tile_width": 64, "tile_overlap": 64}, "--videogigagan.tile-overlap: got 64, wanted less than a tile, 64"),
    ({"chunk_frames": 0}, "--videogigagan.chunk-frames: got 0, wanted 1 or more"),
    ({"segment_frames": 6}, "--videogigagan.segment-overlap: got 6, wanted 0 to 5, less than --videogigagan.segment-frames"),
    ({"segment_frames": 25}, "--videogigagan.segment-frames: got 25, wanted --videogigagan.segment-overlap and a multiple of "
                             "--videogigagan.chunk-frames more, such as 16 or 26 or 36"),
])  # fmt: skip
def test_flags_that_do_not_fit_are_named(flags, message):
    with pytest.raises(InputError, match=message):
        VideoGigaGanConfig(**flags)


def test_tiles_are_of_whole_cells(scaled):
    model, scale = scaled
    for name in ("tile_height", "tile_width", "tile_overlap"):
        wanted = (
            f"--videogigagan.{name.replace('_', '-')}: got {20 * scale}, wanted a multiple of {8 * scale} for {model}"
        )
        with pytest.raises(InputError, match=wanted):
            loaded(model, **{"tile_overlap": 0, name: 20 * scale})


def test_flags_that_do_not_fit_the_model_are_named(model, temporal_model, spynet_file):
    with pytest.raises(
        InputError, match=f"flow-weights: got {spynet_file}, wanted nothing: {temporal_model} does not use"
    ):
        loaded(temporal_model, flow_weights=str(spynet_file))
    with pytest.raises(InputError, match=r"--videogigagan\.flow-weights nowhere\.pth: nothing there"):
        loaded(model, flow_weights="nowhere.pth")
    with pytest.raises(InputError, match="--prompt, --prompt-file: --method videogigagan takes no text; leave it out"):
        METHOD.needs(VideoGigaGanConfig(str(model)), prompted=True)


@pytest.mark.parametrize("setting", ["offload", "fp8", "compile", "attention"])
def test_placements_that_it_does_nothing_about_are_refused(model, setting):
    with pytest.raises(InputError, match=f"--{setting}: --method videogigagan does not use it; leave it out"):
        loaded(model, Placement(**{setting: "flash" if setting == "attention" else True}))
