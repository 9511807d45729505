"""DGAF-VSR's observations: every measure has its exact value on a small array, and the command runs on one film."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark_files import load_benchmark
from realis.comparators.dgaf_vsr.config import DgafVsrConfig
from realis.comparators.dgaf_vsr.ogwm import align

measures = load_benchmark("dgaf_measures")
figures = load_benchmark("dgaf_figures")
observations = load_benchmark("dgaf_observations")
STEP = np.array([[0, 0, 0, 255, 255, 255]] * 6, np.uint8)  # a vertical edge in the middle


def waves(cycles, size=12):
    """A cosine of amplitude 100 along x, (1, 1, size, size)."""
    x = torch.arange(size, dtype=torch.float64)
    return (128 + 100 * torch.cos(2 * math.pi * cycles * x / size)).expand(1, 1, size, size)


def test_every_channel_has_the_same_range():
    x = torch.tensor([[[-1.0, 3.0]], [[0.5, 0.5]]])[None].repeat(2, 1, 1, 1)  # the second channel is flat
    levels = measures.levels_of(x)
    torch.testing.assert_close(levels(x)[0, 0], torch.tensor([[0.0, 255.0]]))
    assert not levels(x)[0, 1].any()
    torch.testing.assert_close(levels(torch.ones(2, 1, 1))[0], torch.tensor([[127.5]]))


def test_equal_variables_correlate_perfectly():
    x = 255 * torch.rand(4, 16, 16, generator=torch.manual_seed(0))
    found = measures.correlations(torch.stack((x, x)))
    assert found["SSIM"] == pytest.approx(1, abs=1e-6)
    assert found["PSNR"] == 100


def test_ssim_is_the_mean_over_channels():
    flat = torch.full((1, 12, 12), 100.0)
    one, other = torch.cat((flat, flat)), torch.cat((flat, flat + 50))
    c1 = (0.01 * 255) ** 2
    second = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)  # of flat channels, only the means count
    assert measures.ssim(one, other) == pytest.approx((1 + second) / 2, abs=1e-4)


def test_psnr():
    one = torch.zeros(2, 3, 3)
    assert measures.psnr_of(one, one + 25.5) == pytest.approx(20, abs=1e-4)


def test_cross_entropy_of_two_levels():
    one, other = torch.tensor([[[0.0, 0.0, 0.2, 255.0]]]), torch.tensor([[[0.0, 255.0, 255.0, 300.0]]])
    total = 4 + 256  # the values, and one more in each bin
    p, q = ([a / total, b / total] for a, b in ((4, 2), (2, 4)))
    h = -sum(a * math.log(b) for a, b in zip(p, q, strict=True)) - 254 / total * math.log(1 / total)
    assert measures.f_of_h(one, other) == pytest.approx(1 / (1 + h))


def test_more_alike_distributions_have_a_lower_cross_entropy():
    flat = torch.full((1, 20, 20), 7.0)
    assert measures.f_of_h(flat, flat) > measures.f_of_h(flat, flat + 1)


def test_sigma_is_of_each_channel():
    one = torch.tensor([[[0.0, 2.0]], [[100.0, 106.0]]])  # 1 and 3
    assert measures.f_of_sigma(one, one) == pytest.approx(1 / 3)
    assert measures.f_of_sigma(one, torch.zeros_like(one)) == pytest.approx(1 / 2)


def test_edge_strength_of_a_step():
    assert measures.canny(STEP) == pytest.approx(255 / 6)  # one of six columns
    assert measures.sobel(STEP) == pytest.approx(2 * 4 * 255 / 6)  # two columns, weights 1 2 1
    assert measures.laplacian(STEP) == pytest.approx(2 * 255 / 6)
    assert measures.edge_strength({name: np.array([of(STEP)]) for name, of in measures.EDGES.items()}) == pytest.approx(
        255 * (1 + 8 + 2) / 18
    )


def test_high_pass_is_the_mean_square_of_what_passes():
    both = waves(1) + waves(4)
    assert measures.high_pass(both, 2) == pytest.approx(100**2 / 2)
    assert measures.high_pass(both, 0.5) == pytest.approx(100**2)  # without the mean
    assert measures.high_pass(both, 4) == pytest.approx(0, abs=1e-9)


def test_the_radius_is_30_of_180_lines():
    assert [measures.radius_for(size) for size in ((180, 320), (90, 60), (720, 1280))] == [30, 10, 30]


def test_the_border_is_left_out():
    x = torch.zeros(1, 20, 30)
    x[:, 2:18, 3:27] = 1
    assert measures.inner(x).shape == (1, 16, 24) and measures.inner(x).all()


def test_densities_are_means_over_frames_and_channels():
    step = torch.from_numpy(STEP).double()
    x = torch.stack((step, torch.zeros_like(step)))[None]
    found = measures.densities(x, 0.5)
    assert found["Sobel"] == pytest.approx(measures.sobel(STEP) / 2)
    assert found["high-pass"] == pytest.approx(127.5**2 / 2)


def test_the_variants_are_those_of_the_method():
    z, flow = torch.randn(2, 4, 8, 12), 3 * torch.randn(2, 2, 32, 48)
    config = DgafVsrConfig()
    found = observations.variants(z, flow, 4, config)
    assert torch.equal(found["aligned"], align(z, flow, 4, config))
    assert torch.equal(found["enlarged, warped"][..., ::4, ::4], found["aligned"])  # which is shrunk by nearest
    assert torch.equal(found["enlarged"][..., ::4, ::4], z) and found["shrunk"].shape == (2, 4, 2, 3)
    assert torch.equal(found["warped"], align(z, flow, 1, DgafVsrConfig(rescaling="off")))
    still = observations.variants(z, torch.zeros_like(flow), 4, config)
    torch.testing.assert_close(still["warped"], z)
    torch.testing.assert_close(still["aligned"], z)


def test_correlation_claims():
    high, low = np.array([2.0, 2.0]), np.array([1.0, 1.0])
    latents = dict.fromkeys(measures.CORRELATIONS, high) | {"PSNR": np.array([3.0, 1.0])}
    pictures = dict.fromkeys(measures.CORRELATIONS, low)
    found = dict(observations.correlation_claims({"latents": latents, "pictures": pictures}))
    assert [outcome.split(":")[0] for outcome in found.values()] == ["shown", "NOT shown", "shown", "shown"]
    assert "1 of 2 steps, +100.00 %" in found["1, PSNR of latents is above that of pictures at all steps"]


def density_outcomes(strength, **changed):
    """What becomes of the claims, where all that is said of densities holds but what is ``changed``."""
    values = {"shrunk": 20, "latents": 10, "enlarged": 5, "warped": 8, "enlarged, warped": 4.5, "aligned": 9} | changed
    curves = {x: dict.fromkeys(measures.DENSITIES, np.array([value])) for x, value in values.items()}
    by_factor = {"aligned": dict.fromkeys(measures.DENSITIES, np.array(strength))}
    return [outcome for _, outcome in observations.density_claims(curves, by_factor, (1, 4, 16))]


def test_density_claims():
    assert all(outcome.startswith("shown") for outcome in density_outcomes([1, 3, 2]))
    lost = density_outcomes([1, 2, 3], enlarged=10.1, warped=10, aligned=10)
    assert all(outcome.startswith("NOT shown") for outcome in lost)
    assert "strongest at s = 16, of 1 to 16; up to 6.4, the largest of the paper's Table S8, at 4" in lost[3]


def test_some_measures_show_a_claim_only_in_part():
    assert observations.verdict([True, False], "figures") == "partly shown by 1 of 2 measures: figures"
    assert observations.verdict([True, True], "figures") == "shown by 2 of 2 measures: figures"


def test_gain():
    assert measures.gain(4, 5) == pytest.approx(25)
    assert measures.gain(0, 5) == 0


def run(monkeypatch, *flags):
    monkeypatch.setattr("sys.argv", ["dgaf_observations.py", *map(str, flags)])
    observations.main()


def test_one_film_of_two_frames(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "not there yet"
    run(monkeypatch, "--photographs", 1, "--frames", 2, "--steps", 2, "--factors", 4, 1, "--output", folder)
    printed = capsys.readouterr().out
    assert "hubble_deep_field: 2 frames, latents of 56x40" in printed
    assert "t = 999: latents" in printed and "| s | 1 | 4 |" in printed
    assert printed.count("observation 1, ") == printed.count("observation 2, ") == 4
    for name in ("observation_1", "observation_2", "steps_and_factors"):
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width == 1200


@pytest.fixture(scope="module")
def upscaler():
    config = observations.make_config("dgaf_vsr", steps=2, segment_frames=2, dtype="float32")
    return observations.Loader(observations.find_method("dgaf_vsr"), config, [""]).upscaler


def test_what_is_recorded_is_what_the_sampler_takes(upscaler, monkeypatch):
    """At the last step of DDPM, the estimate is the result."""
    results = []
    sample = observations.DgafVsrUpscaler.sample

    def sample_and_keep(self, *given):
        results.append(torch.cat(list(sample(self, *given))))
        return results[-1].split(1)

    monkeypatch.setattr(observations.DgafVsrUpscaler, "sample", sample_and_keep)
    lr, tiles = torch.rand(2, 3, 16, 16), observations.plan_tiles((64, 64), None, 0, 64)
    estimates = observations.sample_clip(upscaler, lr, tiles, 4)
    assert estimates.shape == (2, 2, 4, 16, 16)
    torch.testing.assert_close(estimates[-1], results[0])


def test_the_frame_before_is_warped_to_a_frame(upscaler):
    (_, film), (name, other) = observations.films(2, 3)
    assert film.shape == other.shape == (3, 3, 160, 224) and name == "coffee"
    lr = observations.resize(other, (40, 56)).clamp(0, 1)
    flow = observations.flow_to_frame_before(upscaler, lr)
    assert flow.shape == (2, 2, 160, 224)
    warped = observations.variants(lr[:-1], flow, 4, upscaler.config)["warped"]
    error, still = ((measures.inner(x) - measures.inner(lr[1:])).square().mean() for x in (warped, lr[:-1]))
    assert error < still / 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--frames", 1), "--frames: got 1, wanted 2 or more"),
        (("--factors", 0.5, 4), "--factors: got 0.5 4, wanted 1 to 16"),
        (("--factors", "nan"), "--factors: got nan, wanted 1 to 16"),
    ],
)
def test_what_cannot_be_measured_is_refused(flags, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *flags)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
