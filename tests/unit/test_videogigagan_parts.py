"""What VideoGigaGAN's parts do: every measure is known for a pure wave or a simple operator, and small generators are
measured as they compute."""

import math

import pytest
import torch

from benchmark_files import load_benchmark
from realis.comparators.videogigagan.antialiasing import Downsample, high_frequencies
from realis.comparators.videogigagan.generator import VideoGigaGan
from realis.data.photographs import photograph

measures = load_benchmark("videogigagan_measures")
parts = load_benchmark("videogigagan_parts")
SMALL = {
    "widths": (6, 8, 10, 12), "upsampling_widths": (6, 4), "kernels": 2, "style_dim": 6, "noise_dim": 5, "mapping_layers": 1,
    "heads": 2, "propagation_channels": 4, "propagation_blocks": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
@torch.no_grad()
def generator():
    """A small generator all of whose parts have an effect."""
    draw = torch.manual_seed(0)
    network = VideoGigaGan(**SMALL)
    for p in network.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.1, generator=draw)
    for p in network.propagation.parameters():
        p *= 1.5  # or a change fades within a chunk
    return network.eval().requires_grad_(False)


def wave(cycles, height=32, width=64):
    """A cosine along x with so many cycles a pixel, (1, 1, height, width)."""
    return torch.cos(2 * math.pi * cycles * torch.arange(width)).expand(1, 1, height, width)


def filmed(x, distances):
    """A smooth picture whose camera moves right by so many pixels, (N, 1, 48, 128)."""
    columns = torch.arange(128)[None] + torch.tensor(distances)[:, None]
    rows = torch.sin(0.3 * columns) + torch.sin(x * columns)
    return rows[:, None, None].expand(-1, 1, 48, -1).double()


def test_a_picture_moves_by_fractions_of_a_pixel():
    at_rest, moved = filmed(0.7, [0.0, 0.3])
    torch.testing.assert_close(measures.moved(moved, 0.3)[..., 8:-8], at_rest[..., 8:-8], atol=0.02, rtol=0)
    assert measures.relative_energy(moved - at_rest, at_rest) > 0.01
    x = torch.randn(2, 3, 4, 9).double()
    torch.testing.assert_close(measures.moved(x, 2)[..., 2:], x[..., :-2])  # whole pixels: nothing else happens
    torch.testing.assert_close(measures.moved(x, 0), x)


def test_relative_energy():
    assert measures.relative_energy(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 10.0])) == pytest.approx(0.25)


def test_the_margin_is_left_out():
    x = torch.zeros(1, 12, 14)
    x[:, 3:-3, 3:-3] = 1
    assert measures.interior(x, 3).shape == (1, 6, 8) and measures.interior(x, 3).all()


@pytest.mark.parametrize(("cycles", "share"), [(0.05, 0), (0.2, 0), (0.3, 1), (0.5, 1)])
def test_a_wave_lies_below_or_above_half_the_nyquist_frequency(cycles, share):
    low_and_mean = 5 + wave(cycles)
    assert measures.high_share(low_and_mean) == pytest.approx(share, abs=2e-3)
    assert measures.high_share(low_and_mean.transpose(2, 3)) == pytest.approx(share, abs=2e-3)


def test_white_noise_has_three_quarters_of_its_energy_above():
    noise = torch.randn(1, 64, 64, 64, generator=torch.manual_seed(0))
    assert measures.high_share(noise) == pytest.approx(0.75, abs=0.02)
    assert measures.high_share(high_frequencies(noise)) > 0.8


def test_largest_changes():
    one = torch.zeros(3, 1, 2, 2)
    other = one.clone()
    other[0, 0, 1, 1], other[2, 0, 0, 0] = 0.5, -2
    assert measures.largest_changes(one, other, [slice(0, 1), slice(1, 2), slice(1, 3)]) == [0.5, 0, 2]


def errors(operator, distances, stride):
    features = operator(filmed(2.6, [0.0, *distances]).float())
    energies = parts.motion_energies(features, [d / stride for d in distances])
    return [error / energy for error, energy in energies]


def test_an_equivariant_operator_has_no_error_and_a_strided_one_aliases():
    smooth = torch.nn.Conv2d(1, 2, 5, padding=2)
    assert max(errors(smooth, [0.25, 0.5, 1.0], 1)) < 1e-3
    strided, blur_pool = Downsample(1, 2, blur_pool=False), Downsample(1, 2, blur_pool=True)
    blur_pool.load_state_dict(strided.state_dict())
    aliased, filtered = errors(strided, [0.5, 1.0, 2.0], 2), errors(blur_pool, [0.5, 1.0, 2.0], 2)
    assert min(aliased[:2]) > 0.02 and max(filtered[:2]) < min(aliased[:2]) / 10
    assert max(aliased[2], filtered[2]) < 1e-10  # a whole stride


def test_the_motion_of_the_camera_is_exact():
    at_rest, moved = parts.window("coffee.png", [0.0, 3.0])
    torch.testing.assert_close(moved[..., :-3], at_rest[..., 3:])
    height, width = parts.SIZE
    for name in parts.PHOTOGRAPHS:
        _, rows, columns = photograph(name).shape
        assert rows > parts.ZOOM * height and columns > parts.ZOOM * (width + 2 * max(parts.DISTANCES))


