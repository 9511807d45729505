"""Networks of single images as a method: small random ones of architectures that spandrel knows; what is refused."""

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel import ImageModelDescriptor, ModelTiling, SizeRequirements
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SPAN import SPAN

from reads import unread_fields
from realis.commands.__main__ import run_plan, run_upscale
from realis.commands.upscale import upscale as upscale_command
from realis.comparators.image import loading, method
from realis.comparators.image.config import ImageConfig
from realis.comparators.image.loading import open_network
from realis.comparators.image.method import METHOD
from realis.comparators.image.upscaler import ImageUpscaler
from realis.core.errors import InputError
from realis.methods.flags import parse_upscale
from realis.tiling.plan import plan_tiles
from realis.upscaler import Needs, Placement, Segments

SIZE = (20, 28)


def compact(scale, **sizes):
    return Compact(num_feat=4, num_conv=1, upscale=scale, **sizes)


def saved(file, network):
    """The file, with the tensors of a network; larger ones than it begins with, so that they matter."""
    torch.manual_seed(0)
    tensors = {name: tensor + torch.randn(tensor.shape) / 8 for name, tensor in network.state_dict().items()}
    save_file(tensors, file) if file.suffix == ".safetensors" else torch.save({"params": tensors}, file)
    return file


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of small networks, by scale."""
    folder = tmp_path_factory.mktemp("networks")
    networks = {1: compact(1), 2: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=4, upscale=2), 3: compact(3),
                4: ESRGAN(num_filters=4, num_blocks=1), 8: compact(8)}  # fmt: skip
    endings = {1: ".pth", 2: ".pt", 3: ".safetensors", 4: ".ckpt", 8: ".safetensors"}
    return {scale: saved(folder / f"x{scale}{endings[scale]}", network) for scale, network in networks.items()}


@pytest.fixture
def network(files):
    return open_network(files[3])


def frames_of(count=5, size=SIZE):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1))


def upscale(upscaler, frames):
    """What the method makes of frames, planned as the command plans it."""
    needs, shares = upscaler.needs, []
    size = needs.native_size(frames.shape[-2:], frames.shape[-2:])
    tiles = plan_tiles(size, needs.tile, needs.tile_overlap, needs.multiple)
    upscaled, carry = upscaler.upscale(
        frames, size, tiles=tiles, noise=None, carry={}, prompt="", advance=shares.append
    )
    assert carry == {} and sum(shares) == pytest.approx(1)
    return upscaled, tiles


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_frames_are_what_the_network_makes_of_each(files, scale):
    frames, network = frames_of(), open_network(files[scale])
    upscaler = METHOD.load(ImageConfig(str(files[scale])), Placement(), [""])
    upscaled, _ = upscale(upscaler, frames)
    assert upscaler.needs.scales == (scale,) and upscaled.shape == (5, 3, SIZE[0] * scale, SIZE[1] * scale)
    wanted = torch.cat([network(frame[None]) for frame in frames])
    assert wanted.std() > 0.02 and wanted.min() >= 0 and wanted.max() <= 1
    torch.testing.assert_close(upscaled, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "other"), [("w.safetensors", "w.pth"), ("w.pth", "w.safetensors"), ("w.pth", "w")])
def test_files_are_opened_by_what_is_in_them(tmp_path, name, other):
    """Not by their names, which people change."""
    file = saved(tmp_path / name, compact(2)).rename(tmp_path / other)
    assert METHOD.needs(ImageConfig(str(file)), False).scales == (2,)


@pytest.mark.parametrize("factor", [2, 3])
def test_the_command_upscales_by_a_network(files, network, tmp_path, capsys, factor):
    (tmp_path / "in").mkdir()
    levels = (frames_of(4) * 255).byte()
    for number, frame in enumerate(levels):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(tmp_path / "in" / f"{number}.png")
    run_upscale([
        "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--target", f"{factor}x", "--device", "cpu",
        "--method", "image", "--image.weights", str(files[3]), "--image.batch", "3", "--dtype", "float32",
    ])  # fmt: skip

    upscaled = [np.asarray(Image.open(tmp_path / "out" / f"{number}.png")) for number in range(4)]
    assert upscaled[0].shape == (SIZE[0] * factor, SIZE[1] * factor, 3)
    if factor == 3:
        wanted = (network(levels / 255) * 255).round().permute(0, 2, 3, 1)
        assert np.abs(np.stack(upscaled) - wanted.numpy()).max() <= 1

    said = capsys.readouterr().err
    assert "1 segment of up to 9 frames, each in 1 tile of " in said  # three whole batches
    assert "RealESRGAN Compact 4nf 1nc; " in said and "KiB for the model" in said
    assert ("image makes 84x60, which is resized" in said) == (factor == 2)
    key = json.loads((tmp_path / "out.json").read_text())["made from"]
    assert key["image.batch"] == 3 and "content of --image.weights" in key and "image.weights" not in key


def test_every_flag_is_read(files, tmp_path):
    Image.new("RGB", (28, 20)).save(tmp_path / "in.png")
    words = ["--input", str(tmp_path / "in.png"), "--output", str(tmp_path / "out.png"), "--device", "cpu"]
    config = parse_upscale([*words, "--method", "image", "--image.weights", str(files[3])])  # which reads all
    with unread_fields(ImageConfig) as unread:
        upscale_command(config)
    assert unread == set()


def test_a_batch_changes_nothing(files):
    frames = frames_of()
    one, three = (METHOD.load(ImageConfig(str(files[4]), batch=n), Placement(), [""]) for n in (1, 3))
    torch.testing.assert_close(upscale(one, frames)[0], upscale(three, frames)[0], atol=1e-5, rtol=0)
    assert [upscaler.needs.segments.frames for upscaler in (one, three)] == [8, 9]


def test_tiles_make_what_whole_frames_do(files):
    frames = frames_of(2, (75, 101))
    config = ImageConfig(str(files[3]), tile_height=48, tile_width=32, tile_overlap=16)
    tiled, whole = (METHOD.load(one, Placement(), [""]) for one in (config, ImageConfig(str(files[3]))))
    (upscaled, tiles), (wanted, one) = upscale(tiled, frames), upscale(whole, frames)
    assert len(one) == 1 and len(tiles) == 12 and all(tile.left % (16 * 3) == 0 for tile in tiles)
    torch.testing.assert_close(upscaled, wanted, atol=1e-4, rtol=0)
    tiled.needs = replace(tiled.needs, tile_context=0)  # then tiles lack their surroundings
    assert (upscale(tiled, frames)[0] - wanted).abs().max() > 0.01


def test_a_dry_run_times_a_tile_with_what_is_seen_around_it(files, tmp_path, monkeypatch):
    shapes, upscale = set(), ImageUpscaler.upscale

    def noted(self, frames, size, **others):
        shapes.add(tuple(frames.shape))
        return upscale(self, frames, size, **others)

    monkeypatch.setattr(ImageUpscaler, "upscale", noted)
    Image.new("RGB", (101, 75)).save(tmp_path / "in.png")
    run_plan([
        "--input", str(tmp_path / "in.png"), "--target", "3x", "--method", "image", "--image.weights", str(files[3]),
        "--image.tile-height", "48", "--image.tile-width", "32", "--image.tile-overlap", "16", "--device", "cpu",
    ])  # fmt: skip
    assert shapes == {(1, 3, 75, 32 + 2 * 16)}  # 75 rows are all that there are


def test_sizes_that_the_network_cannot_take_are_made_up_for(tmp_path):
    """One that works on a quarter of the pixels: sides are multiples of 4."""
    file = saved(tmp_path / "x2.pth", ESRGAN(in_nc=12, num_filters=4, num_blocks=1, scale=4, shuffle_factor=2))
    network, frames = open_network(file), frames_of(1, (1, 35))
    assert network.size_requirements.multiple_of == 4 and network.scale == 2
    upscaled, _ = upscale(METHOD.load(ImageConfig(str(file)), Placement(), [""]), frames)
    torch.testing.assert_close(upscaled, network(frames), atol=1e-5, rtol=0)


def test_tiles_are_of_sizes_that_the_network_takes(network):
    network.size_requirements = SizeRequirements(multiple_of=24)
    needs = method.network_needs(ImageConfig("w.pth"), network)
    assert (needs.multiple, needs.tile, needs.tile_overlap) == (3 * 48, (3 * 528,) * 2, 3 * 48)
    with pytest.raises(
        InputError, match=r"--image\.tile-width: got 64, wanted a multiple of 48 for RealESRGAN Compact"
    ):
        method.network_needs(ImageConfig("w.pth", tile_width=64), network)


def test_networks_that_see_the_whole_frame_are_given_it(network):
    network.tiling = ModelTiling.DISCOURAGED
    needs = method.network_needs(ImageConfig("w.pth"), network)
    assert needs.tile is None and "sees whole frames" in needs.remarks[0]
    needs = method.network_needs(ImageConfig("w.pth", tile_width=64), network)
    assert needs.tile == (3 * 512, 3 * 64) and "may differ in brightness" in needs.remarks[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"batch": 0}, "--image.batch: got 0, wanted 1 or more"),
        ({"tile_height": 40}, "--image.tile-height: got 40, wanted a multiple of 16, or 0"),
        ({"tile_overlap": -16}, "--image.tile-overlap: got -16"),
    ],
)
def test_wrong_numbers_name_their_flags(flags, message):
    with pytest.raises(InputError, match=message):
        ImageConfig(**flags)


def test_an_overlap_as_large_as_the_tile_is_refused(files):
    with pytest.raises(InputError, match=r"--image\.tile-overlap: got 32, wanted less than a tile, 16"):
        METHOD.needs(ImageConfig(str(files[3]), tile_width=16), False)


@pytest.mark.parametrize("supported", [True, False])
def test_precision_is_that_asked_for_where_the_network_has_it(files, network, monkeypatch, capsys, supported):
    network.supports_bfloat16 = supported
    monkeypatch.setattr(method, "open_network", lambda file: network)
    upscaler = METHOD.load(ImageConfig(str(files[3])), Placement(dtype="bfloat16"), [""])
    assert upscaler.network.dtype == (torch.bfloat16 if supported else torch.float32)
    upscaled, _ = upscale(upscaler, frames_of())
    wanted = open_network(files[3])(frames_of())
    assert upscaled.dtype == torch.float32
    assert (upscaled - wanted).abs().max() < (0.02 if supported else 1e-5)


@pytest.mark.parametrize("flags", [{"offload": True}, {"fp8": True}, {"attention": "flash"}])
def test_what_is_for_transformers_is_refused(files, flags):
    with pytest.raises(InputError, match=f"--{min(flags)}: --method image does not use it"):
        METHOD.load(ImageConfig(str(files[3])), Placement(**flags), [""])


class Noisy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.gain + torch.randn_like(x) / 10


def test_a_network_that_draws_noise_makes_the_same_again(network):
    noisy = Noisy()
    descriptor = ImageModelDescriptor(
        noisy, noisy.state_dict(), network.architecture, "Restoration", [], True, True, 1, 3, 3
    )
    upscaler = ImageUpscaler(descriptor, Needs(Segments(8), scales=(1,)), 1)
    state, frames = torch.get_rng_state(), frames_of(2)
    upscaled, again = upscale(upscaler, frames)[0], upscale(upscaler, frames)[0]
    assert torch.equal(upscaled, again) and (upscaled - frames).std() > 0.05
    assert torch.equal(state, torch.get_rng_state())  # that of whoever calls


class Code:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def write_wrong_files(folder):
    """Files that are no weights, by what has to be said of them; the first ones it takes no torch to refuse."""
    plain, tensors = {}, {}
    plain["none.pth"] = "nothing there; wanted a file of weights; docs/upscaling.md says where there are some"
    (folder / "page.safetensors").write_text("<html>")
    plain["page.safetensors"] = "is text, such as a web page; wanted safetensors or a checkpoint of torch"
    good = saved(folder / "good.pth", compact(2)).read_bytes()
    (folder / "cut.pth").write_bytes(good[: len(good) // 2])
    plain["cut.pth"] = "damaged, or no weights"
    with zipfile.ZipFile(folder / "other.pth", "w") as archive:
        archive.writestr("a.txt", "a")
    plain["other.pth"] = "damaged, or no weights"
    torch.jit.script(torch.nn.Linear(1, 1)).save(folder / "program.pt")
    plain["program.pt"] = "is a TorchScript program; wanted safetensors or a checkpoint of torch"

    torch.save({"params": Code()}, folder / "code.pth")
    tensors["code.pth"] = f"holds code ({os.mkdir.__module__}.mkdir) beside its tensors, which is not run"
    (folder / "old.pth").write_bytes(pickle.dumps(Code(), protocol=2))
    tensors["old.pth"] = "beside its tensors, which is not run"
    torch.save([torch.zeros(1)], folder / "list.pth")
    tensors["list.pth"] = "got a list, wanted tensors by name"
    torch.save({"layer.weight": torch.zeros(1)}, folder / "unknown.pth")
    tensors["unknown.pth"] = "holds no network that spandrel knows"
    torch.save({**compact(2).state_dict(), "body.0.weight": torch.zeros(4, 3, 5, 5)}, folder / "shape.pth")
    tensors["shape.pth"] = "spandrel cannot make a network of it ("
    saved(folder / "grey.pth", compact(2, num_in_ch=1, num_out_ch=1))
    tensors["grey.pth"] = "takes 1 and makes 1 channels, wanted 3 and 3"
    return plain, tensors


@pytest.fixture(scope="module")
def wrong_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    return folder, *write_wrong_files(folder)


def test_what_cannot_be_weights_is_refused_before_torch_is_imported(wrong_files):
    folder, plain, _ = wrong_files
    Image.new("RGB", (8, 8)).save(folder / "in.png")
    code = (
        "import sys\nfrom realis.commands.__main__ import run_upscale\n"
        f"for name in {['', *plain]!r}:\n"
        "    try:\n        run_upscale(['--input', 'in.png', '--method', 'image', '--image.weights', name])\n"
        "    except SystemExit as stop:\n        print(stop.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.splitlines() == ["2 False"] * (1 + len(plain))
    first, *lines = done.stderr.splitlines()
    assert first.startswith("realis: --image.weights: got nothing, wanted a file of weights")
    for line, (name, said) in zip(lines, plain.items(), strict=True):
        assert line.startswith(f"realis: --image.weights {name}: ") and said in line


def test_files_of_something_else_are_refused_and_none_is_run(wrong_files, monkeypatch):
    folder, _, tensors = wrong_files
    monkeypatch.chdir(folder)
    for name, said in tensors.items():
        with pytest.raises(InputError, match=f"^--image.weights {name}: .*{re.escape(said)}"):
            METHOD.needs(ImageConfig(name), False)
    assert not (folder / "ran").exists()
    pickle.loads((folder / "old.pth").read_bytes())  # noqa: S301 - what another reader would do
    assert (folder / "ran").exists()


@pytest.mark.parametrize("purpose", ["FaceSR", "Inpainting"])
def test_networks_for_something_else_are_refused(files, monkeypatch, purpose):
    monkeypatch.setattr(ImageModelDescriptor, "purpose", purpose)
    with pytest.raises(
        InputError, match=f"RealESRGAN Compact is for {purpose}, wanted super-resolution or restoration"
    ):
        METHOD.needs(ImageConfig(str(files[3])), False)


def test_a_prompt_is_refused_before_the_file_is_opened():
    with pytest.raises(InputError, match="--prompt, --prompt-file: --method image takes no text; leave it out"):
        METHOD.needs(ImageConfig("nowhere.pth"), True)


def test_a_missing_package_is_named_with_what_installs_it(files, monkeypatch):
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"spandrel is not installed; pip install -c constraints.txt -e '\.\[image\]'"):
        METHOD.needs(ImageConfig(str(files[3])), False)