def test_the_encoder_is_that_of_the_generator(generator):
    pictures = torch.rand(2, 3, 16, 24)
    before, after = parts.encode(generator, pictures)
    seen = []
    handles = [
        module.register_forward_hook(lambda _, __, output: seen.append(output))
        for module in (*generator.encoder, *generator.down)
    ]
    parts.enlarge(generator, pictures)
    for handle in handles:
        handle.remove()
    expected = [step for pair in zip(before, after, strict=True) for step in pair]
    for i, features in enumerate(expected):
        torch.testing.assert_close(torch.cat(seen[i :: len(expected)]), features)


def test_parts_change_while_weights_are_shared(generator):
    other = parts.with_parts(generator, blur_pool=False)
    assert not other.down[0].blur_pool and generator.down[0].blur_pool
    assert other.down[0].conv.weight.data_ptr() == generator.down[0].conv.weight.data_ptr()
    picture = torch.rand(1, 3, 16, 16)
    same = parts.with_parts(generator, blur_pool=True)
    torch.testing.assert_close(parts.enlarge(same, picture), parts.enlarge(generator, picture))
    assert not torch.equal(parts.enlarge(other, picture), parts.enlarge(generator, picture))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_skip_is_zeroed(generator, level):
    """The decoder block of that level takes zeros in the channels of the skip, and all else as before."""
    taken = []
    picture, block = torch.rand(1, 3, 16, 16), generator.decoder[2 - level]
    with parts.zeroed_skips(generator, [level]):
        handle = block.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
        parts.enlarge(generator, picture)
        handle.remove()
    width = generator.config.widths[level]
    assert not taken[0][:, -width:].any() and taken[0][:, :-width].any(dim=(0, 2, 3)).all()
    assert taken[0].shape[-1] == 16 // 2**level
    whole = parts.enlarge(generator, picture)
    handle = block.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    torch.testing.assert_close(parts.enlarge(generator, picture), whole)  # no hook is left
    handle.remove()
    assert taken[1][:, -width:].any()


def test_parameters_of_the_default_sizes():
    with torch.device("meta"):
        assert sum(parts.parameters(VideoGigaGan()).values()) == pytest.approx(parts.PAPER_PARAMETERS, abs=1)


@pytest.fixture(scope="module")
def model(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videogigagan")
    generator.save_pretrained(folder)
    return folder


def run(monkeypatch, model, *flags):
    monkeypatch.setattr("sys.argv", ["videogigagan_parts.py", "--model", str(model), *map(str, flags)])
    parts.main()


def rows(printed, name):
    return [line for line in printed.splitlines() if line.startswith(f"| {name} |")]


def test_nothing_but_propagation_crosses_chunks(model, monkeypatch, capsys):
    run(monkeypatch, model, "--tables", "parameters", "chunks", "--chunked", 12, "--chunk-size", "16x8")
    printed = capsys.readouterr().out
    (as_it_is,), (cut,) = (rows(printed, name) for name in ("as the model is", "nothing propagated"))
    changes = [[float(cell) for cell in row.split("|")[2:-1]] for row in (as_it_is, cut)]
    assert min(changes[0]) > 0
    assert changes[1][0] > 0 and changes[1][1] == 0
    assert rows(printed, "with SpyNet")[0].startswith("| with SpyNet | 369.608 | ")


def test_any_frame_may_change(model, monkeypatch, capsys):
    flags = ("--tables", "chunks", "--chunked", 12, "--chunk-size", "16x8", "--changed-frame")
    run(monkeypatch, model, *flags, 11)
    printed = capsys.readouterr().out
    cells = rows(printed, "nothing propagated")[0].split("|")
    assert float(cells[2]) == 0 and float(cells[3]) > 0
    with pytest.raises(SystemExit):
        run(monkeypatch, model, *flags, 12)
    assert "--changed-frame: got 12, wanted 0 to 11" in capsys.readouterr().err


def test_time_over_videogigagan(model, monkeypatch, capsys):
    flags = ("--tables", "time", "--size", "16x8", "--frames", 1, "--runs", 1, "--methods", "bicubic")
    run(monkeypatch, model, *flags, "--", "--dtype=float32")
    printed = capsys.readouterr().out
    (own,), (bicubic,) = (rows(printed, name) for name in ("videogigagan", "bicubic"))
    assert own.split(" | ")[4] == "1.00" and float(bicubic.split(" | ")[4]) < 1


def test_the_tables_of_one_photograph(model, monkeypatch, capsys):
    monkeypatch.setattr(parts, "DISTANCES", (0.5, 2.0))
    run(monkeypatch, model, "--tables", "equivariance", "shuttle", "--photographs", 1)
    printed = capsys.readouterr().out
    cells = [float(cell) for cell in rows(printed, "0.5")[0].split("|")[2:-1]]
    assert len(cells) == 10 and max(cells[3::3]) < 1  # BlurPool moves better at all levels
    assert rows(printed, "all") and "with the shuttle" in printed
